"""What a model does on each genre. Owns the per-genre table; knows no model, file or rule."""

from collections.abc import Sequence

import numpy as np
import polars as pl
from numpy.typing import NDArray

from tasks.evaluate.ranking import average_precision
from tasks.metrics import count_genres, precision_recall_f1


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
