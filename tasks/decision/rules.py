"""Decision rules as small frozen objects. Owns deciding; fitting is `tasks.decision.fit`, JSON `tasks.decision.stored`.

Every rule decides at least one genre for every movie, unless its fallback is "none".
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar, Final, Literal

import numpy as np
from numpy.typing import NDArray

from tasks.decision.calibration import Calibration
from tasks.decision.expected import expected_f1, expected_jaccard
from tasks.errors import DataError

Scores = NDArray[np.float32]
Decided = NDArray[np.bool_]

# What a movie gets none of whose scores reaches its threshold: the genre with the highest score (of equally high ones
# the first in genre order), no genre at all, or always the genre of this column.
Fallback = Literal["highest-score", "none"] | int

ROWS_AT_ONCE: Final = 5_000  # bounds the memory for any number of movies
REMEDY: Final = "evaluate the model again"


@dataclass(frozen=True)
class Rule(ABC):
    """Turns scores into genres. Knows at most the number of genres."""

    kind: ClassVar[str]  # its name in JSON

    @abstractmethod
    def decide(self, scores: Scores) -> Decided:
        """Return which genres each movie gets. A movie's genres do not depend on the other movies.

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
    """Decides the genres whose score is the threshold or more; where there is none, what the fallback says.

    A threshold above 1 is never reached.
    """

    kind: ClassVar[str] = "global-threshold"
    threshold: float
    fallback: Fallback = "highest-score"

    def decide(self, scores: Scores) -> Decided:
        """See `Rule.decide`."""
        return _reaching(scores, self.genre_thresholds(scores.shape[-1]), self.fallback)

    def genre_thresholds(self, n_genres: int) -> tuple[float, ...]:
        """See `Rule.genre_thresholds`."""
        return (self.threshold,) * n_genres


@dataclass(frozen=True)
class PerGenreThresholds(Rule):
    """Decides as `GlobalThreshold` does, with a threshold for each genre."""

    kind: ClassVar[str] = "per-genre-thresholds"
    thresholds: tuple[float, ...]
    fallback: Fallback = "highest-score"

    def decide(self, scores: Scores) -> Decided:
        """See `Rule.decide`."""
        return _reaching(scores, self.thresholds, self.fallback)

    def genre_thresholds(self, n_genres: int) -> tuple[float, ...]:  # noqa: ARG002  the rule has its own number
        """See `Rule.genre_thresholds`."""
        return self.thresholds


@dataclass(frozen=True)
class TopGenres(Rule):
    """Decides the `count` genres with the highest scores, of equally high ones the first in genre order."""

    kind: ClassVar[str] = "top-genres"
    count: int

    def decide(self, scores: Scores) -> Decided:
        """See `Rule.decide`."""
        check_scores(scores, scores.shape[-1])
        order = np.argsort(-scores, axis=1, kind="stable")
        decided = np.zeros(scores.shape, dtype=np.bool_)
        np.put_along_axis(decided, order[:, : self.count], values=True, axis=1)
        return decided


@dataclass(frozen=True)
class ExpectedSet(Rule):
    """Decides for each movie the set of genres with the greatest expected value of a metric, by calibrated scores.

    The set always consists of the most probable genres (of equally probable ones the first in genre order), and it is
    the smallest of equally good ones; see `tasks.decision.expected`.
    """

    slopes: tuple[float, ...]  # of the calibration
    intercepts: tuple[float, ...]

    @staticmethod
    @abstractmethod
    def expected(probabilities: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the expected metric of each movie's 1, 2, ... most probable genres; see `tasks.decision.expected`."""

    def decide(self, scores: Scores) -> Decided:
        """See `Rule.decide`."""
        calibration = Calibration(self.slopes, self.intercepts)
        check_scores(scores, len(self.slopes))
        decided = np.zeros(scores.shape, dtype=np.bool_)
        for start in range(0, len(scores), ROWS_AT_ONCE):
            probabilities = calibration.apply(scores[start : start + ROWS_AT_ONCE])
            order = np.argsort(-probabilities, axis=1, kind="stable")
            by_size = self.expected(np.take_along_axis(probabilities, order, axis=1))
            chosen = np.arange(scores.shape[1]) <= by_size.argmax(axis=1)[:, None]
            np.put_along_axis(decided[start : start + ROWS_AT_ONCE], order, chosen, axis=1)
        return decided


@dataclass(frozen=True)
class ExpectedJaccardSet(ExpectedSet):
    """Decides the set with the greatest expected Jaccard."""

    kind: ClassVar[str] = "expected-jaccard-set"
    expected = staticmethod(expected_jaccard)


@dataclass(frozen=True)
class ExpectedF1Set(ExpectedSet):
    """Decides the set with the greatest expected F1 of the movie."""

    kind: ClassVar[str] = "expected-f1-set"
    expected = staticmethod(expected_f1)


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


def _reaching(scores: Scores, thresholds: tuple[float, ...], fallback: Fallback) -> Decided:
    check_scores(scores, len(thresholds))
    decided = np.asarray(scores >= np.asarray(thresholds))  # in double precision, as the thresholds were tuned
    if fallback == "none":
        return decided
    empty = np.flatnonzero(~decided.any(axis=1))
    if fallback == "highest-score":
        decided[empty, scores[empty].argmax(axis=1)] = True
    elif fallback < len(thresholds):
        decided[empty, fallback] = True
    else:
        raise DataError(f"the fallback is genre {fallback}, where {len(thresholds)} genres are decided; {REMEDY}")
    return decided
