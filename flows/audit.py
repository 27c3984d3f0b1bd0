"""Find doubtful labels, and measure the effect of dropping them: `python flows/audit.py --model NAME`."""

from flows.cli import run_command
from flows.config import AuditConfig

if __name__ == "__main__":
    raise SystemExit(run_command(AuditConfig, "flows.audit:audit"))

import logging
import sys
from dataclasses import replace
from pathlib import Path

from prefect import flow

from flows.run_context import completed, exclusive, pipeline_run, run_name
from tasks.core.settings import DataPaths, data_paths
from tasks.evaluate.label_audit import AUDIT_CSV, DROP_FILES, EFFECT_FILE
from tasks.evaluate.task import audit as audit_labels
from tasks.evaluate.task import choose_what_to_drop, effect_of_dropping, evaluate_in
from tasks.models.spec import shown_params
from tasks.models.task import score_folds_in, train_in
from tasks.models.train import TrainChoices
from tasks.split.task import subset
from tasks.tracking.runs import PipelineRun, log_data, start_model_run
from tasks.tracking.task import log_effect, log_variant

logger = logging.getLogger("flows.audit")  # Prefect loads it by its file, under another name


@flow(name="audit", flow_run_name=run_name("audit"), persist_result=False)
def audit(config: AuditConfig) -> None:
    """Compare, on test, a model trained on all movies with one trained without the most doubtful, or random, movies.

    Labels are audited by cross-validation within the train movies.
    """
    paths = data_paths()
    folder = paths.label_audit / config.chosen_model.name
    with exclusive(paths), pipeline_run(config, paths, {"flow": "audit", "model": config.model}) as parent:
        run = replace(parent, tags=parent.tags | log_data(parent, paths))
        audited = DataPaths(folder / "train")  # a data folder of the train movies alone
        written = subset(audited.root, part="train")
        scored = score_folds_in(audited.root, config.chosen_model, TrainChoices(seed=config.seed), wait_for=[written])
        doubtful = audit_labels([scored.folder], audited, wait_for=[scored])
        counts = choose_what_to_drop(audited, config.share, config.seed, wait_for=[doubtful]).counts
        logger.info("dropping %s of %s train movies", counts["dropped_movies"], counts["train_movies"])
        with_all = train_variant(config, run, folder / "with-all", None)
        without = {
            name: train_variant(config, run, folder / f"without-{name}", audited.results / file)
            for name, file in DROP_FILES.items()
        }
        effect = effect_of_dropping(with_all, without, audited, paths)
        log_effect(run, [paths.results / EFFECT_FILE, audited.results / AUDIT_CSV])
        sys.stdout.write("\n".join(effect.counts["findings"]) + "\n")
        logger.info("doubtful movies: %s; effect: %s", audited.results / AUDIT_CSV, paths.results / EFFECT_FILE)
        return completed(" ".join(effect.counts["findings"]), None)


def train_variant(config: AuditConfig, run: PipelineRun, root: Path, without: Path | None) -> Path:
    """Train, evaluate and log the model, without the train movies that a file lists; return the model's folder."""
    model = config.chosen_model
    run_id = start_model_run(run, root.name, shown_params(model), "variant")
    written = subset(root, without=without)
    trained = train_in(root, model, TrainChoices(seed=config.seed), wait_for=[written])
    evaluated = evaluate_in(trained.folder, DataPaths(root), config.evaluate, wait_for=[trained])
    log_variant(run, run_id, trained.folder, wait_for=[evaluated])
    return trained.folder
