"""The evaluate room's face towards the flows."""

import logging
from pathlib import Path

from prefect import task
from prefect.cache_policies import NO_CACHE

from tasks.evaluate.config import EvaluateConfig
from tasks.evaluate.evaluation import DEFAULT, evaluate_model
from tasks.evaluate.out_of_fold import evaluate_out_of_fold
from tasks.evaluate.validation import measure_validation
from tasks.paths import data_paths
from tasks.stage import StageResult

logger = logging.getLogger(__name__)


@task(task_run_name="evaluate {model_folder.name}", cache_policy=NO_CACHE, persist_result=False)
def evaluate(model_folder: Path, config: EvaluateConfig = DEFAULT) -> StageResult:
    """Fit the decision rules of one trained model on validation, choose one, and score it on test."""
    result = evaluate_model(model_folder, data_paths(), config)
    rule, jaccard = result.counts["chosen_rule"], result.counts["test/jaccard"]
    logger.info("%s: rule %s, test Jaccard %.4f", model_folder.name, rule, jaccard)
    return result


@task(name="evaluate folds", task_run_name="evaluate folds {folder.name}", cache_policy=NO_CACHE, persist_result=False)
def evaluate_folds(folder: Path, config: EvaluateConfig = DEFAULT) -> StageResult:
    """Decide every movie by rules of the other folds, and score the decisions fold by fold."""
    result = evaluate_out_of_fold(folder, data_paths(), config)
    logger.info("%s: rule %s, mean Jaccard %.4f", folder.name, result.counts["chosen_rule"], result.counts["jaccard"])
    return result


@task(name="measure", task_run_name="measure {folder.name}", cache_policy=NO_CACHE, persist_result=False)
def measure(folder: Path, rule: str, metric: str) -> dict[str, float]:
    """Return the metrics of a model on validation under one rule, one of which has to be among them."""
    return measure_validation(folder, rule, metric, data_paths())
