"""All metrics of decisions and scores together. Owns what they ask of their input; knows no model, file or rule."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from tasks.errors import DataError
from tasks.evaluate.ranking import ranking_metrics
from tasks.metrics import Labels, decision_metrics


def evaluate(truth: Labels, decided: Labels, scores: NDArray[np.float32], genres: Sequence[str]) -> dict[str, float]:
    """Return every metric by name: those of `decision_metrics` and of `ranking_metrics`.

    Args:
        truth: (n_movies, n_genres).
        decided: of the same shape.
        scores: of the same shape, in [0, 1].
        genres: names of the columns.

    Raises:
        DataError: shapes differ, there is no movie, or a score is not a finite number.
    """
    _check(truth, decided, scores, genres)
    return {**decision_metrics(truth, decided), **ranking_metrics(truth, scores)}


def _check(truth: Labels, decided: Labels, scores: NDArray[np.float32], genres: Sequence[str]) -> None:
    shapes = {truth.shape, decided.shape, scores.shape}
    if len(shapes) > 1 or truth.ndim != 2 or truth.shape[1] != len(genres):
        raise DataError(f"truth, decisions and scores have the shapes {sorted(shapes)} for {len(genres)} genres")
    if len(truth) == 0:
        raise DataError("there is no movie to evaluate on; add listings, or raise the share of the part")
    wrong = np.argwhere(~np.isfinite(scores))
    if len(wrong):
        row, column = wrong[0]
        raise DataError(
            f"row {row}: the score of {genres[column]} is {scores[row, column]}; mend the model that made it"
        )
