"""How sure a figure and a difference between models are. Owns the paired bootstrap; knows no model and no file.

Movies are drawn with replacement, as many as there are, the same ones for all models: so what makes some movies hard
for every model drops out of differences. All metrics are made of sums over movies (`tasks.metrics`), so a resample is
a row of weights, how often each movie was drawn, and all resamples are one product of matrices.

Source: Efron and Tibshirani 1993, An Introduction to the Bootstrap, chapters 8 and 13 (percentile intervals).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from tasks.metrics import (
    MOVIE_METRICS,
    Floats,
    GenreCounts,
    Labels,
    genre_metrics,
    movie_metrics,
    precision_recall_f1,
)
from tasks.schema import DEFAULT_SEED

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
