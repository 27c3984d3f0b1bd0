"""Every metric of decided genres. Owns their definitions; knows no model, file or rule.

A foundation: the evaluation measures with it, and the report asks how sure its figures are.

Division by zero, everywhere: what has no true positive to find is undefined and left out of the mean (a genre without a
positive, a movie without a true genre), never counted as 0. What has true positives but was never decided has earned
nothing: its precision is 0. Both are counted beside the metrics. A mean of nothing is NaN.

Samples-averaged metrics are means over movies of the columns of `movie_metrics`; micro, macro and weighted ones are
made of the counts of `count_genres`. Both are sums over movies, so a bootstrap needs them once: resampled means and
counts are products of a (n_resamples, n_movies) matrix of weights with them.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

Labels = NDArray[np.bool_]
Floats = NDArray[np.float64]

LOWER_IS_BETTER: Final = frozenset({"hamming_loss"})
MOVIE_METRICS: Final = (
    "jaccard",
    "f1_samples",
    "precision_samples",
    "recall_samples",
    "hamming_loss",
    "exact_match",
    "at_least_one",
    "at_least_two",
    "signed_overlap",
)


@dataclass(frozen=True)
class GenreCounts:
    """True and false positives and negatives, each (..., n_genres)."""

    tp: Floats
    fp: Floats
    fn: Floats
    tn: Floats


def decision_metrics(truth: Labels, decided: Labels) -> dict[str, float]:
    """Return the metrics that depend on decisions by name: of `movie_metrics` and `genre_metrics`, and four counts.

    Counts: `undefined_genres`, genres without a positive; `undecided_genres`, genres with positives that were never
    decided; `movies_without_genre`, without a true one; `undecided_movies`, for which no genre was decided.

    Args:
        truth: (n_movies, n_genres), at least one movie.
        decided: of the same shape.
    """
    per_movie = movie_metrics(truth, decided)
    counts = count_genres(truth, decided)
    positives = counts.tp + counts.fn
    return {
        **{name: mean_of_defined(per_movie[:, column]) for column, name in enumerate(MOVIE_METRICS)},
        **{name: float(value) for name, value in genre_metrics(counts).items()},
        "undefined_genres": float((positives == 0).sum()),
        "undecided_genres": float(((positives > 0) & (counts.tp + counts.fp == 0)).sum()),
        "movies_without_genre": float((~truth.any(axis=1)).sum()),
        "undecided_movies": float((~decided.any(axis=1)).sum()),
    }


def movie_metrics(truth: Labels, decided: Labels) -> Floats:
    """Return (n_movies, 9): for each movie the metrics named in `MOVIE_METRICS`, with T its true, D its decided genres.

    - `jaccard`: |T & D| / |T | D|; `f1_samples`: 2 |T & D| / (|T| + |D|).
    - `precision_samples`: |T & D| / |D|, 0 where D is empty; `recall_samples`: |T & D| / |T|.
    - `hamming_loss`: the share of all genres on which T and D differ; `exact_match`: 1 where T = D, else 0.
    - `at_least_one`, `at_least_two`: 1 where |T & D| is at least one or two, else 0; over all movies, also those with
      a single true genre.
    - `signed_overlap`: (|T & D| - |D - T|) / |T|, hits less false alarms for each true genre, at most 1, without lower
      bound. The earlier system names this metric and publishes no formula; this definition is ours.

    All but `hamming_loss` and `exact_match` are NaN where T is empty.

    Source:
        Godbole and Sarawagi 2004, Discriminative Methods for Multi-labeled Classification (averages over samples);
        Schapire and Singer 2000, BoosTexter: A Boosting-based System for Text Categorization (Hamming loss).
    """
    n_true, n_decided = truth.sum(axis=1), decided.sum(axis=1)
    hits = (truth & decided).sum(axis=1)
    union = n_true + n_decided - hits
    some_true = np.where(n_true > 0, n_true, np.nan)
    defined = np.where(n_true > 0, 1.0, np.nan)
    return np.column_stack(
        [
            hits / np.maximum(union, 1) * defined,
            2 * hits / np.maximum(n_true + n_decided, 1) * defined,
            hits / np.maximum(n_decided, 1) * defined,
            hits / some_true,
            (union - hits) / truth.shape[1],
            union == hits,
            (hits >= 1) * defined,
            (hits >= 2) * defined,
            (hits - (n_decided - hits)) / some_true,
        ]
    )


def count_genres(truth: Labels, decided: Labels) -> GenreCounts:
    """Return the counts of each genre, each (n_genres,)."""
    tp = (truth & decided).sum(axis=0).astype(np.float64)
    fp = decided.sum(axis=0) - tp
    fn = truth.sum(axis=0) - tp
    return GenreCounts(tp, fp, fn, len(truth) - tp - fp - fn)


def genre_metrics(counts: GenreCounts) -> dict[str, Floats]:
    """Return the metrics made of counts, each of the counts' shape less the last axis.

    `precision_`, `recall_` and `f1_` with `micro` (counts added up over genres), `macro` (mean over genres) and
    `weighted` (mean weighted by the genre's positives); `balanced_accuracy`, the mean over genres of the mean of recall
    and specificity, without genres that every or no movie has.

    Source:
        Sokolova and Lapalme 2009, A systematic analysis of performance measures for classification tasks;
        Brodersen et al. 2010, The balanced accuracy and its posterior distribution.
    """
    total = GenreCounts(*(values.sum(axis=-1) for values in (counts.tp, counts.fp, counts.fn, counts.tn)))
    support = counts.tp + counts.fn
    by_genre, over_all = precision_recall_f1(counts), precision_recall_f1(total)
    result: dict[str, Floats] = {}
    for name, values in by_genre.items():
        result[f"{name}_micro"] = over_all[name]
        result[f"{name}_macro"] = _weighted_mean(values, (support > 0).astype(np.float64))
        result[f"{name}_weighted"] = _weighted_mean(values, support)
    specificity = _divide(counts.tn, counts.tn + counts.fp)
    both = (by_genre["recall"] + specificity) / 2
    result["balanced_accuracy"] = _weighted_mean(both, np.isfinite(both).astype(np.float64))
    return result


def precision_recall_f1(counts: GenreCounts) -> dict[str, Floats]:
    """Return `precision`, `recall` and `f1`, of the counts' shape: NaN without a positive; else 0 if never decided."""
    positives = counts.tp + counts.fn
    undefined = np.where(positives > 0, 0.0, np.nan)
    return {
        "precision": counts.tp / np.maximum(counts.tp + counts.fp, 1) + undefined,
        "recall": _divide(counts.tp, positives),
        "f1": 2 * counts.tp / np.maximum(positives + counts.tp + counts.fp, 1) + undefined,
    }


def mean_of_defined(values: Floats) -> float:
    """Return the mean of the values that are not NaN; NaN if there is none."""
    defined = values[~np.isnan(values)]
    return float(defined.mean()) if len(defined) else float("nan")


def _divide(part: Floats, whole: Floats) -> Floats:
    return np.asarray(part / np.where(whole > 0, whole, np.nan))


def _weighted_mean(values: Floats, weights: Floats) -> Floats:
    """Return the mean over the last axis; values with weight 0 may be NaN."""
    return _divide((np.where(weights > 0, values, 0) * weights).sum(axis=-1), weights.sum(axis=-1))
