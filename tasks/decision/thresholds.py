"""Thresholds and numbers of genres tuned for a metric. Owns the searches, all of them exact; knows no rule.

Jaccard is the samples-averaged one, at least one genre decided for each movie.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

Scores = NDArray[np.float32]
Truth = NDArray[np.bool_]

ABOVE_ALL: Final = 1 + 1e-6  # a threshold that no score reaches
PASSES: Final = 20


def tune_global_threshold(scores: Scores, truth: Truth) -> float:
    """Return the threshold with the greatest mean Jaccard. Exact: every cut between two scores is tried."""
    gains = np.diff(_jaccard_of_highest(scores, truth), axis=1).ravel()
    after_highest = -np.sort(-scores, axis=1)[:, 1:].ravel()
    return _best_cut(after_highest, gains, np.argsort(-after_highest, kind="stable"))


def tune_count(scores: Scores, truth: Truth) -> int:
    """Return the k with which the k highest scores of each movie have the greatest mean Jaccard; of several the least.

    Means that are equal but for rounding count as equal.
    """
    jaccard = _jaccard_of_highest(scores, truth).mean(axis=0)
    return int((jaccard >= jaccard.max() - 1e-12).argmax()) + 1


def tune_genre_thresholds(scores: Scores, truth: Truth, start: float) -> NDArray[np.float64]:
    """Return one threshold a genre with a great mean Jaccard, by coordinate ascent from one threshold for all.

    Each step is exact: it tries every cut between two scores of one genre, the decisions on the others being as they
    are. Genres go from frequent to rare. A genre that never changes the mean keeps `start`.
    """
    orders = np.argsort(-scores, axis=0, kind="stable")
    n_true = truth.sum(axis=1)
    top_is_true = truth[np.arange(len(scores)), scores.argmax(axis=1)]
    fallback = top_is_true / (1 + n_true - top_is_true)  # Jaccard of the highest score alone
    thresholds = np.full(scores.shape[1], start)
    decided = scores >= thresholds
    sizes, hits = decided.sum(axis=1), (decided & truth).sum(axis=1)
    for _ in range(PASSES):
        improved = False
        for genre in np.argsort(-truth.sum(axis=0), kind="stable"):
            y = truth[:, genre]
            sizes -= decided[:, genre]  # of the other genres
            hits -= decided[:, genre] & y
            without = np.where(sizes > 0, hits / np.maximum(sizes + n_true - hits, 1), fallback)
            gains = (hits + y) / (sizes + 1 + n_true - hits - y) - without
            threshold = _best_cut(scores[:, genre], gains, orders[:, genre])
            now_decided = scores[:, genre] >= np.float64(threshold)
            if gains[now_decided].sum() > gains[decided[:, genre]].sum() + 1e-9 * len(scores):
                thresholds[genre], decided[:, genre], improved = threshold, now_decided, True
            sizes += decided[:, genre]
            hits += decided[:, genre] & y
        if not improved:
            break
    return thresholds


def tune_f1_thresholds(scores: Scores, truth: NDArray[np.bool_ | np.float64]) -> NDArray[np.float64]:
    """Return for each genre the threshold with the greatest F1 of that genre; of several the highest.

    The truth can be probabilities p. Then F1 = 2 sum(p decided) / (n_decided + sum(p)), which is what the F1 comes to
    as movies grow many. A genre without any truth has a threshold above all scores.

    Source:
        Lipton, Elkan and Narayanaswamy 2014, Optimal Thresholding of Classifiers to Maximize F1 Measure.
    """
    thresholds = np.full(scores.shape[1], ABOVE_ALL)
    for genre, y in enumerate(truth.T.astype(np.float64)):
        order = np.argsort(-scores[:, genre], kind="stable")
        hits = y[order].cumsum()
        f1 = 2 * hits / (np.arange(1, len(y) + 1) + hits[-1])
        thresholds[genre] = _cut_at_greatest(scores[order, genre], np.concatenate([[0.0], f1]))
    return thresholds


def _jaccard_of_highest(scores: Scores, truth: Truth) -> NDArray[np.float64]:
    """Return each movie's Jaccard with its 1, 2, ... highest scores decided, (n_movies, n_genres)."""
    order = np.argsort(-scores, axis=1, kind="stable")
    hits = np.take_along_axis(truth, order, axis=1).cumsum(axis=1)
    sizes = np.arange(1, scores.shape[1] + 1)
    return np.asarray(hits / (sizes + truth.sum(axis=1)[:, None] - hits))


def _best_cut(scores: Scores, gains: NDArray[np.float64], order: NDArray[np.intp]) -> float:
    """Return the threshold that maximises the sum of gains of the scores that reach it; of several the highest.

    `order` sorts the scores, the highest first.
    """
    return _cut_at_greatest(scores[order], np.concatenate([[0.0], gains[order].cumsum()]))


def _cut_at_greatest(descending: Scores, values: NDArray[np.float64]) -> float:
    """Return the threshold that the first 0, 1, ... of the scores reach, whichever number has the greatest value.

    It lies midway between the lowest score that reaches it and the highest that does not.
    """
    bounds = np.concatenate([[ABOVE_ALL], descending.astype(np.float64), [0.0]])
    between = bounds[:-1] > bounds[1:]
    between[-1] = True  # all scores, even where the lowest is 0
    best = int(np.where(between, values, -np.inf).argmax())
    return float((bounds[best] + bounds[best + 1]) / 2)
