"""The chosen models, in parallel: `python flows/train.py [--models 'logreg-*'] [--runner process]`."""

from flows.command_line import run_command
from flows.config import TrainConfig

if __name__ == "__main__":
    raise SystemExit(run_command(TrainConfig, "flows.train:train"))

import itertools
import traceback
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from prefect import Task, flow
from prefect.futures import PrefectFuture

from flows.runtime import core_count, exclusive, pipeline_run, task_runner
from tasks.errors import ModelError
from tasks.evaluate.task import evaluate
from tasks.models.choose import choose_models, is_encoded, names_of_late, within_budget
from tasks.models.features import read_genres
from tasks.models.spec import AnyModel, EnsembleSpec, ModelSpec, TransformerSpec, features_of
from tasks.models.task import build_features, train_ensemble, train_model, train_transformer
from tasks.models.train import TrainChoices, chosen_genres
from tasks.paths import data_paths
from tasks.report.task import draw_model
from tasks.stage import config_dict
from tasks.tracking.last_run import LoggedModel, save_last_run
from tasks.tracking.runs import PipelineRun, log_data, start_model_run
from tasks.tracking.task import log_model, record_failure


class ModelsFailedError(ModelError):
    """Some models failed; the others are trained, scored and logged."""


@dataclass
class ModelChain:
    """The tasks of one model, in their order, and its MLflow run."""

    model: AnyModel
    run_id: str
    futures: list[PrefectFuture[Any]]

    @property
    def folder(self) -> Path:
        """Where the model's files are."""
        return data_paths().models / self.model.name

    def submit(self, task: Task[..., Any], **arguments: Any) -> None:
        """Submit a task that starts when the one before it succeeded."""
        self.futures.append(task.submit(**arguments, wait_for=self.futures[-1:], return_state=False))


@flow(name="train", persist_result=False)
def train(config: TrainConfig) -> None:
    """Train, score and log the chosen models on the prepared data, as a pipeline run of their own."""
    with exclusive(data_paths()), pipeline_run(config, data_paths(), {"preset": config.preset}) as run:
        raise_failures(train_models(config, run))


def train_models(config: TrainConfig, run: PipelineRun) -> dict[str, str]:
    """Run the models on the runner that the configuration names; return the error of each model that failed."""
    runner = task_runner(config.runner, config.workers)
    return fit_models.with_options(task_runner=runner)(config, run)


@flow(name="fit models", persist_result=False)
def fit_models(config: TrainConfig, run: PipelineRun) -> dict[str, str]:
    """Submit every model's tasks, what waits longest last, so that no worker waits for another while there is work."""
    chosen = within_budget(choose_models(config.models, config.model_params, config.own_models), config.budget_minutes)
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
    late = names_of_late(chosen)
    for group in ([chains[name] for name in chains if name not in late], [chains[name] for name in late]):
        submit_training(group, chains, train_choices(config), config.workers or core_count())
        for chain in group:
            chain.submit(evaluate, model_folder=chain.folder, config=config.evaluate)
        for chain in group:
            chain.submit(draw_model, model_folder=chain.folder)
        for chain in group:
            chain.submit(log_model, run=run, name=chain.model.name, run_id=chain.run_id, folder=chain.folder)
    return collect(run, list(chains.values()))


def submit_training(
    group: Sequence[ModelChain], chains: Mapping[str, ModelChain], choices: TrainChoices, workers: int
) -> None:
    """Submit the fits: each model's on its features; encoders, which take longest; ensembles' on their members.

    Args:
        group: of the models to fit.
        chains: of all models by name, the ensembles' members among them.
        choices: what to fit them on.
        workers: how many tasks run at a time.
    """
    for chain in group:
        if isinstance(chain.model, ModelSpec):
            chain.submit(train_model, model=chain.model, features=list(chain.futures), choices=choices)
    tuned = [chain for chain in group if isinstance(chain.model, TransformerSpec)]
    for chain in tuned:
        n_threads = max(1, core_count() // min(workers, len(tuned)))
        chain.submit(train_transformer, model=chain.model, choices=choices, n_threads=n_threads)
    for chain in group:
        if isinstance(chain.model, EnsembleSpec):
            members = [chains[name] for name in chain.model.members]
            trained = [member.futures[-1] for member in members]
            chain.futures += itertools.chain(*(member.futures for member in members))  # whose errors are its own
            specs = [member.model for member in members]
            chain.submit(train_ensemble, ensemble=chain.model, members=specs, trained=trained)


def train_choices(config: TrainConfig) -> TrainChoices:
    """Return what the configuration chooses for all models alike."""
    return TrainChoices(config.train_on, config.genres, config.without_genres, config.seed)


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
    """Wait for a model; if it failed, record that in MLflow and return the error in one line."""
    error = first_error(chain)
    if error is None:
        return None
    line = f"{type(error).__name__}: {error}"
    record_failure(run, chain.run_id, line, "".join(traceback.format_exception(error)))
    return line


def first_error(chain: ModelChain) -> BaseException | None:
    """Return what the first failed task of a model raised, None if all succeeded."""
    for future in chain.futures:
        future.wait()
        if not future.state.is_completed():
            if future.state.is_pending():
                return ModelError("not started, because something that it needs failed")
            result = future.state.result(raise_on_failure=False)
            return result if isinstance(result, BaseException) else ModelError(str(future.state))
    return None


def raise_failures(failures: dict[str, str]) -> None:
    """End a run in which models failed.

    Raises:
        ModelsFailedError: with one line a model.
    """
    if failures:
        lines = "\n".join(f"  {name}: {error}" for name, error in failures.items())
        raise ModelsFailedError(f"{len(failures)} model(s) failed, see error.txt in their MLflow runs:\n{lines}")
