"""The evaluate stages as Prefect tasks."""

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path

from tasks.core.settings import DataPaths, data_paths
from tasks.evaluate.evaluation import DEFAULT, EvaluateConfig, evaluate_model, evaluate_out_of_fold, measure_validation
from tasks.evaluate.label_audit import audit_labels, choose_dropped, measure_effect
from tasks.prefect_task import stage_task
from tasks.stage import StageResult

logger = logging.getLogger(__name__)


@stage_task("evaluate", "evaluate {model_folder.name}")
def evaluate(model_folder: Path, config: EvaluateConfig = DEFAULT) -> StageResult:
    """Fit the decision rules of one trained model on validation, choose one, and score it on test."""
    result = evaluate_model(model_folder, data_paths(), config)
    counts = result.counts
    logger.info("%s: rule %s, test Jaccard %.4f", model_folder.name, counts["chosen_rule"], counts["test/jaccard"])
    return result


@stage_task("evaluate folds", "evaluate folds {folder.name}")
def evaluate_folds(folder: Path, config: EvaluateConfig = DEFAULT) -> StageResult:
    """Decide every movie by rules of the other folds, and score the decisions fold by fold."""
    result = evaluate_out_of_fold(folder, data_paths(), config)
    logger.info("%s: rule %s, mean Jaccard %.4f", folder.name, result.counts["chosen_rule"], result.counts["jaccard"])
    return result


@stage_task("measure", "measure {folder.name}")
def measure(folder: Path, rule: str, metric: str) -> dict[str, float]:
    """Return the metrics of a model on validation under one rule; `metric` must be defined."""
    return measure_validation(folder, rule, metric, data_paths())


@stage_task("audit labels")
def audit(model_folders: Sequence[Path], root: Path | None = None) -> StageResult:
    """Write which movies have doubtful genres, in the default or another data folder; see `audit_labels`."""
    result = audit_labels(model_folders, DataPaths(root) if root else data_paths())
    if counts := result.counts:
        logger.info(
            "label audit: according to %s, a genre of %s of %s movies may be wrong",
            *(counts["asked"][0], f"{counts['doubted_movies']:,}", f"{counts['movies']:,}"),
        )
    return result


@stage_task("choose dropped")
def choose_what_to_drop(root: Path, share: float | None, seed: int) -> StageResult:
    """Write which movies of an audited data folder to drop, and as many random ones."""
    return choose_dropped(DataPaths(root), share, seed)


@stage_task("evaluate in", "evaluate in {root.name}")
def evaluate_in(root: Path, model_folder: Path, config: EvaluateConfig = DEFAULT) -> StageResult:
    """Evaluate a model that was trained in another data folder."""
    return evaluate_model(model_folder, DataPaths(root), config)


@stage_task("measure effect")
def effect_of_dropping(with_all: Path, without: Mapping[str, Path], root: Path) -> StageResult:
    """Write how a model changes without the movies dropped from train."""
    return measure_effect(with_all, without, DataPaths(root), data_paths())
