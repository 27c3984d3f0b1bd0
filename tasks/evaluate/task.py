"""The evaluate room's face towards the flows."""

import logging
from pathlib import Path

from prefect import task
from prefect.cache_policies import NO_CACHE

from tasks.evaluate.evaluation import evaluate_model
from tasks.paths import data_paths
from tasks.stage import StageResult

logger = logging.getLogger(__name__)


@task(task_run_name="evaluate {model_folder.name}", cache_policy=NO_CACHE, persist_result=False)
def evaluate(model_folder: Path) -> StageResult:
    """Fit the decision rules of one trained model on validation, choose one, and score it on test."""
    result = evaluate_model(model_folder, data_paths())
    rule, jaccard = result.counts["chosen_rule"], result.counts["test/jaccard"]
    logger.info("%s: rule %s, test Jaccard %.4f", model_folder.name, rule, jaccard)
    return result
