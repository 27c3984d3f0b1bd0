"""What changes from one model to another on the same test movies. Owns the paired bootstrap of Jaccard and macro F1."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from tasks.errors import DataError
from tasks.evaluate.evaluation import PREDICTIONS_FILE
from tasks.evaluate.metrics import GenreCounts, genre_metrics, movie_metrics
from tasks.schema import DEFAULT_SEED
from tasks.scores import truth_matrix

RESAMPLES: Final = 2000
AT_ONCE: Final = 250  # resamples in memory together: 250 × 24,000 movies are 48 MB

Labels = NDArray[np.bool_]
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Change:
    """A metric before and after, and the 95 % interval of after - before."""

    before: float
    after: float
    low: float
    high: float

    @property
    def in_words(self) -> str:
        """What can be said of it.

        >>> Change(0.5, 0.49, -0.015, -0.005).in_words
        'surely worse: 0.5000 to 0.4900, -0.0100 with the 95 % interval -0.0150 to -0.0050'
        """
        if self.low <= 0 <= self.high:
            surely = "neither surely better nor surely worse"
        else:
            surely = "surely better" if self.low > 0 else "surely worse"
        interval = f"{self.after - self.before:+.4f} with the 95 % interval {self.low:+.4f} to {self.high:+.4f}"
        return f"{surely}: {self.before:.4f} to {self.after:.4f}, {interval}"


def measure_changes(before: Path, after: Sequence[Path], seed: int = DEFAULT_SEED) -> list[dict[str, Change]]:
    """Return for each model of `after` how the Jaccard and the macro F1 on test change, by metric.

    The interval holds the middle 95 % of the changes on 2,000 samples of as many movies, drawn with replacement, the
    same for all models. A genre without a movie in a sample is left out of its macro F1.

    Args:
        before: folder of an evaluated model.
        after: of others.
        seed: of the samples.

    Raises:
        DataError: the models were not tested on the same movies.

    Source: Efron and Tibshirani 1993, An Introduction to the Bootstrap, chapters 8 and 13.
    """
    truth, decided = read_decisions([before, *after])
    n_movies = len(truth)
    random = np.random.default_rng(seed)
    shares = np.full(n_movies, 1 / n_movies)
    metrics = [[weighted_metrics(np.ones((1, n_movies)), truth, labels)] for labels in decided]  # of test as it is
    for _ in range(0, RESAMPLES, AT_ONCE):
        weights = random.multinomial(n_movies, shares, AT_ONCE).astype(np.float64)
        for pieces, labels in zip(metrics, decided, strict=True):
            pieces.append(weighted_metrics(weights, truth, labels))
    first, *others = (
        {name: np.concatenate([piece[name] for piece in pieces]) for name in pieces[0]} for pieces in metrics
    )
    return [{name: _change(first[name], values) for name, values in other.items()} for other in others]


def weighted_metrics(weights: Floats, truth: Labels, decided: Labels) -> dict[str, Floats]:
    """Return `jaccard` and `f1_macro` in each sample, (n_samples,).

    Args:
        weights: how often each movie counts in each sample, (n_samples, n_movies).
        truth: (n_movies, n_genres).
        decided: of the same shape.
    """
    jaccard = movie_metrics(truth, decided)[:, 0]
    defined = np.isfinite(jaccard)
    tp, n_true, n_decided = (weights @ labels.astype(np.float64) for labels in (truth & decided, truth, decided))
    n_movies = weights.sum(axis=1, keepdims=True)
    counts = GenreCounts(tp, n_decided - tp, n_true - tp, n_movies - n_true - n_decided + tp)
    return {
        "jaccard": weights[:, defined] @ jaccard[defined] / weights[:, defined].sum(axis=1),
        "f1_macro": genre_metrics(counts)["f1_macro"],
    }


def read_decisions(folders: Sequence[Path]) -> tuple[Labels, list[Labels]]:
    """Return the truth about the test movies and what each model decided, each (n_movies, n_genres), in one order.

    Raises:
        DataError: the models were not tested on the same movies.
    """
    tables = [pl.read_parquet(folder / PREDICTIONS_FILE).sort("movie_id") for folder in folders]
    known = tables[0].select("movie_id", "true_genres")
    for folder, table in zip(folders, tables, strict=True):
        if not table.select("movie_id", "true_genres").equals(known):
            raise DataError(f"{folder} and {folders[0]} were not tested on the same movies; train both on one split")
    lists = [known["true_genres"], *(table["predicted_genres"] for table in tables)]
    genres = sorted(set().union(*(column.explode().drop_nulls().to_list() for column in lists)))
    truth, *decided = (truth_matrix(column.to_list(), genres) for column in lists)
    return truth, decided


def _change(before: Floats, after: Floats) -> Change:
    low, high = np.nanquantile(after[1:] - before[1:], [0.025, 0.975])
    return Change(float(before[0]), float(after[0]), float(low), float(high))
