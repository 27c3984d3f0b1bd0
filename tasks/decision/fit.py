"""Fitting the rules, on scores of movies that no model was trained on. Owns which rules there are; knows no model."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from tasks.decision.calibration import Calibration, log_odds, logistic
from tasks.decision.rules import (
    ExpectedF1Set,
    ExpectedJaccardSet,
    GlobalThreshold,
    PerGenreThresholds,
    Rule,
    TopGenres,
    check_scores,
)
from tasks.decision.thresholds import tune_count, tune_f1_thresholds, tune_genre_thresholds, tune_global_threshold
from tasks.errors import DataError

# The number of positives at which a genre's own threshold counts as much as the one it is drawn to. On 2,282 movies,
# cross-fitted, the mean Jaccard of five models is 0.4519 with 50, 0.4520 with 25, 0.4492 with 200, 0.4513 unshrunk; the
# mean macro F1 of seven by `fit_f1_thresholds` 0.4384, 0.4372, 0.4371 and 0.4365, and 0.4328 with no own thresholds.
# Drawn to one threshold for all instead, it is 0.4240 with 50.
HALF_WEIGHT_POSITIVES: Final = 50
CLIP: Final = 1e-6  # thresholds of 0 and 1 have no log-odds


def fit_rules(scores: NDArray[np.float32], truth: NDArray[np.bool_]) -> dict[str, Rule]:
    """Return every rule under its name, the simplest first.

    Nothing to fit, or nearly so:

    - `fixed`: 0.5 for every genre, and at least one by the highest score.
    - `fixed-or-majority`: 0.5, and where no genre has it the most frequent one.
    - `fixed-or-none`: 0.5, and no genre where none has it.
    - `fixed-0.425`: 0.425, and at least one by the highest score.

    Fitted for samples-averaged Jaccard, at least one by the highest score:

    - `top`: the k highest scores, one k for all movies.
    - `global`: one tuned threshold.
    - `per-genre`: a tuned threshold for each genre, drawn to the global one (`shrink_thresholds`).
    - `expected-jaccard`: for each movie the set with the greatest expected Jaccard, by calibrated scores.

    For other metrics, at least one by the highest score:

    - `per-genre-f1`: for each genre the threshold that is best for its F1 (`fit_f1_thresholds`), and so for macro F1.
    - `expected-f1`: for each movie the set with the greatest expected F1, by calibrated scores.

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
    positives = truth.sum(axis=0)
    threshold = tune_global_threshold(scores, truth)
    own = tune_genre_thresholds(scores, truth, threshold)
    calibration = Calibration.fit(scores, truth)
    return {
        "fixed": GlobalThreshold(0.5),
        "fixed-or-majority": GlobalThreshold(0.5, fallback=int(positives.argmax())),
        "fixed-or-none": GlobalThreshold(0.5, fallback="none"),
        "fixed-0.425": GlobalThreshold(0.425),
        "top": TopGenres(tune_count(scores, truth)),
        "global": GlobalThreshold(threshold),
        "per-genre": PerGenreThresholds(shrink_thresholds(own, np.full(len(own), threshold), positives)),
        "per-genre-f1": PerGenreThresholds(fit_f1_thresholds(scores, truth, calibration)),
        "expected-jaccard": ExpectedJaccardSet(calibration.slopes, calibration.intercepts),
        "expected-f1": ExpectedF1Set(calibration.slopes, calibration.intercepts),
    }


def fit_f1_thresholds(
    scores: NDArray[np.float32], truth: NDArray[np.bool_], calibration: Calibration
) -> tuple[float, ...]:
    """Return each genre's threshold for its F1, drawn to the one that is best if the calibrated scores are true.

    The latter rests on the scores of all movies and two fitted numbers, so a handful of positives cannot move it far.
    """
    positives = truth.sum(axis=0)
    by_truth = tune_f1_thresholds(scores, truth)
    by_calibration = tune_f1_thresholds(scores, calibration.apply(scores))
    return shrink_thresholds(by_truth, by_calibration, positives)


def shrink_thresholds(
    own: NDArray[np.float64], common: NDArray[np.float64], positives: NDArray[np.int64]
) -> tuple[float, ...]:
    """Return thresholds between each genre's own and another one, so that a few positives do not decide alone.

    The mean is weighted, in log-odds: the own threshold counts n / (n + 50), n being the genre's positives. A genre
    without a positive gets the other threshold.
    """
    weight = positives / (positives + HALF_WEIGHT_POSITIVES)
    shrunk = logistic(weight * log_odds(own, CLIP) + (1 - weight) * log_odds(common, CLIP))
    return tuple(np.where(positives > 0, shrunk, common).tolist())
