"""The evaluate stages: saved scores in; fitted decision rules, metrics and tables out.

Rules are fitted and chosen on validation only. The `val/` metrics are cross-fitted: each movie is decided by a rule
fitted on the other folds, because a rule looks better on the movies it was fitted on, the more so the more thresholds
it has. The `test/` metrics are those of the rule fitted on all of validation. A cross-validation's metrics cover all
movies, validation and test included: a model chosen by them has no unseen test data left.
"""

import json
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final, Literal, NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray
from pydantic import BaseModel, Field

from tasks.core import metrics as core
from tasks.core.errors import ConfigError, DataError
from tasks.core.files import write_json
from tasks.core.metrics import METRICS, ChoiceMetric, Labels
from tasks.core.predictions import PREDICTIONS_FILE, RULES_FILE, Scores, read_scores, truth_matrix
from tasks.core.schema import PREDICTIONS
from tasks.core.settings import DataPaths
from tasks.decision.calibration import Calibration
from tasks.decision.rules import rules_to_json
from tasks.decision.thresholds import fit_rules
from tasks.stage import Stage, StageResult, config_dict, run_stage

logger = logging.getLogger(__name__)

Folds = NDArray[np.integer[Any]]
RuleName = Literal[
    "fixed", "fixed-or-majority", "fixed-or-none", "fixed-0.425", "top", "global", "per-genre", "per-genre-f1",
    "expected-jaccard", "expected-f1",
]  # fmt: skip


class EvaluateConfig(BaseModel, frozen=True, extra="forbid"):
    """How to choose the decision rule of a model."""

    choose_by: ChoiceMetric = Field(
        "jaccard", description="Metric on validation that chooses each model's decision rule."
    )
    rule: RuleName | None = Field(None, description="Decision rule of all models. Default: the best by choose_by.")


DEFAULT: Final = EvaluateConfig()
FOLDS: Final = 5
OUT_OF_FOLD: Final = "out_of_fold"  # of a cross-validation: all movies
METRICS_FILE: Final = "metrics.json"
PER_GENRE_FILE: Final = "per_genre.csv"
CALIBRATION_FILE: Final = "calibration.csv"
RELIABILITY_FILE: Final = "reliability.csv"
OUT_OF_FOLD_FILE: Final = "predictions_out_of_fold.parquet"


class ScoredSplit(NamedTuple):
    """The scores of a model on one part of the split, and the truth, of the same shape."""

    scores: Scores
    truth: Labels


def scores_path(model_folder: Path, part: str) -> Path:
    """Return the file with a model's scores on a part of the split."""
    return model_folder / f"scores_{part}.parquet"


def read_scored_split(model_folder: Path, part: str, paths: DataPaths) -> ScoredSplit:
    """Return a model's scores, of exactly the movies of a part of the split or "out_of_fold" of all, with the truth."""
    path = scores_path(model_folder, part)
    scores = read_scores(path)
    splits = pl.read_parquet(paths.splits, columns=["movie_id", "part"])
    expected = set((splits if part == OUT_OF_FOLD else splits.filter(pl.col("part") == part))["movie_id"])
    if not expected:
        raise DataError(f"{paths.splits}: the {part} part has no movies; split again with a larger share for it")
    if different := sorted(expected.symmetric_difference(scores.movie_ids)):
        raise DataError(
            f"{path}: {len(different)} movies are not both here and in the {part} part of {paths.splits}, the first is "
            f"{different[0]}; train the model again on this split"
        )
    genres = _look_up(scores, paths.movies, "genres")
    if lacking := genres.null_count():
        raise DataError(f"{paths.movies} lacks {lacking} movies of {paths.splits}; run the split stage again")
    known = json.loads(paths.genres_json.read_text(encoding="utf-8")) if paths.genres_json.is_file() else ()
    truth = truth_matrix(genres.to_list(), scores.genres, ignored=known)  # a model may cover only some of the genres
    if not truth.any():
        raise DataError(f"{paths.movies}: no movie of the {part} part has a genre; clean the listings again")
    return ScoredSplit(scores, truth)


def _look_up(scores: Scores, table: Path, column: str) -> pl.Series:
    """Return a column of a table for the movies of some scores, null for movies not in the table."""
    ids = pl.DataFrame({"movie_id": scores.movie_ids}, schema={"movie_id": pl.String})
    values = pl.read_parquet(table, columns=["movie_id", column])
    return ids.join(values, on="movie_id", how="left", maintain_order="left")[column]


def evaluate_model(model_folder: Path, paths: DataPaths, config: EvaluateConfig = DEFAULT) -> StageResult:
    """Fit every decision rule to a model's validation scores, choose one, and write these files next to the scores.

    - `rules.json`: `chosen`, `genres`, and `rules`, all fitted ones by name (`rules_from_json`).
    - `metrics.json`: `chosen_rule`, `chosen_by`, and `rules`, for each rule the metrics of `tasks.core.metrics` under
      `val/<metric>` (cross-fitted) and `test/<metric>`. An undefined metric is absent.
    - `per_genre.csv`, `predictions_test.parquet`: `per_genre_table` and `schema.PREDICTIONS`, chosen rule, on test.
    - `calibration.csv`, `reliability.csv`: scores on test, raw and calibrated on validation.

    `choose_rule` chooses. Genres without a validation positive are counted; they get the global threshold. A
    `DataError` if a part is empty, or the scores are damaged, of other movies, or not of the same genres in both.
    """
    stage = Stage(
        name="evaluate",
        folder=model_folder,
        outputs=(RULES_FILE, METRICS_FILE, PER_GENRE_FILE, PREDICTIONS_FILE, CALIBRATION_FILE, RELIABILITY_FILE),
        inputs=(*(scores_path(model_folder, part) for part in ("validation", "test")), paths.movies, paths.splits),
        config={"folds": FOLDS, **config_dict(config)},
        code=(Path(__file__),),
        packages=("numpy", "polars"),
    )

    def build(folder: Path) -> Mapping[str, Any]:
        validation = read_scored_split(model_folder, "validation", paths)
        test = read_scored_split(model_folder, "test", paths)
        if validation.scores.genres != test.scores.genres:
            raise DataError(
                f"{model_folder}: validation has scores of {', '.join(validation.scores.genres)}; test has scores of "
                f"{', '.join(test.scores.genres)}; they must be of the same genres in the same order: train it again"
            )
        return _evaluate_splits(validation, test, config, folder)

    return run_stage(stage, build)


def _evaluate_splits(
    validation: ScoredSplit, test: ScoredSplit, config: EvaluateConfig, folder: Path
) -> dict[str, Any]:
    genres, scores = validation.scores.genres, test.scores.scores
    unseen = [genre for genre, y in zip(genres, validation.truth.T, strict=True) if not y.any()]
    if unseen:
        which = ", ".join(unseen)
        logger.warning("no validation movie is %s: the rules use the thresholds of all genres for it", which)
    rules = fit_rules(validation.scores.scores, validation.truth)
    decided = {name: rule.decide(scores) for name, rule in rules.items()}
    calibrated = Calibration.fit(validation.scores.scores, validation.truth).apply(scores)
    calibration_table(scores, calibrated, test.truth, genres).write_csv(folder / CALIBRATION_FILE)
    reliability_table({"raw": scores, "calibrated": calibrated}, test.truth).write_csv(folder / RELIABILITY_FILE)

    cross_fitted = cross_fit(validation.scores.scores, validation.truth)
    on_validation = _score_rules(validation.truth, validation.scores.scores, cross_fitted, "val/")
    on_test = _score_rules(test.truth, scores, decided, "test/")
    calibration = {
        f"test/{name}": metric.compute(test.truth, scores, calibrated)
        for name, metric in METRICS.items()
        if metric.of == "calibration"
    }
    metrics = {name: on_validation[name] | on_test[name] | calibration for name in rules}
    chosen = choose_rule(metrics, config)
    write_json(folder / RULES_FILE, {"chosen": chosen, "genres": genres, "rules": rules_to_json(rules)})
    write_json(folder / METRICS_FILE, {"chosen_rule": chosen, "chosen_by": config.choose_by, "rules": metrics})
    thresholds = rules[chosen].genre_thresholds(len(genres))
    per_genre_table(test.truth, decided[chosen], scores, genres, thresholds).write_csv(folder / PER_GENRE_FILE)
    predictions_table(test, decided[chosen]).write_parquet(folder / PREDICTIONS_FILE, compression="zstd")
    return {
        "chosen_rule": chosen,
        "val/jaccard": metrics[chosen]["val/jaccard"],
        "test/jaccard": metrics[chosen]["test/jaccard"],
        "validation_movies": len(validation.truth),
        "test_movies": len(test.truth),
        "genres_without_validation_positives": unseen,
    }


def cross_fit(scores: NDArray[np.float32], truth: Labels, fold_of: Folds | None = None) -> dict[str, Labels]:
    """Return each rule's decisions, by rule name, on movies that it was not fitted on.

    Scores in [0, 1] and truth are (n_movies, n_genres), `fold_of` is (n_movies,), by default five folds of every fifth
    movie. With fewer movies than folds each movie is a fold; a single movie is decided by rules fitted on it.
    """
    if fold_of is None:
        fold_of = np.arange(len(scores)) % min(FOLDS, len(scores))
    decided: dict[str, Labels] = {}
    for fold in np.unique(fold_of):
        held_out = fold_of == fold
        others = held_out if held_out.all() else ~held_out
        for name, rule in fit_rules(scores[others], truth[others]).items():
            decided.setdefault(name, np.zeros_like(truth))[held_out] = rule.decide(scores[held_out])
    return decided


def _score_rules(
    truth: Labels, scores: NDArray[np.float32], decided: Mapping[str, Labels], prefix: str = ""
) -> dict[str, dict[str, float]]:
    ranking = core.ranking_metrics(truth, scores)  # the same for all rules
    found = {rule: core.decision_metrics(truth, labels) | ranking for rule, labels in decided.items()}
    return {
        rule: {f"{prefix}{name}": value for name, value in metrics.items() if np.isfinite(value)}
        for rule, metrics in found.items()
    }


def choose_rule(metrics: Mapping[str, Mapping[str, float]], config: EvaluateConfig, prefix: str = "val/") -> str:
    """Return the rule that the configuration names; else the best by `<prefix><choose_by>`, the simplest on ties."""
    if config.rule is not None:
        return config.rule
    metric, sign = f"{prefix}{config.choose_by}", -1 if config.choose_by in core.LOWER_IS_BETTER else 1
    found = {rule: sign * values[metric] for rule, values in metrics.items() if metric in values}
    if not found:
        raise DataError(f"{metric} is undefined under every rule; choose the rule by another metric")
    return max(found, key=lambda rule: found[rule])


def measure_validation(folder: Path, rule: str, metric: str, paths: DataPaths) -> dict[str, float]:
    """Return all defined metrics of cross-fitted decisions on validation by a rule; `metric` has to be among them."""
    split = read_scored_split(folder, "validation", paths)
    decided = cross_fit(split.scores.scores, split.truth)
    if rule not in decided:
        raise ConfigError(f"no rule is named {rule!r}; there are: {', '.join(decided)}")
    defined = _score_rules(split.truth, split.scores.scores, {rule: decided[rule]})[rule]
    if metric not in defined:
        raise DataError(f"{metric} is undefined on the {len(split.truth)} validation movies; choose another metric")
    return defined


def evaluate_out_of_fold(folder: Path, paths: DataPaths, config: EvaluateConfig = DEFAULT) -> StageResult:
    """Decide every movie by rules of the other folds, and write these files next to `scores_out_of_fold.parquet`.

    - `metrics.json`: as of `evaluate_model`, but each metric has its `mean` over folds, by which the rule is chosen,
      its `std` (sample standard deviation) and its values in the `folds`. A metric undefined in some fold is absent.
    - `per_genre.csv`: `per_genre_table` over all movies, by the chosen rule, without thresholds, which differ from fold
      to fold; and `f1_std`, the standard deviation of F1 over folds, null if undefined in some fold.
    - `predictions_out_of_fold.parquet`: `schema.PREDICTIONS` of all movies, by the chosen rule.
    """
    stage = Stage(
        name="evaluate_out_of_fold",
        folder=folder,
        outputs=(METRICS_FILE, PER_GENRE_FILE, OUT_OF_FOLD_FILE),
        inputs=(scores_path(folder, OUT_OF_FOLD), paths.movies, paths.splits),
        config=config_dict(config),
        code=(Path(__file__),),
        packages=("numpy", "polars"),
    )

    def build(target: Path) -> Mapping[str, Any]:
        split = read_scored_split(folder, OUT_OF_FOLD, paths)
        truth, scores = split.truth, split.scores.scores
        fold_of = _look_up(split.scores, paths.splits, "fold").to_numpy()
        decided = cross_fit(scores, truth, fold_of)
        folds = [fold_of == fold for fold in np.unique(fold_of)]
        by_fold = [
            _score_rules(truth[rows], scores[rows], {rule: labels[rows] for rule, labels in decided.items()})
            for rows in folds
        ]
        metrics: dict[str, dict[str, Any]] = {
            rule: {
                metric: {"mean": float(np.mean(values)), "std": float(np.std(values, ddof=1)), "folds": values}
                for metric in by_fold[0][rule]
                if np.isfinite(values := [fold[rule].get(metric, np.nan) for fold in by_fold]).all()
            }
            for rule in decided
        }
        means = {rule: {name: each["mean"] for name, each in values.items()} for rule, values in metrics.items()}
        chosen = choose_rule(means, config, prefix="")
        write_json(target / METRICS_FILE, {"chosen_rule": chosen, "chosen_by": config.choose_by, "rules": metrics})
        f1 = [core.count_genres(truth[rows], decided[chosen][rows]).f1 for rows in folds]
        f1_std = pl.Series("f1_std", np.std(f1, axis=0, ddof=1)).fill_nan(None)
        per_genre = per_genre_table(truth, decided[chosen], scores, split.scores.genres).drop("threshold")
        per_genre.with_columns(f1_std).write_csv(target / PER_GENRE_FILE)
        predictions_table(split, decided[chosen]).write_parquet(target / OUT_OF_FOLD_FILE, compression="zstd")
        return {"chosen_rule": chosen, "movies": len(fold_of), "jaccard": means[chosen]["jaccard"]}

    return run_stage(stage, build)


def predictions_table(split: ScoredSplit, decided: Labels) -> pl.DataFrame:
    """Return `schema.PREDICTIONS` of decisions, in the order of the scores."""
    names = np.asarray(split.scores.genres)
    jaccard = core.MOVIE_METRICS["jaccard"].compute(core.MovieCounts(split.truth, decided))
    return pl.DataFrame(
        {
            "movie_id": split.scores.movie_ids,
            "true_genres": [names[row].tolist() for row in split.truth],
            "predicted_genres": [names[row].tolist() for row in decided],
            "jaccard": pl.Series(jaccard).fill_nan(None),
        },
        schema=PREDICTIONS,
    )


def per_genre_table(
    truth: Labels,
    decided: Labels,
    scores: NDArray[np.float32],
    genres: Sequence[str],
    thresholds: Sequence[float] | None = None,
) -> pl.DataFrame:
    """Return one row per genre, in genre order: counts, and metrics that average to the macro ones.

    `support` is how many movies have the genre, `predicted` for how many it was decided. The metrics are null for a
    genre without a positive; precision is 0 for one with positives that was never decided. `threshold` is null for a
    rule without.
    """
    counts = core.count_genres(truth, decided)
    integers = {"support": counts.support, "predicted": counts.tp + counts.fp}
    integers |= {name: getattr(counts, name) for name in ("tp", "fp", "fn", "tn")}
    metrics = {
        **core.precision_recall_f1(counts),
        "jaccard": np.where(counts.support > 0, counts.tp / np.maximum(len(truth) - counts.tn, 1), np.nan),
        "average_precision": core.average_precision(truth, scores),
    }
    return pl.DataFrame(
        {
            "genre": pl.Series(genres, dtype=pl.String),
            **{name: pl.Series(values.astype(np.int64)) for name, values in integers.items()},
            **{name: pl.Series(values).fill_nan(None) for name, values in metrics.items()},
            "threshold": pl.Series(thresholds if thresholds is not None else [None] * len(genres), dtype=pl.Float64),
        }
    )


def calibration_table(raw: core.Scores, calibrated: core.Scores, truth: Labels, genres: Sequence[str]) -> pl.DataFrame:
    """Return the calibration errors of each genre, in genre order."""
    errors = {
        name: [core.expected_calibration_error(*columns) for columns in zip(truth.T, values.T, strict=True)]
        for name, values in (("ece_raw", raw), ("ece_calibrated", calibrated))
    }
    return pl.DataFrame({"genre": pl.Series(genres, dtype=pl.String), "positives": truth.sum(axis=0), **errors})


def reliability_table(scores: Mapping[str, core.Scores], truth: Labels) -> pl.DataFrame:
    """Return `calibration_bins` of all genres together, for each kind of `scores`."""
    names = ("count", "mean_score", "share_of_positives")
    return pl.concat(
        pl.DataFrame(dict(zip(names, core.calibration_bins(truth, values), strict=True))).select(
            pl.lit(kind).alias("scores"), pl.all()
        )
        for kind, values in scores.items()
    )
