"""Thresholds tuned for samples-averaged Jaccard, at least one genre each movie. Owns the searches; knows no rule."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

Scores = NDArray[np.float32]
Truth = NDArray[np.bool_]

ABOVE_ALL: Final = 1 + 1e-6  # a threshold that no score reaches
PASSES: Final = 20


def tune_global_threshold(scores: Scores, truth: Truth) -> float:
    """Return the threshold with the greatest mean Jaccard. Exact: every cut between two scores is tried."""
    order = np.argsort(-scores, axis=1, kind="stable")
    hits = np.take_along_axis(truth, order, axis=1).cumsum(axis=1)
    sizes = np.arange(1, scores.shape[1] + 1)
    jaccard = hits / (sizes + truth.sum(axis=1)[:, None] - hits)  # of the 1, 2, ... highest scores
    highest_first = np.take_along_axis(scores, order, axis=1)
    return _best_cut(highest_first[:, 1:].ravel(), np.diff(jaccard, axis=1).ravel())


def tune_genre_thresholds(scores: Scores, truth: Truth, start: float) -> NDArray[np.float64]:
    """Return one threshold a genre with a great mean Jaccard, by coordinate ascent from one threshold for all.

    Each step is exact: it tries every cut between two scores of one genre, the decisions on the others being as they
    are. Genres go from frequent to rare. A genre that never changes the mean keeps `start`.
    """
    n_true = truth.sum(axis=1)
    top_is_true = truth[np.arange(len(scores)), scores.argmax(axis=1)]
    fallback = top_is_true / (1 + n_true - top_is_true)  # Jaccard of the highest score alone
    thresholds = np.full(scores.shape[1], start)
    decided = scores >= thresholds
    for _ in range(PASSES):
        improved = False
        for genre in np.argsort(-truth.sum(axis=0), kind="stable"):
            y = truth[:, genre]
            others = decided.sum(axis=1) - decided[:, genre]
            hits = (decided & truth).sum(axis=1) - (decided[:, genre] & y)
            without = np.where(others > 0, hits / np.maximum(others + n_true - hits, 1), fallback)
            gains = (hits + y) / (others + 1 + n_true - hits - y) - without
            threshold = _best_cut(scores[:, genre], gains)
            now_decided = scores[:, genre] >= np.float64(threshold)
            if gains[now_decided].sum() > gains[decided[:, genre]].sum() + 1e-9 * len(scores):
                thresholds[genre], decided[:, genre], improved = threshold, now_decided, True
        if not improved:
            break
    return thresholds


def _best_cut(scores: Scores, gains: NDArray[np.float64]) -> float:
    """Return the threshold that maximises the sum of gains of the scores that reach it; of several the highest.

    It lies midway between the lowest score that reaches it and the highest that does not.
    """
    order = np.argsort(-scores, kind="stable")
    bounds = np.concatenate([[ABOVE_ALL], scores[order].astype(np.float64), [0.0]])
    totals = np.concatenate([[0.0], gains[order].cumsum()])
    between = bounds[:-1] > bounds[1:]
    between[-1] = True  # all scores, even where the lowest is 0
    best = int(np.where(between, totals, -np.inf).argmax())
    return float((bounds[best] + bounds[best + 1]) / 2)
