"""Decision rules as small frozen objects, and their form in JSON. Owns deciding; fitting is `tasks.decision.fit`.

Every rule decides at least one genre for every movie.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, ClassVar, Final

import numpy as np
from numpy.typing import NDArray

from tasks.decision.calibration import Calibration
from tasks.decision.expected_jaccard import ROWS_AT_ONCE, expected_jaccard
from tasks.errors import DataError

Scores = NDArray[np.float32]
Decided = NDArray[np.bool_]


@dataclass(frozen=True)
class Rule(ABC):
    """Turns scores into genres. Knows at most the number of genres. Its fields are numbers, or tuples of numbers."""

    kind: ClassVar[str]  # its name in JSON

    @abstractmethod
    def decide(self, scores: Scores) -> Decided:
        """Return which genres each movie gets, at least one. A movie's genres do not depend on the other movies.

        Args:
            scores: (n_movies, n_genres), each in [0, 1].

        Raises:
            DataError: a score is not in [0, 1], or there are more or fewer genres than the rule was fitted on.
        """

    def genre_thresholds(self, n_genres: int) -> tuple[float, ...] | None:  # noqa: ARG002  for rules with thresholds
        """Return the lowest score with which each genre is decided, or None for a rule without thresholds."""
        return None


@dataclass(frozen=True)
class GlobalThreshold(Rule):
    """Decides the genres whose score is the threshold or more; the one with the highest score where there is none.

    Of equally high scores the first in genre order counts. A threshold above 1 is never reached.
    """

    kind: ClassVar[str] = "global-threshold"
    threshold: float

    def decide(self, scores: Scores) -> Decided:
        """See `Rule.decide`."""
        return _at_least(scores, self.genre_thresholds(scores.shape[-1]))

    def genre_thresholds(self, n_genres: int) -> tuple[float, ...]:
        """See `Rule.genre_thresholds`."""
        return (self.threshold,) * n_genres


@dataclass(frozen=True)
class PerGenreThresholds(Rule):
    """Decides as `GlobalThreshold` does, with a threshold for each genre."""

    kind: ClassVar[str] = "per-genre-thresholds"
    thresholds: tuple[float, ...]

    def decide(self, scores: Scores) -> Decided:
        """See `Rule.decide`."""
        return _at_least(scores, self.thresholds)

    def genre_thresholds(self, n_genres: int) -> tuple[float, ...]:  # noqa: ARG002  the rule has its own number
        """See `Rule.genre_thresholds`."""
        return self.thresholds


@dataclass(frozen=True)
class ExpectedJaccardSet(Rule):
    """Decides for each movie the set of genres with the greatest expected Jaccard, by its calibrated scores.

    The set always consists of the most probable genres (of equally probable ones the first in genre order), and it is
    the smallest of equally good ones; see `expected_jaccard`.
    """

    kind: ClassVar[str] = "expected-jaccard-set"
    slopes: tuple[float, ...]  # of the calibration
    intercepts: tuple[float, ...]

    def decide(self, scores: Scores) -> Decided:
        """See `Rule.decide`."""
        calibration = Calibration(self.slopes, self.intercepts)
        check_scores(scores, len(self.slopes))
        decided = np.zeros(scores.shape, dtype=np.bool_)
        for start in range(0, len(scores), ROWS_AT_ONCE):
            probabilities = calibration.apply(scores[start : start + ROWS_AT_ONCE])
            order = np.argsort(-probabilities, axis=1, kind="stable")
            by_size = expected_jaccard(np.take_along_axis(probabilities, order, axis=1))
            chosen = np.arange(scores.shape[1]) <= by_size.argmax(axis=1)[:, None]
            np.put_along_axis(decided[start : start + ROWS_AT_ONCE], order, chosen, axis=1)
        return decided


RULE_CLASSES: Final[tuple[type[Rule], ...]] = (GlobalThreshold, PerGenreThresholds, ExpectedJaccardSet)
REMEDY: Final = "evaluate the model again"


def rules_to_json(rules: Mapping[str, Rule]) -> dict[str, Any]:
    """Return named rules as plain JSON values, in their order."""
    return {name: {"kind": rule.kind, **_plain_fields(rule)} for name, rule in rules.items()}


def rules_from_json(stored: object) -> dict[str, Rule]:
    """Return the named rules that `rules_to_json` made these values of.

    Raises:
        DataError: the values are not what it makes; the message names the rule and the field.
    """
    if not isinstance(stored, dict) or not stored:
        raise DataError(f"decision rules: expected an object with a field for each rule, not {stored!r}; {REMEDY}")
    return {str(name): _rule_from_json(f"decision rule {name!r}", values) for name, values in stored.items()}


def check_scores(scores: Scores, n_genres: int) -> None:
    """Let scores of the shape (n_movies, n_genres) pass, each in [0, 1].

    Raises:
        DataError: they are not; the message names the row and genre.
    """
    if scores.ndim != 2 or scores.shape[1] != n_genres:
        raise DataError(f"scores have shape {scores.shape}, where {n_genres} genres are decided; {REMEDY}")
    wrong = np.argwhere(~((scores >= 0) & (scores <= 1)))
    if len(wrong):
        row, genre = wrong[0]
        raise DataError(
            f"row {row}, genre {genre}: the score {scores[row, genre]} is not in [0, 1]; mend the model that made it"
        )


def _at_least(scores: Scores, thresholds: tuple[float, ...]) -> Decided:
    check_scores(scores, len(thresholds))
    decided = np.asarray(scores >= np.asarray(thresholds))  # in double precision, as the thresholds were tuned
    empty = np.flatnonzero(~decided.any(axis=1))
    decided[empty, scores[empty].argmax(axis=1)] = True
    return decided


def _plain_fields(rule: Rule) -> dict[str, Any]:
    values = {field.name: getattr(rule, field.name) for field in fields(rule)}
    return {name: list(value) if isinstance(value, tuple) else value for name, value in values.items()}


def _rule_from_json(where: str, values: object) -> Rule:
    if not isinstance(values, dict):
        raise DataError(f"{where}: expected an object, not {values!r}; {REMEDY}")
    rule_class = {each.kind: each for each in RULE_CLASSES}.get(str(values.get("kind")))
    if rule_class is None:
        raise DataError(f"{where}: unknown kind {values.get('kind')!r}; {REMEDY}")
    numbers: dict[str, float | tuple[float, ...]] = {}
    for field in fields(rule_class):
        value = values.get(field.name)
        found = _numbers(f"{where}: {field.name}", [value] if field.type is float else value)
        numbers[field.name] = found[0] if field.type is float else found
    if len({len(value) for value in numbers.values() if isinstance(value, tuple)}) > 1:
        raise DataError(f"{where}: {' and '.join(numbers)} must be of the same length; {REMEDY}")
    return rule_class(**numbers)


def _numbers(where: str, values: object) -> tuple[float, ...]:
    if not isinstance(values, list) or not values or not all(_is_finite_number(value) for value in values):
        raise DataError(f"{where} must be finite numbers, not {values!r}; {REMEDY}")
    return tuple(float(value) for value in values)


def _is_finite_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
