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

from tasks.metrics import Labels

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
