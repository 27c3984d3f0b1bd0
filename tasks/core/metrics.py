"""All metrics, in one table (`METRICS`), their paired bootstrap, and what promotion to champion by them needs.

Division by zero: without a true positive to find (a genre without a positive, a movie without a true genre), a value is
NaN and left out of the mean, never counted as 0. A genre with positives that was never decided has a precision of 0.
`METRICS` counts both. A mean of nothing is NaN.

Bootstrap: movies are drawn with replacement, the same ones for all models, so what makes some movies hard for every
model cancels in differences. Means over movies and counts of genres are sums over movies, so a resample is a row of
weights, how often each movie was drawn, and all resamples are one matrix product.

Source:
    Godbole and Sarawagi 2004, Discriminative Methods for Multi-labeled Classification (averages over samples);
    Schapire and Singer 2000, BoosTexter: A Boosting-based System for Text Categorization (Hamming loss);
    Sokolova and Lapalme 2009, A systematic analysis of performance measures for classification tasks;
    Brodersen et al. 2010, The balanced accuracy and its posterior distribution;
    Tsoumakas, Katakis and Vlahavas 2010, Mining Multi-label Data (coverage, here counted from 1; ranking loss);
    Guo et al. 2017, On Calibration of Modern Neural Networks, section 2 (calibration error, 15 bins);
    Naeini, Cooper and Hauskrecht 2015, Obtaining Well Calibrated Probabilities Using Bayesian Binning (equal counts);
    Efron and Tibshirani 1993, An Introduction to the Bootstrap, chapters 8 and 13 (percentile intervals).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, Field

from tasks.core.schema import DEFAULT_SEED

Labels = NDArray[np.bool_]
Floats = NDArray[np.float64]
Scores = NDArray[np.float32] | NDArray[np.float64]

REGISTERED_NAME: Final = "movie-genre-classifier"
BINS: Final = 15  # of the calibration error
ROWS_AT_ONCE: Final = 10_000  # bounds the memory of the comparison of all pairs of genres
RESAMPLES: Final = 2000
AT_ONCE: Final = 100  # resamples in memory together as floats: 100 × 24,000 movies are 19 MB


class MovieCounts:
    """The number of true, decided, correct (both) and all (either) genres of each movie; each (n_movies,)."""

    def __init__(self, truth: Labels, decided: Labels) -> None:
        self.true, self.decided = truth.sum(axis=1), decided.sum(axis=1)
        self.hits = (truth & decided).sum(axis=1)
        self.union = self.true + self.decided - self.hits
        self.n_genres = truth.shape[1]
        self.defined = np.where(self.true > 0, 1.0, np.nan)  # a factor: NaN for movies without a true genre

    def share(self, part: NDArray[np.int64], whole: NDArray[np.int64]) -> Floats:
        """Return part / whole of each movie; 0 for 0 / 0, NaN for a movie without a true genre."""
        return np.asarray(part / np.maximum(whole, 1) * self.defined)


class GenreCounts:
    """True and false positives and negatives, and what follows of them; each (..., n_genres).

    Without a positive of a genre, all is NaN. With positives that were never decided, precision and F1 are 0. The
    balanced accuracy is the mean of recall and specificity; NaN for a genre that every or no movie has.
    """

    def __init__(self, tp: Floats, fp: Floats, fn: Floats, tn: Floats) -> None:
        self.tp, self.fp, self.fn, self.tn = tp, fp, fn, tn
        self.support = tp + fn
        undefined = np.where(self.support > 0, 0.0, np.nan)
        self.precision: Floats = tp / np.maximum(tp + fp, 1) + undefined
        self.recall = _divide(tp, self.support)
        self.f1: Floats = 2 * tp / np.maximum(self.support + tp + fp, 1) + undefined
        self.balanced_accuracy = (self.recall + _divide(tn, tn + fp)) / 2

    @cached_property
    def total(self) -> "GenreCounts":
        """The sums over genres."""
        return GenreCounts(*(values.sum(axis=-1) for values in (self.tp, self.fp, self.fn, self.tn)))

    def macro(self, values: Floats) -> Floats:
        """Return the mean over genres of the defined values."""
        return _weighted_mean(values, np.isfinite(values).astype(np.float64))

    def weighted(self, values: Floats) -> Floats:
        """Return the mean over genres, weighted by their support."""
        return _weighted_mean(values, self.support)


def count_genres(truth: Labels, decided: Labels) -> GenreCounts:
    """Return the counts of each genre, each (n_genres,)."""
    tp = (truth & decided).sum(axis=0).astype(np.float64)
    fp, fn = decided.sum(axis=0) - tp, truth.sum(axis=0) - tp
    return GenreCounts(tp, fp, fn, len(truth) - tp - fp - fn)


def average_precision(truth: Labels, scores: Scores) -> Floats:
    """Return (n_genres,) sum over distinct scores of precision times the rise in recall; NaN without positives.

    Source: Zhu 2004, Recall, Precision and Average Precision (not interpolated).
    """
    result = np.full(truth.shape[1], np.nan)
    for genre in np.flatnonzero(truth.any(axis=0)):
        order = np.argsort(-scores[:, genre], kind="stable")
        last_of_equals = np.append(np.diff(scores[order, genre]) != 0, True)
        hits = truth[order, genre].cumsum()[last_of_equals]
        reached = np.flatnonzero(last_of_equals) + 1
        result[genre] = (np.diff(hits, prepend=0) * hits / reached).sum() / hits[-1]
    return result


def _coverage(truth: Labels, scores: Scores) -> float:
    """Return the mean over movies of how many of the highest-scored genres are needed to have all true ones."""
    with_genre = truth.any(axis=1)
    truth, scores = truth[with_genre], scores[with_genre]
    lowest_true = np.where(truth, scores, np.inf).min(axis=1, initial=np.inf)
    return mean_of_defined((scores >= lowest_true[:, None]).sum(axis=1).astype(np.float64))


def _ranking_loss(truth: Labels, scores: Scores) -> float:
    """Return the mean share of pairs of a true and a false genre in which the false one scores >=; 0 without pairs."""
    with_genre = truth.any(axis=1)
    truth, scores = truth[with_genre], scores[with_genre]
    shares = np.zeros(len(truth))
    for start in range(0, len(truth), ROWS_AT_ONCE):
        y, s = truth[start : start + ROWS_AT_ONCE], scores[start : start + ROWS_AT_ONCE]
        pairs = y[:, :, None] & ~y[:, None, :]
        misordered = (pairs & (s[:, :, None] <= s[:, None, :])).sum(axis=(1, 2))
        shares[start : start + ROWS_AT_ONCE] = misordered / np.maximum(pairs.sum(axis=(1, 2)), 1)
    return mean_of_defined(shares)


def calibration_bins(truth: Labels, scores: Scores) -> tuple[NDArray[np.int64], Floats, Floats]:
    """Return the count, mean score and share of positives of each non-empty bin, from low to high scores in [0, 1].

    Bins have equal counts; equal scores share a bin, that of the middle one.
    """
    flat, positive = scores.ravel().astype(np.float64), truth.ravel()
    _, of_score, counts = np.unique(flat, return_inverse=True, return_counts=True)
    middle = counts.cumsum() - (counts + 1) / 2  # the rank, from 0
    bin_of = np.floor(middle * BINS / len(flat)).astype(np.int64)[of_score]
    count, score, share = (np.bincount(bin_of, weights, minlength=BINS) for weights in (None, flat, positive))
    kept = count > 0
    return count[kept].astype(np.int64), score[kept] / count[kept], share[kept] / count[kept]


def expected_calibration_error(truth: Labels, scores: Scores) -> float:
    """Return the mean over scores of the distance between the mean score and the share of positives of their bin.

    A share is itself uncertain, so even perfect scores have an error: simulated, with 2,282 movies, 0.026 where scores
    are spread evenly, 0.013 and 0.005 where a tenth and a fiftieth of the movies are positive.
    """
    count, score, share = calibration_bins(truth, scores)
    return float(np.average(np.abs(score - share), weights=count))


Group = Literal["leading", "main", "averages", "further", "counts"]


@dataclass(frozen=True)
class Metric:
    """How a metric is computed, shown and used.

    `compute` takes by `of`: for "movies" their counts, and returns the values, NaN where undefined, of which the metric
    is the mean; for "genres" their counts, whose last axis it drops; for "labels" true and decided ones, and selects
    what is counted; for "ranking" truth and scores; for "calibration", on test only, truth, raw and calibrated scores.

    `group`: MLflow shows "leading" metrics first, and with the "main" ones they are a model's summary; the other groups
    are sections of the leaderboard. Only metrics of decisions can choose (a rule, the best of a search, a champion).
    """

    of: Literal["movies", "genres", "labels", "ranking", "calibration"]
    group: Group
    title: str
    short: str  # in narrow tables
    compute: Callable[..., Any]
    _: KW_ONLY
    decimals: int = 4
    lower_is_better: bool = False
    can_choose: bool = False


_count = partial(Metric, "labels", "counts", decimals=0)
_error = partial(Metric, lower_is_better=True)

# Every metric, in the order of all tables. To add one, add an entry.
METRICS: Final[Mapping[str, Metric]] = {
    "jaccard": Metric("movies", "leading", "Jaccard", "J", lambda m: m.share(m.hits, m.union), can_choose=True),
    "f1_samples": Metric(
        "movies", "main", "F1 (samples)", "F1 smp", lambda m: m.share(2 * m.hits, m.true + m.decided), can_choose=True
    ),
    "precision_samples": Metric(
        "movies", "averages", "precision (samples)", "P smp", lambda m: m.share(m.hits, m.decided)
    ),
    "recall_samples": Metric("movies", "averages", "recall (samples)", "R smp", lambda m: _divide(m.hits, m.true)),
    # The share of all genres on which truth and decision differ.
    "hamming_loss": _error(
        "movies", "further", "Hamming loss", "Hamming", lambda m: (m.union - m.hits) / m.n_genres, can_choose=True
    ),
    "exact_match": Metric("movies", "leading", "exact match", "exact", lambda m: m.union == m.hits, can_choose=True),
    "at_least_one": Metric("movies", "leading", "≥ 1 correct", "≥ 1", lambda m: (m.hits >= 1) * m.defined),
    # Over all movies, also those with a single true genre.
    "at_least_two": Metric("movies", "further", "≥ 2 correct", "≥ 2", lambda m: (m.hits >= 2) * m.defined),
    # Hits less false alarms for each true genre, at most 1, without lower bound. The earlier system names this metric
    # and publishes no formula; this definition is ours.
    "signed_overlap": Metric(
        "movies", "further", "signed overlap", "signed", lambda m: _divide(m.hits - (m.decided - m.hits), m.true)
    ),
    "precision_micro": Metric("genres", "averages", "precision (micro)", "P mic", lambda g: g.total.precision),
    "precision_macro": Metric("genres", "averages", "precision (macro)", "P mac", lambda g: g.macro(g.precision)),
    "precision_weighted": Metric(
        "genres", "averages", "precision (weighted)", "P wgt", lambda g: g.weighted(g.precision)
    ),
    "recall_micro": Metric("genres", "averages", "recall (micro)", "R mic", lambda g: g.total.recall),
    "recall_macro": Metric("genres", "averages", "recall (macro)", "R mac", lambda g: g.macro(g.recall)),
    "recall_weighted": Metric("genres", "averages", "recall (weighted)", "R wgt", lambda g: g.weighted(g.recall)),
    "f1_micro": Metric("genres", "leading", "F1 (micro)", "F1 mic", lambda g: g.total.f1, can_choose=True),
    "f1_macro": Metric("genres", "leading", "F1 (macro)", "F1 mac", lambda g: g.macro(g.f1), can_choose=True),
    "f1_weighted": Metric("genres", "averages", "F1 (weighted)", "F1 wgt", lambda g: g.weighted(g.f1), can_choose=True),
    "balanced_accuracy": Metric(
        "genres", "further", "balanced accuracy", "bal acc", lambda g: g.macro(g.balanced_accuracy), can_choose=True
    ),
    "undefined_genres": _count("genres without a positive", "no pos", lambda truth, _: ~truth.any(axis=0)),
    "undecided_genres": _count(
        "genres never decided", "undecided", lambda truth, decided: truth.any(axis=0) & ~decided.any(axis=0)
    ),
    "movies_without_genre": _count("movies without a true genre", "no genre", lambda truth, _: ~truth.any(axis=1)),
    "undecided_movies": _count("movies with no genre decided", "no answer", lambda _, decided: ~decided.any(axis=1)),
    "mean_average_precision": Metric(
        "ranking", "further", "mean average precision", "MAP", lambda y, s: mean_of_defined(average_precision(y, s))
    ),
    "coverage_error": _error("ranking", "further", "coverage error", "coverage", _coverage, decimals=2),
    "label_ranking_loss": _error("ranking", "further", "label ranking loss", "rank loss", _ranking_loss),
    "ece_raw": _error(
        "calibration", "further", "calibration error", "ECE", lambda y, raw, _: expected_calibration_error(y, raw)
    ),
    "ece_calibrated": _error(
        *("calibration", "further", "calibration error, calibrated", "ECE cal"),
        lambda y, _, calibrated: expected_calibration_error(y, calibrated),
    ),
}
MOVIE_METRICS: Final = {name: metric for name, metric in METRICS.items() if metric.of == "movies"}
GENRE_METRICS: Final = {name: metric for name, metric in METRICS.items() if metric.of == "genres"}
LOWER_IS_BETTER: Final = frozenset(name for name, metric in METRICS.items() if metric.lower_is_better)
CHOICES: Final = tuple(name for name, metric in METRICS.items() if metric.can_choose)

if TYPE_CHECKING:
    ChoiceMetric = str
else:
    ChoiceMetric = Literal[CHOICES]  # type checkers cannot read a computed Literal


def in_groups(*groups: Group) -> tuple[str, ...]:
    """Return the names of the metrics of some groups, in the order of the table."""
    return tuple(name for name, metric in METRICS.items() if metric.group in groups)


def decision_metrics(truth: Labels, decided: Labels) -> dict[str, float]:
    """Return the metrics of decisions by name; labels are (n_movies, n_genres) of at least one movie."""
    counts = {name: each.compute(truth, decided).sum() for name, each in METRICS.items() if each.of == "labels"}
    return {
        **dict(zip(MOVIE_METRICS, map(mean_of_defined, movie_metrics(truth, decided).T), strict=True)),
        **{name: float(value) for name, value in (genre_metrics(count_genres(truth, decided)) | counts).items()},
    }


def ranking_metrics(truth: Labels, scores: Scores) -> dict[str, float]:
    """Return the metrics of how well finite scores, (n_movies, n_genres), rank genres and movies, by name."""
    return {name: each.compute(truth, scores) for name, each in METRICS.items() if each.of == "ranking"}


def movie_metrics(truth: Labels, decided: Labels) -> Floats:
    """Return (n_movies, n_metrics), the columns in the order of `MOVIE_METRICS`."""
    counts = MovieCounts(truth, decided)
    return np.column_stack([metric.compute(counts) for metric in MOVIE_METRICS.values()])


def genre_metrics(counts: GenreCounts) -> dict[str, Floats]:
    """Return `GENRE_METRICS` by name, each of the counts' shape without the last axis."""
    return {name: metric.compute(counts) for name, metric in GENRE_METRICS.items()}


def precision_recall_f1(counts: GenreCounts) -> dict[str, Floats]:
    """Return `precision`, `recall` and `f1` of each genre, of the counts' shape."""
    return {"precision": counts.precision, "recall": counts.recall, "f1": counts.f1}


def mean_of_defined(values: Floats) -> float:
    """Return the mean of the values that are not NaN; NaN if there is none."""
    defined = values[~np.isnan(values)]
    return float(defined.mean()) if len(defined) else float("nan")


def _divide(part: NDArray[Any], whole: NDArray[Any]) -> Floats:
    return np.asarray(part / np.where(whole > 0, whole, np.nan))


def _weighted_mean(values: Floats, weights: Floats) -> Floats:
    """Return the mean over the last axis; values with weight 0 may be NaN."""
    return _divide((np.where(weights > 0, values, 0) * weights).sum(axis=-1), weights.sum(axis=-1))


class Interval(NamedTuple):
    """A metric on all movies, and the interval of the middle of its resampled values."""

    value: float
    low: float
    high: float


class Resampled(NamedTuple):
    """Metrics of several models; second axis: on all movies, then on resamples; NaN where undefined."""

    metrics: dict[str, Floats]  # by name: (n_models, 1 + n_resamples)
    per_genre: dict[str, Floats]  # precision, recall and f1: (n_models, 1 + n_resamples, n_genres)


def resample(
    truth: Labels, decided: Sequence[Labels], resamples: int = RESAMPLES, seed: int = DEFAULT_SEED
) -> Resampled:
    """Return all metrics of decisions, (n_movies, n_genres) for each model, on all movies and on resamples of them."""
    weights = draw_weights(len(truth), resamples, seed)
    positives = _weighted_sums(weights, truth.astype(np.float64))
    found = zip(*(_resample_model(truth, labels, weights, positives) for labels in decided), strict=True)
    return Resampled(*({name: np.stack([each[name] for each in kind]) for name in kind[0]} for kind in found))


def draw_weights(n_movies: int, resamples: int = RESAMPLES, seed: int = DEFAULT_SEED) -> NDArray[np.uint16]:
    """Return (1 + resamples, n_movies): how often each movie counts; once in the first row, then as often as drawn."""
    random = np.random.default_rng(seed)
    weights = np.ones((1 + resamples, n_movies), dtype=np.uint16)
    for row in weights[1:]:
        row[:] = np.bincount(random.integers(0, n_movies, n_movies), minlength=n_movies)
    return weights


def interval(values: Floats, level: float = 0.95) -> Interval:
    """Return the first value with the middle `level` of the defined others; all NaN where the first is undefined."""
    drawn = values[1:][np.isfinite(values[1:])]
    if not np.isfinite(values[0]) or not len(drawn):
        return Interval(float(values[0]), float("nan"), float("nan"))
    low, high = np.quantile(drawn, [(1 - level) / 2, (1 + level) / 2])
    return Interval(float(values[0]), float(low), float(high))


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


class PromotionConfig(BaseModel, frozen=True, extra="forbid"):
    """When the best model replaces the champion."""

    enabled: bool | None = Field(None, description="Whether to promote. Default: unless chosen runs are compared.")
    metric: ChoiceMetric = Field("jaccard", description="Metric on test that decides promotion.")
    level: float = Field(0.95, gt=0, lt=1, description="Confidence level of the promotion test.")
    correction: Literal["none", "bonferroni"] = Field(
        "none", description="bonferroni: a stricter level the more challengers the same test set has judged."
    )
    min_f1_macro: float = Field(0.1, ge=0, le=1, description="Lowest macro F1 on test of a champion.")
    registered_model: str = Field(  # MLflow's filters cannot hold every name
        REGISTERED_NAME, pattern="^[^/:@'\"]+$", description="Registered model to challenge; one for each dataset."
    )
    replace_other_data: Literal["sample", "always", "never"] = Field(
        "sample",
        description="When to replace a champion tested on different data, which cannot be compared: if its data is the "
        "embedded sample, always, or never.",
    )


@dataclass(frozen=True)
class Champion:
    """The current champion, as far as the store still has it."""

    version: int
    model: str
    run_id: str
    source: str  # of its data: "sample", a folder, ...; "" where unknown
    data_hash: str  # "" where unknown
    folder: Path | None  # its metrics, rules and test predictions; None: its run was deleted, or they are gone
    is_challenger: bool  # whether it and the challenger are the same model
    is_readable: bool = True  # by this version; models logged before models were pipelines are not
    challenger_was_rolled_back: str = ""  # when the challenger, as champion, was rolled back
    challengers_before: int = 0  # others that were judged by the same test set


@dataclass(frozen=True)
class Verdict:
    """Whether a challenger becomes champion, and why."""

    takes_over: bool
    reason: str
    difference: str = ""  # metric, challenger minus champion, interval and level; "" if they were not compared
