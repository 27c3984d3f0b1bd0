"""Fitting the decision rules, on scores of movies that the model was not trained on.

All searches are exact. Jaccard is the samples-averaged one, with at least one genre decided for each movie.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from tasks.core.errors import DataError
from tasks.decision import rules
from tasks.decision.calibration import Calibration, Vector, log_odds, logistic
from tasks.decision.rules import Rule, Scores

Truth = NDArray[np.bool_]

ABOVE_ALL: Final = 1 + 1e-6  # a threshold that no score reaches
# The number of positives at which a genre's own threshold weighs as much as the common one. On 2,282 movies,
# cross-fitted, the mean Jaccard of five models is 0.4519 with 50, 0.4520 with 25, 0.4492 with 200, 0.4513 unshrunk; the
# mean macro F1 of seven by `per-genre-f1` is 0.4384, 0.4372, 0.4371 and 0.4365, and 0.4328 without own thresholds.
# Shrunk towards one threshold for all instead, it is 0.4240 with 50.
HALF_WEIGHT_POSITIVES: Final = 50
CLIP: Final = 1e-6  # thresholds of 0 and 1 have no log-odds


def tune_global_threshold(scores: Scores, truth: Truth) -> float:
    """Return the threshold with the greatest mean Jaccard. Exact: every cut between two scores is tried."""
    gains = np.diff(_jaccard_of_highest(scores, truth), axis=1).ravel()
    after_highest = -np.sort(-scores, axis=1)[:, 1:].ravel()
    order = np.argsort(-after_highest, kind="stable")
    return _best_cut(after_highest[order], gains[order].cumsum())


def tune_count(scores: Scores, truth: Truth) -> int:
    """Return the k whose k highest scores per movie give the greatest mean Jaccard, the smallest on (rounded) ties."""
    jaccard = _jaccard_of_highest(scores, truth).mean(axis=0)
    return int((jaccard >= jaccard.max() - 1e-12).argmax()) + 1


def tune_genre_thresholds(scores: Scores, truth: Truth, start: float) -> NDArray[np.float64]:
    """Return one threshold per genre, by coordinate ascent on the mean Jaccard from one threshold for all.

    Each step tries every cut between two scores of one genre, with the decisions on the others fixed, from frequent to
    rare genres. A genre that never changes the mean keeps `start`.
    """
    orders = np.argsort(-scores, axis=0, kind="stable")
    n_true = truth.sum(axis=1)
    top_is_true = truth[np.arange(len(scores)), scores.argmax(axis=1)]
    fallback = top_is_true / (1 + n_true - top_is_true)  # Jaccard of the highest score alone
    thresholds = np.full(scores.shape[1], start)
    decided = scores >= thresholds
    sizes, hits = decided.sum(axis=1), (decided & truth).sum(axis=1)
    for _ in range(20):
        improved = False
        for genre in np.argsort(-truth.sum(axis=0), kind="stable"):
            y = truth[:, genre]
            sizes -= decided[:, genre]  # of the other genres
            hits -= decided[:, genre] & y
            without = np.where(sizes > 0, hits / np.maximum(sizes + n_true - hits, 1), fallback)
            gains = (hits + y) / (sizes + 1 + n_true - hits - y) - without
            order = orders[:, genre]
            threshold = _best_cut(scores[order, genre], gains[order].cumsum())
            now_decided = scores[:, genre] >= np.float64(threshold)
            if gains[now_decided].sum() > gains[decided[:, genre]].sum() + 1e-9 * len(scores):
                thresholds[genre], decided[:, genre], improved = threshold, now_decided, True
            sizes += decided[:, genre]
            hits += decided[:, genre] & y
        if not improved:
            break
    return thresholds


def tune_f1_thresholds(scores: Scores, truth: NDArray[np.bool_ | np.float64]) -> NDArray[np.float64]:
    """Return for each genre the threshold with the greatest F1 of that genre, the highest on ties.

    The truth can be probabilities p: F1 = 2 sum(p decided) / (n_decided + sum(p)) is the limit for many movies. A genre
    without any positive has a threshold above all scores.

    Source: Lipton, Elkan and Narayanaswamy 2014, Optimal Thresholding of Classifiers to Maximize F1 Measure.
    """
    thresholds = np.full(scores.shape[1], ABOVE_ALL)
    for genre, y in enumerate(truth.T.astype(np.float64)):
        order = np.argsort(-scores[:, genre], kind="stable")
        hits = y[order].cumsum()
        f1 = 2 * hits / (np.arange(1, len(y) + 1) + hits[-1])
        thresholds[genre] = _best_cut(scores[order, genre], f1)
    return thresholds


def _jaccard_of_highest(scores: Scores, truth: Truth) -> NDArray[np.float64]:
    """Return each movie's Jaccard with its 1, 2, ... highest scores decided, (n_movies, n_genres)."""
    order = np.argsort(-scores, axis=1, kind="stable")
    hits = np.take_along_axis(truth, order, axis=1).cumsum(axis=1)
    sizes = np.arange(1, scores.shape[1] + 1)
    return np.asarray(hits / (sizes + truth.sum(axis=1)[:, None] - hits))


def _best_cut(descending: Scores, values: NDArray[np.float64]) -> float:
    """Return the highest threshold with the greatest value; there is one for each score as the last that reaches it."""
    values = np.concatenate([[0.0], values])  # 0 if none does
    bounds = np.concatenate([[ABOVE_ALL], descending.astype(np.float64), [0.0]])
    between = bounds[:-1] > bounds[1:]
    between[-1] = True  # all scores, even where the lowest is 0
    best = int(np.where(between, values, -np.inf).argmax())
    return float((bounds[best] + bounds[best + 1]) / 2)


def fit_rules(scores: Scores, truth: Truth) -> dict[str, Rule]:
    """Return every rule by name, the simplest first; scores in [0, 1] and truth are (n_movies, n_genres).

    All but `fixed-or-none` decide at least one genre. Those from `top` to `per-genre`, and `expected-jaccard`, are
    fitted for samples-averaged Jaccard, `per-genre-f1` for macro F1, `expected-f1` for the movies' F1.
    """
    rules.check_scores(scores, truth.shape[1])
    if len(scores) != len(truth) or not len(truth):
        raise DataError(f"decision rules need scores and true genres of the same movies: {len(scores)}, {len(truth)}")
    positives = truth.sum(axis=0)
    threshold = tune_global_threshold(scores, truth)
    own = tune_genre_thresholds(scores, truth, threshold)
    calibration = Calibration.fit(scores, truth)
    # The robust ones are the best if calibrated scores are right.
    own_f1, robust_f1 = (tune_f1_thresholds(scores, each) for each in (truth, calibration.apply(scores)))
    return {
        "fixed": rules.GlobalThreshold(0.5),
        "fixed-or-majority": rules.GlobalThreshold(0.5, fallback=int(positives.argmax())),
        "fixed-or-none": rules.GlobalThreshold(0.5, fallback="none"),
        "fixed-0.425": rules.GlobalThreshold(0.425),
        "top": rules.TopGenres(tune_count(scores, truth)),
        "global": rules.GlobalThreshold(threshold),
        "per-genre": rules.PerGenreThresholds(shrink_thresholds(own, np.full(len(own), threshold), positives)),
        "per-genre-f1": rules.PerGenreThresholds(shrink_thresholds(own_f1, robust_f1, positives)),
        "expected-jaccard": rules.ExpectedJaccardSet(calibration.slopes, calibration.intercepts),
        "expected-f1": rules.ExpectedF1Set(calibration.slopes, calibration.intercepts),
    }


def shrink_thresholds(own: Vector, common: Vector, positives: NDArray[np.int64]) -> tuple[float, ...]:
    """Return each genre's own threshold shrunk towards a common one, so that a few positives do not decide alone.

    It is the weighted mean in log-odds; the own threshold has the weight n / (n + 50) for n positives.
    """
    weight = positives / (positives + HALF_WEIGHT_POSITIVES)
    shrunk = logistic(weight * log_odds(own, CLIP) + (1 - weight) * log_odds(common, CLIP))
    return tuple(np.where(positives > 0, shrunk, common).tolist())
