"""The evaluate stage of a cross-validation: what the out-of-fold scores of all movies tell, fold by fold.

Each fold is decided by rules that were fitted on the other folds' scores. The figures are of all movies, those of
validation and test among them: they say how good a way to make a model is and how much that depends on the movies.
Whoever chooses a model by them has no test left to judge it.
"""

import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from tasks.core.errors import ConfigError, DataError
from tasks.core.metrics import (
    LOWER_IS_BETTER,
    MOVIE_METRICS,
    count_genres,
    decision_metrics,
    movie_metrics,
    precision_recall_f1,
)
from tasks.core.predictions import PREDICTIONS_FILE, RULES_FILE, Scores, read_scores, truth_matrix
from tasks.core.schema import PREDICTIONS
from tasks.core.settings import DataPaths
from tasks.decision.calibration import Calibration
from tasks.decision.rule_formats import rules_to_json
from tasks.decision.rules import Rule
from tasks.decision.thresholds import fit_rules
from tasks.evaluate.tables import (
    calibration_table,
    evaluate,
    expected_calibration_error,
    per_genre_table,
    ranking_metrics,
    reliability_table,
)
from tasks.stage import Stage, StageResult, config_dict, run_stage

ChoiceMetric = Literal[
    "jaccard", "f1_samples", "f1_micro", "f1_macro", "f1_weighted", "exact_match", "hamming_loss", "balanced_accuracy"
]
RuleName = Literal[
    "fixed", "fixed-or-majority", "fixed-or-none", "fixed-0.425", "top", "global", "per-genre", "per-genre-f1",
    "expected-jaccard", "expected-f1",
]  # fmt: skip


class EvaluateConfig(BaseModel):
    """How the decision rule of a model is chosen."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    choose_by: ChoiceMetric = Field(
        "jaccard", description="Each model gets the decision rule that is best by this metric on validation."
    )
    rule: RuleName | None = Field(None, description="The rule that every model gets; none: the best by choose_by.")


OUT_OF_FOLD: Final = "out_of_fold"  # of a cross-validation: all movies


@dataclass(frozen=True)
class ScoredPart:
    """The scores of a model on one part of the data, and the truth about it, of the same shape."""

    scores: Scores
    truth: NDArray[np.bool_]


def read_part(model_folder: Path, part: str, paths: DataPaths) -> ScoredPart:
    """Return a model's scores on a part with the truth.

    Args:
        model_folder: holds `scores_<part>.parquet`.
        part: of the split; or "out_of_fold", all movies.
        paths: the data folder with the cleaned movies and the split.

    Raises:
        DataError: the scores are not of exactly the movies of the part, or the part is empty.
    """
    path = scores_path(model_folder, part)
    scores = read_scores(path)
    in_part = pl.col("part").cast(pl.String).eq(part) | pl.lit(part == OUT_OF_FOLD)
    splits = pl.scan_parquet(paths.splits).filter(in_part)
    expected = set(splits.select("movie_id").collect().get_column("movie_id").to_list())
    if not expected:
        raise DataError(f"{paths.splits}: no movie is in the {part} part; split again with a larger share for it")
    if different := sorted(expected.symmetric_difference(scores.movie_ids)):
        raise DataError(
            f"{path}: {len(different)} movies are not both here and in the {part} part of {paths.splits}, the first is "
            f"{different[0]}; train the model again on this split"
        )
    movies = pl.read_parquet(paths.movies, columns=["movie_id", "genres"])
    ids = pl.DataFrame({"movie_id": scores.movie_ids}, schema={"movie_id": pl.String})
    genres = ids.join(movies, on="movie_id", how="left", maintain_order="left").get_column("genres")
    if genres.null_count():
        raise DataError(
            f"{paths.movies} lacks {genres.null_count()} movies of {paths.splits}; run the split stage again"
        )
    known = json.loads(paths.genres_json.read_text(encoding="utf-8")) if paths.genres_json.is_file() else ()
    truth = truth_matrix(genres.to_list(), scores.genres, ignored=known)  # a model may tell some of the genres only
    if not truth.any():
        raise DataError(f"{paths.movies}: no movie of the {part} part has a genre; clean the listings again")
    return ScoredPart(scores, truth)


def predictions_table(part: ScoredPart, decided: NDArray[np.bool_]) -> pl.DataFrame:
    """Return `schema.PREDICTIONS` of decisions, in the order of the scores."""
    names = np.asarray(part.scores.genres)
    jaccard = movie_metrics(part.truth, decided)[:, MOVIE_METRICS.index("jaccard")]
    return pl.DataFrame(
        {
            "movie_id": part.scores.movie_ids,
            "true_genres": [names[row].tolist() for row in part.truth],
            "predicted_genres": [names[row].tolist() for row in decided],
            "jaccard": pl.Series(jaccard).fill_nan(None),
        },
        schema=PREDICTIONS,
    )


def scores_path(model_folder: Path, part: str) -> Path:
    """Return the file with a model's scores on a part."""
    return model_folder / f"scores_{part}.parquet"


# The evaluate stage: saved scores in; fitted rules, metrics and tables out. Owns the choice of a rule; knows no model.
#
# Rules are fitted and chosen on validation only. The `val/` figures that the choice rests on are cross-fitted: each
# movie is decided by a rule that was fitted on the other folds, because a rule looks better on the movies that it was
# fitted on, and the more thresholds it has, the more so. The `test/` figures are those of the rule fitted on all of
# validation.


logger = logging.getLogger(__name__)

TASKS: Final = Path(__file__).parents[1]
FOLDS: Final = 5
DEFAULT: Final = EvaluateConfig()
METRICS_FILE: Final = "metrics.json"
PER_GENRE_FILE: Final = "per_genre.csv"
CALIBRATION_FILE: Final = "calibration.csv"
RELIABILITY_FILE: Final = "reliability.csv"


def evaluate_model(model_folder: Path, paths: DataPaths, config: EvaluateConfig = DEFAULT) -> StageResult:
    """Fit every decision rule to a model's scores, choose one, and write what it does beside the scores.

    - `rules.json`: `chosen`, `genres`, and `rules`, all fitted ones by name (`rules_from_json`).
    - `metrics.json`: `chosen_rule`, `chosen_by`, and `rules`, for each rule the metrics of
      `tasks.evaluate.tables.evaluate` under `val/<metric>` (cross-fitted) and `test/<metric>`, and the expected
      calibration error of all scores as they are (`test/ece_raw`) and after the calibration that was fitted on
      validation (`test/ece_calibrated`), which do not depend on the rule. An undefined metric is absent.
    - `per_genre.csv`: the table of `per_genre_table`, on test, by the chosen rule.
    - `predictions_test.parquet`: `schema.PREDICTIONS`, by the chosen rule.
    - `calibration.csv`, `reliability.csv`: of `tasks.evaluate.tables`, on test, as they are and calibrated.

    The chosen rule is the one that the configuration names; if none, the one with the best `val/<choose_by>`, of equals
    the simplest.

    Args:
        model_folder: holds `scores_validation.parquet` and `scores_test.parquet`.
        paths: the data folder with the cleaned movies and the split.
        config: how to choose the rule.

    Returns:
        The stage's result. Counts: `chosen_rule`, its `val/jaccard` and `test/jaccard`, `validation_movies`,
        `test_movies`, and `genres_without_validation_positives`, whose threshold is the global one.

    Raises:
        DataError: a file is damaged, a part is empty, or the scores are not of the movies of their part or not of the
            same genres in both.
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
        validation = read_part(model_folder, "validation", paths)
        test = read_part(model_folder, "test", paths)
        if validation.scores.genres != test.scores.genres:
            raise DataError(
                f"{model_folder}: validation has scores of {', '.join(validation.scores.genres)}; test has scores of "
                f"{', '.join(test.scores.genres)}; they must be of the same genres in the same order: train it again"
            )
        return _evaluate_parts(validation, test, config, folder)

    return run_stage(stage, build)


def cross_fit(
    scores: NDArray[np.float32], truth: NDArray[np.bool_], fold_of: NDArray[np.integer[Any]] | None = None
) -> dict[str, NDArray[np.bool_]]:
    """Return each rule's decisions on movies that it was not fitted on, by rule name.

    With fewer movies than folds each movie is a fold; a single movie is decided by rules that were fitted on it, for
    want of others.

    Args:
        scores: (n_movies, n_genres), in [0, 1].
        truth: of the same shape.
        fold_of: the fold of each movie, (n_movies,); none: every fifth movie is in the same fold.
    """
    if fold_of is None:
        fold_of = np.arange(len(scores)) % min(FOLDS, len(scores))
    decided: dict[str, NDArray[np.bool_]] = {}
    for fold in np.unique(fold_of):
        held_out = fold_of == fold
        others = held_out if held_out.all() else ~held_out
        for name, rule in fit_rules(scores[others], truth[others]).items():
            decided.setdefault(name, np.zeros_like(truth))[held_out] = rule.decide(scores[held_out])
    return decided


def _evaluate_parts(validation: ScoredPart, test: ScoredPart, config: EvaluateConfig, folder: Path) -> dict[str, Any]:
    genres = validation.scores.genres
    unseen = [genre for genre, y in zip(genres, validation.truth.T, strict=True) if not y.any()]
    if unseen:
        logger.warning(
            "no validation movie is %s: the rules treat it as they treat genres on the whole", ", ".join(unseen)
        )
    rules = fit_rules(validation.scores.scores, validation.truth)
    calibration = _write_calibration(validation, test, folder)
    metrics = {rule: values | calibration for rule, values in _score_rules(rules, validation, test).items()}
    chosen = choose_rule(metrics, config)
    write_json(folder / RULES_FILE, {"chosen": chosen, "genres": genres, "rules": rules_to_json(rules)})
    write_json(folder / METRICS_FILE, {"chosen_rule": chosen, "chosen_by": config.choose_by, "rules": metrics})
    decided = rules[chosen].decide(test.scores.scores)
    thresholds = rules[chosen].genre_thresholds(len(genres))
    per_genre_table(test.truth, decided, test.scores.scores, genres, thresholds).write_csv(folder / PER_GENRE_FILE)
    predictions_table(test, decided).write_parquet(folder / PREDICTIONS_FILE, compression="zstd")
    return {
        "chosen_rule": chosen,
        "val/jaccard": metrics[chosen]["val/jaccard"],
        "test/jaccard": metrics[chosen]["test/jaccard"],
        "validation_movies": len(validation.truth),
        "test_movies": len(test.truth),
        "genres_without_validation_positives": unseen,
    }


def choose_rule(metrics: Mapping[str, Mapping[str, float]], config: EvaluateConfig, prefix: str = "val/") -> str:
    """Return the rule that the configuration names; if none, the one with the best `<prefix><choose_by>`.

    Of equals it is the first. A rule whose metric is undefined is no choice.

    Args:
        metrics: of each rule.
        config: how to choose.
        prefix: of the metrics to choose by.

    Raises:
        DataError: the metric is undefined for every rule.
    """
    if config.rule is not None:
        return config.rule
    metric, sign = f"{prefix}{config.choose_by}", -1 if config.choose_by in LOWER_IS_BETTER else 1
    found = {rule: sign * values[metric] for rule, values in metrics.items() if metric in values}
    if not found:
        raise DataError(f"{metric} is undefined under every rule; choose the rule by another metric")
    return max(found, key=lambda rule: found[rule])


def _score_rules(rules: Mapping[str, Rule], validation: ScoredPart, test: ScoredPart) -> dict[str, dict[str, float]]:
    decided = {
        "val": cross_fit(validation.scores.scores, validation.truth),
        "test": {name: rule.decide(test.scores.scores) for name, rule in rules.items()},
    }
    result: dict[str, dict[str, float]] = {name: {} for name in rules}
    for prefix, part in (("val", validation), ("test", test)):
        ranking = ranking_metrics(part.truth, part.scores.scores)  # whatever the rule
        for name, labels in decided[prefix].items():
            values = {**decision_metrics(part.truth, labels), **ranking}
            result[name] |= {f"{prefix}/{metric}": value for metric, value in values.items() if np.isfinite(value)}
    return result


def _write_calibration(validation: ScoredPart, test: ScoredPart, folder: Path) -> dict[str, float]:
    raw, truth = test.scores.scores, test.truth
    calibrated = Calibration.fit(validation.scores.scores, validation.truth).apply(raw)
    calibration_table(raw, calibrated, truth, test.scores.genres).write_csv(folder / CALIBRATION_FILE)
    reliability_table({"raw": raw, "calibrated": calibrated}, truth).write_csv(folder / RELIABILITY_FILE)
    return {
        "test/ece_raw": expected_calibration_error(raw, truth),
        "test/ece_calibrated": expected_calibration_error(calibrated, truth),
    }


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Write JSON for people and programs; a value that is not a finite number is a defect."""
    path.write_text(json.dumps(content, ensure_ascii=False, indent=1, allow_nan=False) + "\n", encoding="utf-8")


def measure_validation(folder: Path, rule: str, metric: str, paths: DataPaths) -> dict[str, float]:
    """Return the metrics of `tasks.evaluate.tables.evaluate` that are defined, of cross-fitted decisions.

    Args:
        folder: holds `scores_validation.parquet`.
        rule: name of the decision rule.
        metric: one that has to be among them.
        paths: the data folder with the cleaned movies and the split.

    Raises:
        ConfigError: there is no such rule.
        DataError: the scores are not those of the validation movies, or the metric is undefined on them.
    """
    part = read_part(folder, "validation", paths)
    decided = cross_fit(part.scores.scores, part.truth)
    if rule not in decided:
        raise ConfigError(f"no rule is named {rule!r}; there are: {', '.join(decided)}")
    metrics = evaluate(part.truth, decided[rule], part.scores.scores, part.scores.genres)
    defined = {name: value for name, value in metrics.items() if np.isfinite(value)}
    if metric not in defined:
        raise DataError(f"{metric} is undefined on the {len(part.truth)} validation movies; choose another metric")
    return defined


OUT_OF_FOLD_FILE: Final = "predictions_out_of_fold.parquet"

Decided = NDArray[np.bool_]
Folds = NDArray[np.integer[Any]]


def evaluate_out_of_fold(folder: Path, paths: DataPaths, config: EvaluateConfig = DEFAULT) -> StageResult:
    """Decide every movie by rules of the other folds, and write what that gives beside the scores.

    - `metrics.json`: `chosen_rule`, and `rules`, for each rule and each metric of `tasks.evaluate.tables.evaluate` its
      `mean` over folds, its `std` (sample standard deviation) and its values in the `folds`. A metric that is undefined
      in some fold is absent.
    - `per_genre.csv`: the table of `per_genre_table`, over all movies, by the chosen rule, without thresholds, which
      differ from fold to fold; and `f1_std`, the standard deviation of F1 over folds, null where a fold has none.
    - `predictions_out_of_fold.parquet`: `schema.PREDICTIONS` of all movies, by the chosen rule.

    The chosen rule is the one that the configuration names; if none, the one with the best mean of `choose_by`, of
    equals the simplest.

    Args:
        folder: holds `scores_out_of_fold.parquet`.
        paths: the data folder with the cleaned movies and the split.
        config: how to choose the rule.

    Raises:
        DataError: the scores are damaged or not of all movies, or the metric is undefined in some fold.
    """
    scores = folder / f"scores_{OUT_OF_FOLD}.parquet"
    stage = Stage(
        name="evaluate_out_of_fold",
        folder=folder,
        outputs=(METRICS_FILE, PER_GENRE_FILE, OUT_OF_FOLD_FILE),
        inputs=(scores, paths.movies, paths.splits),
        config=config_dict(config),
        code=(Path(__file__),),
        packages=("numpy", "polars"),
    )

    def build(target: Path) -> Mapping[str, Any]:
        part = read_part(folder, OUT_OF_FOLD, paths)
        fold_of = _folds(part, paths)
        decided = cross_fit(part.scores.scores, part.truth, fold_of)
        metrics = _metrics_by_fold(part, decided, fold_of)
        means = {rule: {name: each["mean"] for name, each in values.items()} for rule, values in metrics.items()}
        chosen = choose_rule(means, config, prefix="")
        write_json(target / METRICS_FILE, {"chosen_rule": chosen, "chosen_by": config.choose_by, "rules": metrics})
        _per_genre(part, decided[chosen], fold_of).write_csv(target / PER_GENRE_FILE)
        predictions_table(part, decided[chosen]).write_parquet(target / OUT_OF_FOLD_FILE, compression="zstd")
        return {"chosen_rule": chosen, "movies": len(fold_of), "jaccard": means[chosen]["jaccard"]}

    return run_stage(stage, build)


def _folds(part: ScoredPart, paths: DataPaths) -> Folds:
    scored = pl.DataFrame({"movie_id": part.scores.movie_ids}, schema={"movie_id": pl.String})
    folds = pl.read_parquet(paths.splits, columns=["movie_id", "fold"])
    return scored.join(folds, on="movie_id", how="left", maintain_order="left").get_column("fold").to_numpy()


def _metrics_by_fold(part: ScoredPart, decided: Mapping[str, Decided], fold_of: Folds) -> dict[str, Any]:
    by_fold: dict[str, list[dict[str, float]]] = {rule: [] for rule in decided}
    for rows in (fold_of == fold for fold in np.unique(fold_of)):
        ranking = ranking_metrics(part.truth[rows], part.scores.scores[rows])  # whatever the rule
        for rule, labels in decided.items():
            by_fold[rule].append({**decision_metrics(part.truth[rows], labels[rows]), **ranking})
    return {
        rule: {
            metric: {"mean": float(np.mean(values)), "std": float(np.std(values, ddof=1)), "folds": values}
            for metric, values in ((metric, [fold[metric] for fold in folds]) for metric in folds[0])
            if np.isfinite(values).all()
        }
        for rule, folds in by_fold.items()
    }


def _per_genre(part: ScoredPart, decided: Decided, fold_of: Folds) -> pl.DataFrame:
    f1 = [
        precision_recall_f1(count_genres(part.truth[rows], decided[rows]))["f1"]
        for rows in (fold_of == fold for fold in np.unique(fold_of))
    ]
    table = per_genre_table(part.truth, decided, part.scores.scores, part.scores.genres).drop("threshold")
    return table.with_columns(pl.Series("f1_std", np.std(f1, axis=0, ddof=1)).fill_nan(None))
