"""Tables of one model's quality: per genre, and how well its scores are calibrated."""

from collections.abc import Mapping, Sequence

import numpy as np
import polars as pl
from numpy.typing import NDArray

from tasks.core.metrics import (
    Labels,
    Scores,
    average_precision,
    calibration_bins,
    count_genres,
    expected_calibration_error,
    precision_recall_f1,
)


def per_genre_table(
    truth: Labels,
    decided: Labels,
    scores: NDArray[np.float32],
    genres: Sequence[str],
    thresholds: Sequence[float] | None = None,
) -> pl.DataFrame:
    """Return one row per genre, in genre order: counts, and metrics that average to the macro ones.

    Columns: `genre`, `support` (movies that have it), `predicted` (movies it was decided for), `tp`, `fp`, `fn`, `tn`,
    `precision`, `recall`, `f1`, `jaccard`, `average_precision`, `threshold`. The metrics are null for a genre without a
    positive; precision is 0 for one with positives that was never decided. `threshold` is null for a rule without.
    """
    counts = count_genres(truth, decided)
    integers = {
        "support": counts.support,
        "predicted": counts.tp + counts.fp,
        **{name: getattr(counts, name) for name in ("tp", "fp", "fn", "tn")},
    }
    metrics = {
        **precision_recall_f1(counts),
        "jaccard": np.where(counts.support > 0, counts.tp / np.maximum(len(truth) - counts.tn, 1), np.nan),
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


def calibration_table(raw: Scores, calibrated: Scores, truth: Labels, genres: Sequence[str]) -> pl.DataFrame:
    """Return one row per genre, in genre order: `genre`, `positives`, `ece_raw`, `ece_calibrated`."""
    errors = {
        name: [expected_calibration_error(*columns) for columns in zip(truth.T, values.T, strict=True)]
        for name, values in (("ece_raw", raw), ("ece_calibrated", calibrated))
    }
    return pl.DataFrame({"genre": pl.Series(genres, dtype=pl.String), "positives": truth.sum(axis=0), **errors})


def reliability_table(scores: Mapping[str, Scores], truth: Labels) -> pl.DataFrame:
    """Return `calibration_bins` of all genres: `scores` (kind), `count`, `mean_score`, `share_of_positives`."""
    bins = {name: calibration_bins(truth, values) for name, values in scores.items()}
    return pl.concat(
        pl.DataFrame({"count": count, "mean_score": score, "share_of_positives": share}).select(
            pl.lit(name).alias("scores"), pl.all()
        )
        for name, (count, score, share) in bins.items()
    )
