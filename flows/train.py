"""Train, evaluate and log models in parallel: `python flows/train.py [--models 'logreg-*'] [--runner process]`."""

from flows.cli import run_command
from flows.config import TrainConfig, with_arguments

if __name__ == "__main__":
    raise SystemExit(run_command(TrainConfig, "flows.train:train"))

import itertools
import logging
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from prefect import flow
from prefect.futures import PrefectFuture

from flows.model_runs import Fitted, collect, run_model, start_runs, train_choices
from flows.run_context import check_cluster, completed, core_count, exclusive, pipeline_run, run_name, task_runner
from tasks.core.settings import data_paths
from tasks.models.features import read_genres
from tasks.models.registry import describe_choice, encoder_dependent, is_encoded, within_budget
from tasks.models.spec import EnsembleSpec, ModelSpec, TransformerSpec, features_of
from tasks.models.task import build_features
from tasks.models.train import chosen_genres
from tasks.stage import StageResult
from tasks.tracking.past_runs import save_last_run
from tasks.tracking.runs import PipelineRun, log_data

logger = logging.getLogger("flows.train")  # Prefect loads it by its file, under another name


@flow(name="train", flow_run_name=run_name("train"), persist_result=False)
def train(preset: str | None = None, models: tuple[str, ...] = (), config: TrainConfig | None = None) -> None:
    """Train, evaluate and log the chosen models on the prepared data, as a separate pipeline run.

    Args:
        preset: quick, standard, full, or the path of a YAML file. Default: as in config, else quick.
        models: names or globs. Default: as in config, else the preset's.
        config: all options, including those above; each is given only once.
    """
    config = with_arguments(TrainConfig, config, preset=preset, models=models)
    check_cluster(config)
    with exclusive(data_paths()), pipeline_run(config, data_paths(), {"preset": config.preset}) as run:
        fitted = fit_models(config, run)
        fitted.raise_failures()
        return completed(str(fitted), None)


def fit_models(config: TrainConfig, run: PipelineRun, prepared: Sequence[StageResult] = ()) -> Fitted:
    """Train, evaluate and log every model on the configured runner; save the finished ones as the last run.

    The slowest features are submitted first, and the models that wait longest for them last, so that no worker is idle
    while there is work. If no model is left, that is a `ModelsFailedError`.
    """
    chosen = within_budget(config.chosen_models, config.budget_minutes)
    logger.info("train: %s", describe_choice(chosen, config.models))
    choices = train_choices(config)
    chosen_genres(read_genres(data_paths()), choices)  # report a typo before anything is trained
    run = replace(run, tags=run.tags | log_data(run, data_paths()))
    wanted = {model.name: features_of(model, config.train_on) for model in chosen if isinstance(model, ModelSpec)}
    needed = sorted(dict.fromkeys(itertools.chain(*wanted.values())), key=lambda spec: not is_encoded(spec))
    n_encoders = sum(isinstance(model, TransformerSpec) for model in chosen)  # those running together share the cores
    n_threads = max(1, core_count() // min(config.workers or core_count(), max(n_encoders, 1)))
    n_threads = 1 if config.runner == "dask" else n_threads  # the number of workers per machine is up to the user
    works = start_runs(chosen, run, "model", evaluate=config.evaluate, choices=choices, n_threads=n_threads)
    late = encoder_dependent(chosen)
    futures: dict[str, list[PrefectFuture[Any]]] = {}  # what a model needs, and its own task last
    with task_runner(config) as runner:
        features = {spec: build_features.submit_to(runner, spec, config.seed, prepared[-1:]) for spec in needed}
        for model in sorted(chosen, key=lambda model: (model.name in late, isinstance(model, EnsembleSpec))):
            own: list[Any] = [features[spec] for spec in wanted.get(model.name, ())]  # Prefect gives the tasks' results
            members = [futures[name] for name in model.members] if isinstance(model, EnsembleSpec) else []
            last: list[Any] = [of_member[-1] for of_member in members]
            submitted = run_model.submit_to(runner, works[model.name], own, last)
            futures[model.name] = [*own, *itertools.chain(*members), submitted]
        fitted = collect(works, futures)
    save_last_run(data_paths(), run, [trained.logged for trained in fitted.results])
    if not fitted.results:
        fitted.raise_failures()
    return fitted
