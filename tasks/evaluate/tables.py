"""Whether a score of 0.3 is right three times in ten. Owns the tables and the measure; knows no model, file or rule.

Expected calibration error: movies are put into 15 bins of equally many by their score, and the error is the mean over
movies of the distance between the mean score and the share of positives of their bin. Equal scores share a bin, the one
of the middle of them. A bin's share is itself uncertain, so even perfect scores have an error: simulated, with 2,282
movies, 0.026 where scores are spread evenly, 0.013 and 0.005 where a tenth and a fiftieth of the movies are positive.

Source:
    Guo et al. 2017, On Calibration of Modern Neural Networks, section 2 (the measure, 15 bins); Naeini, Cooper and
    Hauskrecht 2015, Obtaining Well Calibrated Probabilities Using Bayesian Binning (bins of equally many).
"""

from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from tasks.core.errors import DataError
from tasks.core.metrics import Labels, count_genres, decision_metrics, mean_of_defined, precision_recall_f1

# How well scores rank, whatever the decisions. Owns the ranking metrics; knows no model, file or rule.
#
# What has no true positive to find is undefined and left out of the mean, as in `tasks.core.metrics`.


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


def per_genre_table(
    truth: NDArray[np.bool_],
    decided: NDArray[np.bool_],
    scores: NDArray[np.float32],
    genres: Sequence[str],
    thresholds: Sequence[float] | None = None,
) -> pl.DataFrame:
    """Return one row a genre, in genre order: counts, and metrics whose means over rows are the macro ones.

    Columns: `genre`, `support` (movies that have it), `predicted` (movies it was decided for), `tp`, `fp`, `fn`, `tn`,
    `precision`, `recall`, `f1`, `jaccard`, `average_precision`, `threshold`. The metrics are null for a genre without a
    positive; precision is 0 for one that has positives and was never decided. `threshold` is null for a rule without.
    """
    counts = count_genres(truth, decided)
    integers = {
        "support": counts.tp + counts.fn,
        "predicted": counts.tp + counts.fp,
        "tp": counts.tp,
        "fp": counts.fp,
        "fn": counts.fn,
        "tn": counts.tn,
    }
    metrics = {
        **precision_recall_f1(counts),
        "jaccard": np.where(integers["support"] > 0, counts.tp / np.maximum(len(truth) - counts.tn, 1), np.nan),
        "average_precision": average_precision(truth, scores),
    }
    return pl.DataFrame(
        {
            "genre": pl.Series(list(genres), dtype=pl.String),
            **{name: pl.Series(values.astype(np.int64)) for name, values in integers.items()},
            **{name: pl.Series(values).fill_nan(None) for name, values in metrics.items()},
            "threshold": pl.Series(thresholds if thresholds is not None else [None] * len(genres), dtype=pl.Float64),
        }
    )


Values = NDArray[np.float32] | NDArray[np.float64]

BINS: Final = 15


def reliability(values: Values, truth: Labels) -> pl.DataFrame:
    """Return the bins that are not empty, from low to high: `count`, `mean_score`, `share_of_positives`.

    Args:
        values: any number of scores of at least one movie, in [0, 1].
        truth: of the same shape.
    """
    flat, positive = values.ravel().astype(np.float64), truth.ravel()
    _, of_score, counts = np.unique(flat, return_inverse=True, return_counts=True)
    middle = counts.cumsum() - (counts + 1) / 2  # the rank, from 0
    bin_of = np.floor(middle * BINS / len(flat)).astype(np.int64)[of_score]
    count, score, share = (np.bincount(bin_of, weights, minlength=BINS) for weights in (None, flat, positive))
    kept = count > 0
    return pl.DataFrame(
        {
            "count": count[kept].astype(np.int64),
            "mean_score": score[kept] / count[kept],
            "share_of_positives": share[kept] / count[kept],
        }
    )


def expected_calibration_error(values: Values, truth: Labels) -> float:
    """Return the expected calibration error, in [0, 1], of all scores together."""
    bins = reliability(values, truth)
    score, share, count = (bins[name].to_numpy() for name in ("mean_score", "share_of_positives", "count"))
    return float(np.average(np.abs(score - share), weights=count))


def calibration_table(raw: Values, calibrated: Values, truth: Labels, genres: Sequence[str]) -> pl.DataFrame:
    """Return one row a genre, in genre order: `genre`, `positives`, `ece_raw`, `ece_calibrated`."""
    columns = range(len(genres))
    return pl.DataFrame(
        {
            "genre": pl.Series(genres, dtype=pl.String),
            "positives": truth.sum(axis=0),
            "ece_raw": [expected_calibration_error(raw[:, each], truth[:, each]) for each in columns],
            "ece_calibrated": [expected_calibration_error(calibrated[:, each], truth[:, each]) for each in columns],
        }
    )


def reliability_table(scores: Mapping[str, Values], truth: Labels) -> pl.DataFrame:
    """Return the bins of all genres together, for each kind of scores: `scores`, its name, and as `reliability`."""
    return pl.concat(
        reliability(values, truth).select(pl.lit(name).alias("scores"), pl.all()) for name, values in scores.items()
    )
