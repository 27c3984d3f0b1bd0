"""The chosen models, in parallel: `python flows/train.py [--models 'logreg-*'] [--runner process]`."""

from flows.cli import run_command
from flows.config import TrainConfig, with_leading

if __name__ == "__main__":
    raise SystemExit(run_command(TrainConfig, "flows.train:train"))

import itertools
import logging
import traceback
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from prefect import flow
from prefect.futures import PrefectFuture

from flows.model_runs import Fitted, ModelRun, TrainedModel, first_error, run_model, train_choices
from flows.prefect_ui import completed, run_name
from flows.run_context import check_cluster, core_count, exclusive, pipeline_run, task_runner, told_plainly
from tasks.core.errors import TrackingError
from tasks.core.settings import data_paths
from tasks.models.features import read_genres
from tasks.models.select import choose_models, describe_choice, encoder_dependent, is_encoded, within_budget
from tasks.models.spec import AnyModel, EnsembleSpec, ModelSpec, TransformerSpec, features_of, shown_params
from tasks.models.task import build_features
from tasks.models.train import chosen_genres
from tasks.stage import StageResult
from tasks.tracking.runs import PipelineRun, log_data, start_model_run
from tasks.tracking.select_runs import save_last_run
from tasks.tracking.task import record_failure

logger = logging.getLogger("flows.train")  # Prefect loads it by its file, under another name


@flow(name="train", flow_run_name=run_name("train"), persist_result=False)
def train(preset: str | None = None, models: tuple[str, ...] = (), config: TrainConfig | None = None) -> None:
    """Train, score and log the chosen models on the prepared data, as a pipeline run of their own.

    Args:
        preset: quick, standard, full, or the path of a YAML file; none: that of config, else quick.
        models: names or globs; none: those of config, else the preset's.
        config: all options, those above too; none is given in both.
    """
    config = with_leading(TrainConfig, config, preset=preset, models=models)
    check_cluster(config)
    with exclusive(data_paths()), pipeline_run(config, data_paths(), {"preset": config.preset}) as run:
        fitted = fit_models(config, run)
        fitted.raise_failures()
        return completed(str(fitted), None)


def fit_models(config: TrainConfig, run: PipelineRun, prepared: Sequence[StageResult] = ()) -> Fitted:
    """Run every model on the runner that the configuration names, what waits longest last.

    So no worker waits for another while there is work.
    """
    chosen = within_budget(choose_models(config.models, config.model_params, config.own_models), config.budget_minutes)
    logger.info("train: %s", describe_choice(chosen, config.models))
    chosen_genres(read_genres(data_paths()), train_choices(config))  # a typo is told before anything is fitted
    run = replace(run, tags=run.tags | log_data(run, data_paths()))
    wanted = {model.name: features_of(model, config.train_on) for model in chosen if isinstance(model, ModelSpec)}
    # what takes longest first
    needed = sorted(dict.fromkeys(itertools.chain(*wanted.values())), key=lambda spec: not is_encoded(spec))
    n_threads = threads_of_encoders(config, chosen)
    works = {}
    for model in chosen:
        run_id = start_model_run(run, model.name, shown_params(model))
        works[model.name] = ModelRun(model, run, run_id, config.evaluate, train_choices(config), n_threads)
    late = encoder_dependent(chosen)
    futures: dict[str, list[PrefectFuture[Any]]] = {}
    with task_runner(config) as runner:
        features = {spec: build_features.submit_to(runner, spec, config.seed, prepared[-1:]) for spec in needed}
        for model in sorted(chosen, key=lambda model: (model.name in late, isinstance(model, EnsembleSpec))):
            own: list[Any] = [features[spec] for spec in wanted.get(model.name, ())]  # Prefect gives the tasks' results
            needed_models = [futures[name] for name in model.members] if isinstance(model, EnsembleSpec) else []
            members: list[Any] = [needs[-1] for needs in needed_models]
            submitted = run_model.submit_to(runner, works[model.name], own, members)
            futures[model.name] = [*own, *itertools.chain(*needed_models), submitted]  # whose errors are its own
        return collect(list(works.values()), futures)


def threads_of_encoders(config: TrainConfig, chosen: Sequence[AnyModel]) -> int:
    """Return how many threads each fine-tuned encoder computes with, so that all at work share the cores."""
    if config.runner == "dask":
        return 1  # how many work at a time on a machine is for who starts its workers to say
    n_encoders = sum(isinstance(model, TransformerSpec) for model in chosen)
    return max(1, core_count() // min(config.workers or core_count(), max(n_encoders, 1)))


def collect(works: Sequence[ModelRun], futures: Mapping[str, Sequence[PrefectFuture[Any]]]) -> Fitted:
    """Wait for all models; record each failure in MLflow; note the finished ones as the last run.

    Args:
        works: the models.
        futures: of each model its task, the last, and those that it needs.

    Raises:
        ModelsFailedError: no model is left.
    """
    trained: list[TrainedModel] = []
    errors: dict[str, str | None] = {}
    for work in works:
        errors[work.model.name] = recorded_failure(work, futures[work.model.name])
        if errors[work.model.name] is None:
            trained.append(futures[work.model.name][-1].result())
    save_last_run(data_paths(), works[0].run, [model.logged for model in trained])
    fitted = Fitted(errors, trained)
    if not trained:
        fitted.raise_failures()
    return fitted


def recorded_failure(work: ModelRun, futures: Sequence[PrefectFuture[Any]]) -> str | None:
    """Wait for a model; if it failed, record that in MLflow, where it can be had, and return the error in one line."""
    error = first_error(futures)
    if error is None:
        return None
    told = told_plainly(error) or error
    line = f"{type(told).__name__}: {told}"
    if not isinstance(told, TrackingError):  # to a store that is away nothing can be recorded
        record_failure(work.run, work.run_id, line, "".join(traceback.format_exception(error)))
    return line
