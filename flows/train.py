"""The chosen models, in parallel: `python flows/train.py [--models 'logreg-*'] [--runner process]`."""

from flows.command_line import run_command
from flows.config import TrainConfig

if __name__ == "__main__":
    raise SystemExit(run_command(TrainConfig, "flows.train:train"))

import itertools
import logging
import traceback
from dataclasses import replace
from typing import Any

from prefect import flow
from prefect.futures import PrefectFuture

from flows.in_prefect import run_name
from flows.outside import told_plainly
from flows.runtime import check_cluster, exclusive, pipeline_run, task_runner
from flows.steps import ModelChain, Steps, submit_staggered, train_choices
from tasks import cluster
from tasks.errors import ModelError, TrackingError
from tasks.models.choose import choose_models, is_encoded, names_of_late, say_models, within_budget
from tasks.models.features import read_genres
from tasks.models.spec import EnsembleSpec, ModelSpec, features_of
from tasks.models.task import build_features
from tasks.models.train import chosen_genres
from tasks.paths import data_paths
from tasks.stage import config_dict
from tasks.tracking.last_run import LoggedModel, save_last_run
from tasks.tracking.runs import PipelineRun, log_data, start_model_run
from tasks.tracking.task import record_failure

logger = logging.getLogger("flows.train")  # Prefect loads it by its file, under another name


class ModelsFailedError(ModelError):
    """Some models failed; the others are trained, scored and logged."""


@flow(name="train", flow_run_name=run_name("train"), persist_result=False)
def train(config: TrainConfig) -> None:
    """Train, score and log the chosen models on the prepared data, as a pipeline run of their own."""
    check_cluster(config)
    with exclusive(data_paths()), pipeline_run(config, data_paths(), {"preset": config.preset}) as run:
        raise_failures(train_models(config, run))


def train_models(config: TrainConfig, run: PipelineRun) -> dict[str, str]:
    """Run the models on the runner that the configuration names; return the error of each model that failed."""
    with task_runner(config) as runner:
        return fit_models.with_options(task_runner=runner)(config, run)


@flow(name="fit models", flow_run_name=run_name("fit models"), persist_result=False)
def fit_models(config: TrainConfig, run: PipelineRun) -> dict[str, str]:
    """Submit every model's tasks, what waits longest last, so that no worker waits for another while there is work."""
    chosen = within_budget(choose_models(config.models, config.model_params, config.own_models), config.budget_minutes)
    logger.info("train: %s", say_models(chosen, config.models))
    chosen_genres(read_genres(data_paths()), train_choices(config))  # a typo is told before anything is fitted
    run = replace(run, tags=run.tags | log_data(run, data_paths()))
    singles = [model for model in chosen if isinstance(model, ModelSpec)]
    wanted = {model.name: features_of(model, config.train_on) for model in singles}
    needed = sorted(dict.fromkeys(itertools.chain(*wanted.values())), key=lambda spec: not is_encoded(spec))
    features = {spec: build_features.submit(spec, config.seed) for spec in needed}  # those that take longest first
    chains = {
        model.name: ModelChain(
            model,
            start_model_run(run, model.name, config_dict(model)),
            [features[spec] for spec in wanted.get(model.name, ())],
        )
        for model in chosen
    }
    late, steps = names_of_late(chosen), Steps(config, run, chains)
    ordered = sorted(chains.values(), key=lambda chain: isinstance(chain.model, EnsembleSpec))  # members come first
    for is_late in (False, True):
        group = [chain for chain in ordered if (chain.model.name in late) == is_late]
        submit_staggered(group, (steps.fit, steps.evaluate, steps.log))
    return collect(run, list(chains.values()))


def collect(run: PipelineRun, chains: list[ModelChain]) -> dict[str, str]:
    """Wait for all models; record each failure in MLflow and return it; note the finished ones as the last run.

    Raises:
        ModelsFailedError: no model is left.
    """
    logged: list[LoggedModel] = []
    failures: dict[str, str] = {}
    for chain in chains:
        failure = recorded_failure(run, chain)
        if failure is None:
            logged.append(chain.futures[-1].result())
        else:
            failures[chain.model.name] = failure
    save_last_run(data_paths(), run, logged)
    if not logged:
        raise_failures(failures)
    return failures


def recorded_failure(run: PipelineRun, chain: ModelChain) -> str | None:
    """Wait for a model; if it failed, record that in MLflow, where it can be had, and return the error in one line."""
    error = first_error(chain)
    if error is None:
        return None
    told = told_plainly(error) or error
    line = f"{type(told).__name__}: {told}"
    if not isinstance(told, TrackingError):  # to a store that is away nothing can be recorded
        record_failure(run, chain.run_id, line, "".join(traceback.format_exception(error)))
    return line


def first_error(chain: ModelChain) -> BaseException | None:
    """Return what the first failed task of a model raised, None if all succeeded."""
    for future in chain.futures:
        future.wait()
        if not future.state.is_completed():
            if (lost := lost_by_runner(future)) is not None:
                return lost
            if future.state.is_pending():
                return ModelError("not started, because something that it needs failed")
            result = future.state.result(raise_on_failure=False)
            return result if isinstance(result, BaseException) else ModelError(str(future.state))
    return None


def lost_by_runner(future: PrefectFuture[Any]) -> BaseException | None:
    """Return why a task has not come to an end of its own: its workers died, or could not read what they got."""
    wrapped = getattr(future, "wrapped_future", None)
    error = None if wrapped is None or future.state.is_final() else wrapped.exception()
    return None if error is None else cluster.loss(error)


def raise_failures(failures: dict[str, str]) -> None:
    """End a run in which models failed.

    Raises:
        ModelsFailedError: with one line a model.
    """
    if failures:
        lines = "\n".join(f"  {name}: {error}" for name, error in failures.items())
        raise ModelsFailedError(f"{len(failures)} model(s) failed, see error.txt in their MLflow runs:\n{lines}")
