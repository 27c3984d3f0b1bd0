"""How well scores rank, whatever the decisions. Owns the ranking metrics; knows no model, file or rule.

What has no true positive to find is undefined and left out of the mean, as in `tasks.metrics`.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from tasks.metrics import Labels, mean_of_defined

Scores = NDArray[np.float32]

ROWS_AT_ONCE: Final = 10_000  # bounds the memory of the comparison of all pairs of genres


def ranking_metrics(truth: Labels, scores: Scores) -> dict[str, float]:
    """Return the ranking metrics by name.

    - `mean_average_precision`: the mean of `average_precision` over genres.
    - `coverage_error`: the mean over movies of how many of the highest-scored genres it takes to have all true ones.
    - `label_ranking_loss`: the mean over movies of the share of pairs of a true and a false genre in which the false
      one scores as high or higher; 0 for a movie that has all genres.

    Args:
        truth: (n_movies, n_genres).
        scores: of the same shape, finite.

    Source:
        Tsoumakas, Katakis and Vlahavas 2010, Mining Multi-label Data (coverage, here counted from 1; ranking loss).
    """
    with_genre = truth.any(axis=1)
    truth_kept, scores_kept = truth[with_genre], scores[with_genre]
    lowest_true = np.where(truth_kept, scores_kept, np.inf).min(axis=1, initial=np.inf)
    coverage = (scores_kept >= lowest_true[:, None]).sum(axis=1)
    return {
        "mean_average_precision": mean_of_defined(average_precision(truth, scores)),
        "coverage_error": mean_of_defined(coverage.astype(np.float64)),
        "label_ranking_loss": mean_of_defined(_misordered_shares(truth_kept, scores_kept)),
    }


def average_precision(truth: Labels, scores: Scores) -> NDArray[np.float64]:
    """Return (n_genres,) sum over distinct scores of precision times the rise in recall; NaN for one without positives.

    Movies with equal scores count together.

    Source:
        Zhu 2004, Recall, Precision and Average Precision (not interpolated).
    """
    result = np.full(truth.shape[1], np.nan)
    for genre in np.flatnonzero(truth.any(axis=0)):
        order = np.argsort(-scores[:, genre], kind="stable")
        last_of_equals = np.append(np.diff(scores[order, genre]) != 0, True)
        hits = truth[order, genre].cumsum()[last_of_equals]
        reached = np.flatnonzero(last_of_equals) + 1
        result[genre] = (np.diff(hits, prepend=0) * hits / reached).sum() / hits[-1]
    return result


def _misordered_shares(truth: Labels, scores: Scores) -> NDArray[np.float64]:
    shares = np.zeros(len(truth))
    for start in range(0, len(truth), ROWS_AT_ONCE):
        y, s = truth[start : start + ROWS_AT_ONCE], scores[start : start + ROWS_AT_ONCE]
        pairs = y[:, :, None] & ~y[:, None, :]
        misordered = (pairs & (s[:, :, None] <= s[:, None, :])).sum(axis=(1, 2))
        shares[start : start + ROWS_AT_ONCE] = misordered / np.maximum(pairs.sum(axis=(1, 2)), 1)
    return shares
