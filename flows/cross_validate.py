"""The chosen models on five folds, every movie scored by models that never saw it: `python flows/cross_validate.py`."""

from flows.command_line import run_command
from flows.config import CrossValidateConfig

if __name__ == "__main__":
    raise SystemExit(run_command(CrossValidateConfig, "flows.cross_validate:cross_validate"))

import itertools
import logging
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from prefect import flow
from prefect.futures import PrefectFuture, as_completed

from flows.in_prefect import run_name
from flows.runtime import check_cluster, exclusive, pipeline_run, task_runner
from flows.steps import ModelChain
from flows.train import raise_failures, recorded_failure
from tasks.evaluate.task import evaluate_folds
from tasks.models.choose import choose_models
from tasks.models.cross_validation import all_but
from tasks.models.spec import EnsembleSpec, ModelSpec, features_of
from tasks.models.task import blend_folds, build_features, gather_folds, train_fold
from tasks.models.train import TrainChoices
from tasks.paths import data_paths
from tasks.report.task import tabulate_folds
from tasks.schema import N_FOLDS
from tasks.stage import config_dict
from tasks.tracking.runs import PipelineRun, log_data, start_model_run
from tasks.tracking.task import log_folds

logger = logging.getLogger("flows.cross_validate")  # Prefect loads it by its file, under another name

Futures = list[PrefectFuture[Any]]


@dataclass
class FoldsChain(ModelChain):
    """The tasks of one cross-validated model, and its MLflow run."""

    @property
    def folder(self) -> Path:
        """Where the model's out-of-fold scores are."""
        return data_paths().cross_validation / self.model.name


@flow(name="cross-validate", flow_run_name=run_name("cross-validate"), persist_result=False)
def cross_validate(config: CrossValidateConfig) -> None:
    """Cross-validate the chosen models on the prepared data, and print how they did.

    Raises:
        ModelsFailedError: some models failed; the others are scored and logged.
    """
    tags = {"flow": "cross-validation", "preset": config.preset}
    check_cluster(config)
    with exclusive(data_paths()), pipeline_run(config, data_paths(), tags) as run:
        with task_runner(config) as runner:
            failures = fit_folds.with_options(task_runner=runner)(config, run)
        finished = [name for name, failure in failures.items() if failure is None]
        if finished:
            sys.stdout.write(tabulate_folds([data_paths().cross_validation / name for name in finished]))
        raise_failures({name: failure for name, failure in failures.items() if failure is not None})


@flow(name="fit folds", flow_run_name=run_name("fit folds"), persist_result=False)
def fit_folds(config: CrossValidateConfig, run: PipelineRun) -> dict[str, str | None]:
    """Submit every model's folds stage by stage; return each model's error, None where it succeeded."""
    chosen = choose_models(config.models, config.model_params, config.own_models)
    run = replace(run, tags=run.tags | log_data(run, data_paths()))
    chains = {
        model.name: FoldsChain(model, start_model_run(run, model.name, config_dict(model), "cross-validation"), [])
        for model in chosen
    }
    fits = submit_fits(config, chains)
    for name, folds in fits.items():
        chains[name].submit(gather_folds, model=chains[name].model, folds=folds)
    for chain in chains.values():
        if isinstance(chain.model, EnsembleSpec):
            members = [chains[name].futures[-1] for name in chain.model.members]
            chain.futures += members
            chain.submit(blend_folds, ensemble=chain.model, gathered=members)
    for chain in chains.values():
        chain.submit(evaluate_folds, folder=chain.folder, config=config.evaluate)
    for chain in chains.values():
        chain.submit(log_folds, run=run, run_id=chain.run_id, folder=chain.folder)
    tell_progress(list(itertools.chain(*fits.values())))
    return {name: recorded_failure(run, chain) for name, chain in chains.items()}


def submit_fits(config: CrossValidateConfig, chains: dict[str, FoldsChain]) -> dict[str, Futures]:
    """Submit the features and then the fits of all folds; return each model's fits, which its chain ends with."""
    choices = TrainChoices(genres=config.genres, without_genres=config.without_genres, seed=config.seed)
    singles = [chain.model for chain in chains.values() if isinstance(chain.model, ModelSpec)]
    wanted = {(model.name, fold): features_of(model, all_but(fold)) for fold in range(N_FOLDS) for model in singles}
    features = {
        spec: build_features.submit(spec, config.seed) for spec in dict.fromkeys(itertools.chain(*wanted.values()))
    }
    fits: dict[str, Futures] = {model.name: [] for model in singles}
    for fold, model in itertools.product(range(N_FOLDS), singles):
        own: Futures = [features[spec] for spec in wanted[model.name, fold]]
        chains[model.name].futures += own
        arguments: dict[str, Any] = {"model": model, "features": own, "fold": fold, "choices": choices}
        fits[model.name].append(train_fold.submit(**arguments))
    for name, futures in fits.items():
        chains[name].futures += futures
    return fits


def tell_progress(fits: Futures) -> None:
    """Log a line for every fit that ends."""
    for done, _ in enumerate(as_completed(fits), 1):
        logger.info("cross-validation: %s of %s fits done", done, len(fits))
