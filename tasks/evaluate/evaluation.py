"""The evaluate stage: saved scores in; fitted rules, metrics and tables out. Owns the choice of a rule; knows no model.

Rules are fitted and chosen on validation only. The `val/` figures that the choice rests on are cross-fitted: each
movie is decided by a rule that was fitted on the other folds, because a rule looks better on the movies that it was
fitted on, and the more thresholds it has, the more so. The `test/` figures are those of the rule fitted on all of
validation.
"""

import json
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from tasks.decision.calibration import Calibration
from tasks.decision.fit import fit_rules
from tasks.decision.rules import Rule
from tasks.decision.stored import rules_to_json
from tasks.decisions import PREDICTIONS_FILE, RULES_FILE
from tasks.errors import DataError
from tasks.evaluate.calibration import calibration_table, expected_calibration_error, reliability_table
from tasks.evaluate.config import EvaluateConfig
from tasks.evaluate.parts import ScoredPart, predictions_table, read_part, scores_path
from tasks.evaluate.per_genre import per_genre_table
from tasks.evaluate.ranking import ranking_metrics
from tasks.metrics import LOWER_IS_BETTER, decision_metrics
from tasks.paths import DataPaths
from tasks.stage import Stage, StageResult, config_dict, run_stage

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

    - `rules.json`: `chosen`, `genres`, and `rules`, all fitted ones by name (`tasks.decision.stored.rules_from_json`).
    - `metrics.json`: `chosen_rule`, `chosen_by`, and `rules`, for each rule the metrics of
      `tasks.evaluate.metrics.evaluate` under `val/<metric>` (cross-fitted) and `test/<metric>`, and the expected
      calibration error of all scores as they are (`test/ece_raw`) and after the calibration that was fitted on
      validation (`test/ece_calibrated`), which do not depend on the rule. An undefined metric is absent.
    - `per_genre.csv`: the table of `per_genre_table`, on test, by the chosen rule.
    - `predictions_test.parquet`: `schema.PREDICTIONS`, by the chosen rule.
    - `calibration.csv`, `reliability.csv`: of `tasks.evaluate.calibration`, on test, as they are and calibrated.

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
