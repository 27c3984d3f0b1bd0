"""How sure a figure and a difference between models are. Owns the paired bootstrap; knows no model and no file.

Movies are drawn with replacement, as many as there are, the same ones for all models: so what makes some movies hard
for every model drops out of differences. All metrics are made of sums over movies (`tasks.core.metrics`), so a resample
is a row of weights, how often each movie was drawn, and all resamples are one product of matrices.

Source: Efron and Tibshirani 1993, An Introduction to the Bootstrap, chapters 8 and 13 (percentile intervals).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from tasks.core.schema import DEFAULT_SEED

# Every metric of decided genres. Owns their definitions; knows no model, file or rule.
#
# A foundation: the evaluation measures with it, and the report asks how sure its figures are.
#
# Division by zero, everywhere: what has no true positive to find is undefined and left out of the mean (a genre without
# a positive, a movie without a true genre), never counted as 0. What has true positives but was never decided has
# earned nothing: its precision is 0. Both are counted beside the metrics. A mean of nothing is NaN.
#
# Samples-averaged metrics are means over movies of the columns of `movie_metrics`; micro, macro and weighted ones are
# made of the counts of `count_genres`. Both are sums over movies, so a bootstrap needs them once: resampled means and
# counts are products of a (n_resamples, n_movies) matrix of weights with them.


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


RESAMPLES: Final = 2000
LEVEL: Final = 0.95
AT_ONCE: Final = 100  # resamples in memory together as floats: 100 × 24,000 movies are 19 MB


@dataclass(frozen=True)
class Interval:
    """A figure of all movies, and an interval that holds the middle of its resampled values."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Resampled:
    """Metrics of several models on all movies, the first entry of the second axis, and on resamples, the others.

    A metric is NaN where it is undefined: that of a genre in resamples without a positive.
    """

    metrics: dict[str, Floats]  # by name: (n_models, 1 + n_resamples)
    per_genre: dict[str, Floats]  # precision, recall and f1: (n_models, 1 + n_resamples, n_genres)


def resample(
    truth: Labels, decided: Sequence[Labels], resamples: int = RESAMPLES, seed: int = DEFAULT_SEED
) -> Resampled:
    """Return all metrics that are made of decisions, for all movies and for resamples of them.

    Args:
        truth: (n_movies, n_genres), at least one movie.
        decided: of each model, of the same shape.
        resamples: how many to draw.
        seed: of the draws.
    """
    weights = draw_weights(len(truth), resamples, seed)
    positives = _weighted_sums(weights, truth.astype(np.float64))
    found = [_resample_model(truth, labels, weights, positives) for labels in decided]
    return Resampled(
        *({name: np.stack([kind[name] for kind in kinds]) for name in kinds[0]} for kinds in zip(*found, strict=True))
    )


def draw_weights(n_movies: int, resamples: int = RESAMPLES, seed: int = DEFAULT_SEED) -> NDArray[np.uint16]:
    """Return (1 + resamples, n_movies): how often each movie counts; once in the first row, then as it was drawn."""
    random = np.random.default_rng(seed)
    weights = np.ones((1 + resamples, n_movies), dtype=np.uint16)
    for row in weights[1:]:
        row[:] = np.bincount(random.integers(0, n_movies, n_movies), minlength=n_movies)
    return weights


def interval(values: Floats, level: float = LEVEL) -> Interval:
    """Return the first value with the middle `level` of the defined others; all NaN where the first is undefined."""
    drawn = values[1:][np.isfinite(values[1:])]
    if not np.isfinite(values[0]) or not len(drawn):
        return Interval(float(values[0]), float("nan"), float("nan"))
    low, high = np.quantile(drawn, [(1 - level) / 2, (1 + level) / 2])
    return Interval(float(values[0]), float(low), float(high))


def paired_differences(reference: Floats, others: Floats, seed: int = DEFAULT_SEED) -> list[Interval]:
    """Return how much more the reference has on average than each of the others, on the same movies.

    Args:
        reference: a figure of each movie, (n_movies,), such as its Jaccard.
        others: the same figure under other models, (n_models, n_movies).
        seed: of the draws.
    """
    differences = reference - others
    sums = _weighted_sums(draw_weights(len(reference), seed=seed), differences.T)
    return [interval(values) for values in sums.T / len(reference)]


def _resample_model(
    truth: Labels, decided: Labels, weights: NDArray[np.uint16], positives: Floats
) -> tuple[dict[str, Floats], dict[str, Floats]]:
    per_movie = movie_metrics(truth, decided)
    # Most metrics are defined for the same movies: each different set of them is counted once.
    defined, of_metric = np.unique(np.isfinite(per_movie), axis=1, return_inverse=True)
    columns = (np.nan_to_num(per_movie), defined, truth & decided, decided)
    sums = _weighted_sums(weights, np.hstack([each.astype(np.float64) for each in columns]))
    edges = np.cumsum([each.shape[1] for each in columns])[:-1]
    totals, movies, tp, predicted = np.split(sums, edges, axis=1)
    means = totals / np.where(movies > 0, movies, np.nan)[:, of_metric.ravel()]
    fp, fn = predicted - tp, positives - tp
    counts = GenreCounts(tp, fp, fn, len(truth) - tp - fp - fn)
    by_movie = {name: means[:, column] for column, name in enumerate(MOVIE_METRICS)}
    return {**by_movie, **genre_metrics(counts)}, precision_recall_f1(counts)


def _weighted_sums(weights: NDArray[np.uint16], columns: Floats) -> Floats:
    blocks = [weights[start : start + AT_ONCE] for start in range(0, len(weights), AT_ONCE)]
    return np.vstack([block.astype(np.float64) @ columns for block in blocks])
