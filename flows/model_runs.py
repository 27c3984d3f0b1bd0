"""The task that runs one model, with its fit, evaluation and logging as nested tasks, and the models' outcomes."""

import traceback
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from prefect.futures import PrefectFuture

from flows.config import SearchConfig, TrainConfig
from flows.run_context import as_user_error, completed, mlflow_page
from tasks.core.errors import ModelError, TrackingError
from tasks.core.parallel import dask_error
from tasks.core.settings import data_paths
from tasks.evaluate.evaluation import EvaluateConfig
from tasks.evaluate.task import evaluate, evaluate_folds
from tasks.models.spec import AnyModel, EnsembleSpec, ModelSpec, TransformerSpec, shown_params
from tasks.models.task import blend_folds, gather_folds, train_ensemble, train_model, train_transformer
from tasks.models.train import TrainChoices
from tasks.prefect_task import stage_task
from tasks.stage import StageResult
from tasks.tracking.runs import LoggedModel, PipelineRun, start_model_run
from tasks.tracking.task import log_folds, log_model, record_failure

LONGEST: Final = 500  # characters of a failed model's error


@dataclass(frozen=True)
class ModelRun:
    """A model of a pipeline run with its options, small enough to pass to tasks."""

    model: AnyModel
    run: PipelineRun
    run_id: str  # of the model in MLflow
    evaluate: EvaluateConfig
    choices: TrainChoices
    n_threads: int = 1  # of a fine-tuned encoder


@dataclass(frozen=True)
class TrainedModel:
    """A model that was trained, evaluated and logged."""

    model: AnyModel
    trained: StageResult
    evaluated: StageResult
    logged: LoggedModel

    @property
    def skipped(self) -> bool:
        """Whether it was up to date."""
        return self.trained.skipped and self.evaluated.skipped


class ModelsFailedError(ModelError):
    """Some models failed; the others are trained, evaluated and logged."""


@dataclass(frozen=True)
class Fitted:
    """The outcome of each model of a run."""

    errors: dict[str, str | None]  # one line per model; None where it succeeded
    results: Sequence[Any]  # of the tasks of those that succeeded

    def __str__(self) -> str:
        failed = [name for name, error in self.errors.items() if error is not None]
        counted = f"{len(self.errors) - len(failed)} of {len(self.errors)} models"
        return f"{counted}; failed: {', '.join(failed)}" if failed else counted

    def raise_failures(self) -> None:
        """Raise a `ModelsFailedError` with one line per failed model, if any."""
        if failed := {name: error for name, error in self.errors.items() if error is not None}:
            lines = "\n".join(f"  {name}: {' '.join(str(error).split())[:LONGEST]}" for name, error in failed.items())
            raise ModelsFailedError(f"{len(failed)} model(s) failed, see error.txt in their MLflow runs:\n{lines}")


@stage_task("run model", "run {work.model.name}", retries=0)  # the nested tasks have their own retries
def run_model(work: ModelRun, features: Sequence[StageResult], members: Sequence[TrainedModel]) -> TrainedModel:
    """Train a model on its features or its members' scores, choose its decision rule, evaluate it and log it."""
    match work.model:
        case ModelSpec():
            trained = train_model(work.model, features, work.choices)
        case TransformerSpec():
            trained = train_transformer(work.model, work.choices, work.n_threads)
        case EnsembleSpec():
            specs, fits = [member.model for member in members], [member.trained for member in members]
            trained = train_ensemble(work.model, specs, fits)  # type: ignore[arg-type]
    evaluated = evaluate(trained.folder, work.evaluate, wait_for=[trained])
    logged = log_model(work.run, work.model.name, work.run_id, trained.folder, wait_for=[evaluated])
    message = f"test Jaccard {evaluated.counts['test/jaccard']:.4f}; MLflow: {mlflow_page(work.run, work.run_id)}"
    return completed(message, TrainedModel(work.model, trained, evaluated, logged))


@stage_task("finish folds", "finish folds {work.model.name}", retries=0)
def finish_folds(work: ModelRun, parts: Sequence[StageResult]) -> StageResult:
    """Gather a model's folds, or blend its members', evaluate and log them; return the gathered scores."""
    if isinstance(work.model, EnsembleSpec):
        gathered = blend_folds(work.model, parts)
    else:
        assert isinstance(work.model, ModelSpec)  # encoders are not cross-validated
        gathered = gather_folds(work.model, parts)
    folder = data_paths().cross_validation / work.model.name
    evaluated = evaluate_folds(folder, work.evaluate, wait_for=[gathered])
    log_folds(work.run, work.run_id, folder, wait_for=[evaluated])
    return gathered


def train_choices(config: TrainConfig | SearchConfig) -> TrainChoices:
    """Return the training options of all models."""
    return TrainChoices(config.train_on, config.genres, config.without_genres, config.seed)


def start_runs(chosen: Sequence[AnyModel], run: PipelineRun, kind: str, **options: Any) -> dict[str, ModelRun]:
    """Start each model's run in MLflow; return the models' work by name."""
    ids = {model.name: start_model_run(run, model.name, shown_params(model), kind) for model in chosen}
    return {model.name: ModelRun(model, run, ids[model.name], **options) for model in chosen}


def collect(works: Mapping[str, ModelRun], futures: Mapping[str, Sequence[PrefectFuture[Any]]]) -> Fitted:
    """Wait for all models, and record each failure in MLflow if its store answers.

    `futures` has for each model the tasks that it needs, each after those that it needs itself, and its own task last.
    """
    errors: dict[str, str | None] = {}
    for name, work in works.items():
        error = first_error(futures[name])
        shown = None if error is None else as_user_error(error) or error
        errors[name] = None if shown is None else f"{type(shown).__name__}: {shown}"
        if error is not None and not isinstance(shown, TrackingError):
            record_failure(work.run, work.run_id, str(errors[name]), "".join(traceback.format_exception(error)))
    return Fitted(errors, [futures[name][-1].result() for name, error in errors.items() if error is None])


def first_error(futures: Sequence[PrefectFuture[Any]]) -> BaseException | None:
    """Wait for tasks that each need those before; return the error of the first failed one, if any."""
    for future in futures:
        future.wait()
        if future.state.is_completed():
            continue
        wrapped = None if future.state.is_final() else getattr(future, "wrapped_future", None)
        if wrapped is not None and (lost := wrapped.exception()) is not None:
            return dask_error(lost)  # its workers died, or could not read their input
        if future.state.is_pending():
            return ModelError("not started, because an earlier task failed")
        result = future.state.result(raise_on_failure=False)
        return result if isinstance(result, BaseException) else ModelError(str(future.state))
    return None
