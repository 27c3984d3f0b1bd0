"""Cross-validate models on five folds of all movies: `python flows/cross_validate.py [--models 'logreg-*']`."""

from flows.cli import run_command
from flows.config import CrossValidateConfig, Names, with_arguments

if __name__ == "__main__":
    raise SystemExit(run_command(CrossValidateConfig, "flows.cross_validate:cross_validate"))

import itertools
import logging
import sys
from dataclasses import replace
from typing import Any

from prefect import flow
from prefect.futures import as_completed
from prefect.task_runners import TaskRunner

from flows.model_runs import Fitted, collect, finish_folds, start_runs
from flows.run_context import check_cluster, completed, exclusive, pipeline_run, run_name, task_runner
from tasks.core.schema import N_FOLDS
from tasks.core.settings import data_paths
from tasks.models.features import all_but
from tasks.models.spec import EnsembleSpec, ModelSpec, features_of
from tasks.models.task import build_features, train_fold
from tasks.models.train import TrainChoices
from tasks.report.task import tabulate_folds
from tasks.tracking.runs import PipelineRun, log_data

logger = logging.getLogger("flows.cross_validate")  # Prefect loads it by its file, under another name


@flow(name="cross-validate", flow_run_name=run_name("cross-validate"), persist_result=False)
def cross_validate(preset: str | None = None, models: Names = (), config: CrossValidateConfig | None = None) -> None:
    """Cross-validate the chosen models on the prepared data, and print the results.

    Args:
        preset: quick, standard, full, or the path of a YAML file. Default: as in config, else quick.
        models: names or globs. Default: as in config, else the preset's.
        config: all options, including those above; each is given only once.

    Raises:
        ModelsFailedError: some models failed; the others are scored and logged.
    """
    config = with_arguments(CrossValidateConfig, config, preset=preset, models=models)
    tags = {"flow": "cross-validation", "preset": config.preset}
    check_cluster(config)
    with exclusive(data_paths()), pipeline_run(config, data_paths(), tags) as run:
        with task_runner(config) as runner:
            fitted = fit_folds(config, run, runner)
        finished = [data_paths().cross_validation / name for name, error in fitted.errors.items() if error is None]
        if finished:
            sys.stdout.write(tabulate_folds(finished, wait_for=list(fitted.results)))
        fitted.raise_failures()
        return completed(str(fitted), None)


def fit_folds(config: CrossValidateConfig, run: PipelineRun, runner: TaskRunner[Any]) -> Fitted:
    """Train and score every model on every fold, then evaluate and log the models."""
    chosen = config.chosen_models
    run = replace(run, tags=run.tags | log_data(run, data_paths()))
    choices = TrainChoices(genres=config.genres, without_genres=config.without_genres, seed=config.seed)
    works = start_runs(chosen, run, "cross-validation", evaluate=config.evaluate, choices=choices)
    models = [model for model in chosen if isinstance(model, ModelSpec)]
    wanted = {(model.name, fold): features_of(model, all_but(fold)) for fold in range(N_FOLDS) for model in models}
    specs = dict.fromkeys(itertools.chain(*wanted.values()))
    features = {spec: build_features.submit_to(runner, spec, config.seed) for spec in specs}
    # By model, what it needs. Typed as such, since Prefect passes the futures' results to tasks.
    needs: dict[str, list[Any]] = {model.name: [] for model in models}
    fits: dict[str, list[Any]] = {model.name: [] for model in models}
    for fold, model in itertools.product(range(N_FOLDS), models):
        own: list[Any] = [features[spec] for spec in wanted[model.name, fold]]
        arguments: dict[str, Any] = {"model": model, "features": own, "fold": fold, "choices": choices}
        fits[model.name].append(train_fold.submit_to(runner, **arguments))
        needs[model.name] += own
    futures: dict[str, list[Any]] = {}  # what a model needs, and its own task last
    for name, folds in fits.items():
        futures[name] = [*needs[name], *folds, finish_folds.submit_to(runner, works[name], folds)]
    for ensemble in (model for model in chosen if isinstance(model, EnsembleSpec)):
        members = [futures[name] for name in ensemble.members]
        blended = finish_folds.submit_to(runner, works[ensemble.name], [member[-1] for member in members])
        futures[ensemble.name] = [*itertools.chain(*members), blended]
    all_fits = list(itertools.chain(*fits.values()))
    for done, _ in enumerate(as_completed(all_fits), 1):
        logger.info("cross-validation: %s of %s fits done", done, len(all_fits))
    return collect(works, futures)
