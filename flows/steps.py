"""What is done with each model of a run, step by step, and in which order. Owns no flow: `flows.train` runs it."""

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from prefect import Task
from prefect.futures import PrefectFuture

from flows.config import TrainConfig
from flows.runtime import core_count
from tasks.evaluate.task import evaluate
from tasks.models.spec import AnyModel, EnsembleSpec, ModelSpec, TransformerSpec
from tasks.models.task import train_ensemble, train_model, train_transformer
from tasks.models.train import TrainChoices
from tasks.paths import data_paths
from tasks.tracking.runs import PipelineRun
from tasks.tracking.task import log_model

BEHIND: Final = 3  # models between two steps of one model


@dataclass
class ModelChain:
    """The tasks of one model, in their order, and its MLflow run."""

    model: AnyModel
    run_id: str
    futures: list[PrefectFuture[Any]]
    until_fitted: tuple[PrefectFuture[Any], ...] = ()  # those of them that end with the fit

    @property
    def folder(self) -> Path:
        """Where the model's files are."""
        return data_paths().models / self.model.name

    def submit(self, task: Task[..., Any], **arguments: Any) -> None:
        """Submit a task that starts when the one before it succeeded."""
        self.futures.append(task.submit(**arguments, wait_for=self.futures[-1:], return_state=False))


def submit_staggered(group: Sequence[ModelChain], steps: Sequence[Callable[[ModelChain], None]]) -> None:
    """Submit every step of every model, each step some models behind the one before it.

    A worker that takes a task waits for what the task needs; some models later that is there.
    """
    for turn in range(len(group) + BEHIND * (len(steps) - 1)):
        for number, submit in enumerate(steps):
            if 0 <= (place := turn - number * BEHIND) < len(group):
                submit(group[place])


@dataclass(frozen=True)
class Steps:
    """What is done with each model of a run, step by step."""

    config: TrainConfig
    run: PipelineRun
    chains: Mapping[str, ModelChain]  # of all models

    def fit(self, chain: ModelChain) -> None:
        """Fit a model on its features, an encoder on texts, an ensemble on its members' scores."""
        model, choices = chain.model, train_choices(self.config)
        match model:
            case ModelSpec():
                chain.submit(train_model, model=model, features=list(chain.futures), choices=choices)
            case TransformerSpec():
                chain.submit(train_transformer, model=model, choices=choices, n_threads=self._threads_of_encoders())
            case EnsembleSpec():
                members = [self.chains[name] for name in model.members]
                fits = [member.until_fitted for member in members]
                chain.futures += itertools.chain(*fits)  # whose errors are its own
                specs, trained = [member.model for member in members], [fit[-1] for fit in fits]
                chain.submit(train_ensemble, ensemble=model, members=specs, trained=trained)
        chain.until_fitted = tuple(chain.futures)

    def evaluate(self, chain: ModelChain) -> None:
        """Choose a model's decision rule and score it."""
        chain.submit(evaluate, model_folder=chain.folder, config=self.config.evaluate)

    def log(self, chain: ModelChain) -> None:
        """Log a model to MLflow."""
        chain.submit(log_model, run=self.run, name=chain.model.name, run_id=chain.run_id, folder=chain.folder)

    def _threads_of_encoders(self) -> int:
        if self.config.runner == "dask":
            return 1  # how many work at a time on a machine is for who starts its workers to say
        n_encoders = sum(isinstance(chain.model, TransformerSpec) for chain in self.chains.values())
        return max(1, core_count() // min(self.config.workers or core_count(), n_encoders))


def train_choices(config: TrainConfig) -> TrainChoices:
    """Return what the configuration chooses for all models alike."""
    return TrainChoices(config.train_on, config.genres, config.without_genres, config.seed)
