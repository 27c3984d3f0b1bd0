"""What an explanation is, and how explanations add up. Owns the arithmetic; knows no model."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

Vector = NDArray[np.float64]
Matrix = NDArray[np.float64]
Method = Literal["exact", "integrated-gradients", "shapley", "mixed"]

FLAT: Final = 1e-12  # log-odds; below it a difference is rounding


@dataclass(frozen=True)
class Explanation:
    """What each piece of one movie adds to the log-odds of some genres.

    Attributes:
        method: how it was found.
        base: (genres,) the log-odds when nothing of the movie is known.
        value: (genres,) the log-odds of the movie's scores.
        contributions: (pieces × genres) log-odds.
    """

    method: Method
    base: Vector
    value: Vector
    contributions: Matrix

    @property
    def rest(self) -> Vector:
        """What of `value - base` no piece accounts for, (genres,)."""
        rest: Vector = self.value - self.base - self.contributions.sum(axis=0)
        return rest


def clipped(explanation: Explanation, limit: float) -> Explanation:
    """Return the explanation of log-odds that are cut at -limit and limit.

    Contributions shrink by the share of the way from base to value that is within the limits, as the integrated
    gradients of the cut function do, so that they still sum to the difference.

    Source: Sundararajan, Taly and Yan 2017, Axiomatic Attribution for Deep Networks, equation 1, on a straight path.
    """
    base, value = (np.clip(end, -limit, limit) for end in (explanation.base, explanation.value))
    way = explanation.value - explanation.base
    is_flat = np.abs(way) < FLAT
    share = np.where(is_flat, np.abs(explanation.value) < limit, (value - base) / np.where(is_flat, 1, way))
    return replace(explanation, base=base, value=value, contributions=explanation.contributions * share)


def weighted_sum(parts: Sequence[Explanation], weights: Sequence[Vector | float], bias: Vector | float) -> Explanation:
    """Return the explanation of `bias + sum of weight * log-odds`, of parts that explain the same pieces and genres.

    Args:
        parts: at least one.
        weights: of each part, one number or one a genre.
        bias: of the sum.
    """
    methods = {part.method for part in parts}
    return Explanation(
        method=methods.pop() if len(methods) == 1 else "mixed",
        base=sum((weight * part.base for part, weight in zip(parts, weights, strict=True)), np.asarray(bias)),
        value=sum((weight * part.value for part, weight in zip(parts, weights, strict=True)), np.asarray(bias)),
        contributions=sum(
            (weight * part.contributions for part, weight in zip(parts, weights, strict=True)),
            np.zeros(parts[0].contributions.shape),
        ),
    )
