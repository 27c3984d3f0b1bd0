"""Fitting the rules, on scores of movies that no model was trained on. Owns which rules there are; knows no model."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from tasks.decision.calibration import Calibration, log_odds, logistic
from tasks.decision.rules import ExpectedJaccardSet, GlobalThreshold, PerGenreThresholds, Rule, check_scores
from tasks.decision.thresholds import tune_genre_thresholds, tune_global_threshold
from tasks.errors import DataError

# The number of positives at which a genre's own threshold counts as much as the global one. On 2,282 movies,
# cross-fitted, the mean Jaccard of five models is 0.4519 with 50, 0.4520 with 25, 0.4492 with 200, 0.4513 unshrunk.
HALF_WEIGHT_POSITIVES: Final = 50
CLIP: Final = 1e-6  # thresholds of 0 and 1 have no log-odds


def fit_rules(scores: NDArray[np.float32], truth: NDArray[np.bool_]) -> dict[str, Rule]:
    """Return every rule under its name, fitted for samples-averaged Jaccard, the simplest first.

    - `fixed`: 0.5 for every genre.
    - `global`: one tuned threshold.
    - `per-genre`: a tuned threshold for each genre, drawn to the global one (`shrink_thresholds`).
    - `expected-jaccard`: for each movie the set with the greatest expected Jaccard, by calibrated scores.

    Args:
        scores: (n_movies, n_genres), in [0, 1].
        truth: of the same shape.

    Raises:
        DataError: there is no movie, shapes differ, or a score is not in [0, 1].
    """
    check_scores(scores, truth.shape[1])
    if len(scores) != len(truth) or not len(truth):
        raise DataError(
            f"decision rules need scores and true genres of some movies, not of {len(scores)}, {len(truth)}"
        )
    threshold = tune_global_threshold(scores, truth)
    own = tune_genre_thresholds(scores, truth, threshold)
    calibration = Calibration.fit(scores, truth)
    return {
        "fixed": GlobalThreshold(0.5),
        "global": GlobalThreshold(threshold),
        "per-genre": PerGenreThresholds(shrink_thresholds(own, threshold, truth.sum(axis=0))),
        "expected-jaccard": ExpectedJaccardSet(calibration.slopes, calibration.intercepts),
    }


def shrink_thresholds(own: NDArray[np.float64], common: float, positives: NDArray[np.int64]) -> tuple[float, ...]:
    """Return thresholds between each genre's own and the common one, so that a few positives do not decide alone.

    The mean is weighted, in log-odds: the own threshold counts n / (n + 50), n being the genre's positives. A genre
    without a positive gets the common threshold.
    """
    weight = positives / (positives + HALF_WEIGHT_POSITIVES)
    shrunk = logistic(weight * log_odds(own, CLIP) + (1 - weight) * log_odds(np.array([common]), CLIP))
    return tuple(np.where(positives > 0, shrunk, common).tolist())
