"""The evaluate stages as Prefect tasks."""

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Final

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


@stage_task("audit labels")
def audit(model_folders: Sequence[Path], paths: DataPaths) -> StageResult:
    """Write which movies of a data folder have doubtful genres; see `audit_labels`."""
    result = audit_labels(model_folders, paths)
    if counts := result.counts:
        logger.info(
            "label audit: according to %s, a genre of %s of %s movies may be wrong",
            *(counts["asked"][0], f"{counts['doubted_movies']:,}", f"{counts['movies']:,}"),
        )
    return result


measure: Final = stage_task("measure", "measure {folder.name}")(measure_validation)
choose_what_to_drop: Final = stage_task("choose dropped")(choose_dropped)
evaluate_in: Final = stage_task("evaluate in", "evaluate in {paths.root.name}")(evaluate_model)
effect_of_dropping: Final = stage_task("measure effect")(measure_effect)
