"""Which labels are doubted, and why in words. Owns the doubts; knows no file and no model."""

import logging
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Doubt:
    """A doubted genre of a movie: whether the listing has it, and its probability by model."""

    genre: str
    is_given: bool
    probabilities: Mapping[str, float]

    @property
    def claim(self) -> str:
        """What is doubted of the movie's genres."""
        return f"{'is not' if self.is_given else 'lacks'} {self.genre}"

    @property
    def who(self) -> str:
        """Which models doubt it."""
        n_agreeing, n_asked = len(self._agreeing), len(self.probabilities)
        if n_asked == 1:
            return f"{next(iter(self.probabilities))} gives"
        count = f"all {n_asked}" if n_agreeing == n_asked else f"{n_agreeing} of {n_asked}"
        return f"{count} models {'gives' if n_agreeing == 1 else 'give'}"

    @property
    def bound(self) -> str:
        """What they give the genre."""
        value = max(self._agreeing) if self.is_given else min(self._agreeing)
        limit = "" if len(self._agreeing) == 1 else "at most " if self.is_given else "at least "
        return f"{limit}{value:.2f}"

    @property
    def _agreeing(self) -> list[float]:
        return [value for value in self.probabilities.values() if (value <= 0.5) == self.is_given]


def find_doubts(
    truth: NDArray[np.bool_], probabilities: NDArray[np.float64]
) -> tuple[NDArray[np.bool_], NDArray[np.float64]]:
    """Return which labels are taken for errors, (n_movies, n_genres), and the label quality of each movie, 0 to 1.

    For each genre by itself as many labels are doubted as confident learning estimates to be wrong, those with the
    least probability. The quality of a movie weighs the probabilities of its labels (having a genre or not), the lowest
    one by far the most. A genre that every or no movie has is not doubted.

    Args:
        truth: (n_movies, n_genres), as the listings have it.
        probabilities: of the same shape, of movies that the model was not trained on.

    Source:
        Northcutt, Jiang and Chuang 2021, Confident Learning: Estimating Uncertainty in Dataset Labels; Thyagarajan et
        al. 2023, Identifying Incorrect Annotations in Multi-Label Classification Data.
    """
    # Imported here: it takes more than a second, and most of this room's users do without.
    from cleanlab.multilabel_classification import get_label_quality_scores  # noqa: PLC0415
    from cleanlab.multilabel_classification.filter import find_multilabel_issues_per_class  # noqa: PLC0415

    doubted = np.zeros_like(truth)
    varying = np.flatnonzero(truth.any(axis=0) & ~truth.all(axis=0))
    if not len(varying):
        return doubted, np.ones(len(truth))
    labels = [np.flatnonzero(row).tolist() for row in truth[:, varying]]
    shown = np.clip(probabilities[:, varying], 1e-9, 1 - 1e-9)
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always", UserWarning)
        doubted[:, varying] = find_multilabel_issues_per_class(labels, shown, n_jobs=1)
    if told:
        logger.info("genres with too few movies, in or out, for every doubt to be found: %s", len(told))
    if len(varying) == 1:  # which cleanlab does not take for labels of several genres
        return doubted, np.where(truth[:, varying], shown, 1 - shown)[:, 0]
    return doubted, np.asarray(get_label_quality_scores(labels, shown), dtype=np.float64)


def explain_doubts(doubts: Sequence[Doubt]) -> str:
    """Return in words why genres of a movie are doubted; how many models agree, and what the most hesitant says.

    >>> horror, war = {"a": 0.93, "b": 0.8, "c": 0.2}, {"a": 0.7, "b": 0.6, "c": 0.0}
    >>> explain_doubts([Doubt("Horror", False, horror), Doubt("War", False, war)])
    '2 of 3 models give Horror at least 0.80 and War at least 0.60, which the listing lacks'
    >>> explain_doubts([Doubt("Drama", True, {"a": 0.02})])
    'a gives Drama 0.02, which the listing has'
    """
    groups: dict[tuple[str, bool], list[str]] = {}
    for doubt in doubts:
        groups.setdefault((doubt.who, doubt.is_given), []).append(f"{doubt.genre} {doubt.bound}")
    return "; ".join(
        f"{who} {_listed(claims)}, which the listing {'has' if is_given else 'lacks'}"
        for (who, is_given), claims in groups.items()
    )


def _listed(claims: Sequence[str]) -> str:
    return " and ".join(filter(None, [", ".join(claims[:-1]), claims[-1]]))
