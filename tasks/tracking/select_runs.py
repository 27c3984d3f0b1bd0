"""The choice of models to compare from MLflow runs, with their results fetched; unusable runs are reported."""

import json
import logging
import re
import shutil
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

import mlflow
from mlflow.entities import Run, ViewType
from mlflow.exceptions import MlflowException

from tasks.core.errors import ConfigError, DataError
from tasks.core.settings import DataPaths
from tasks.stage import TEMPORARY_PREFIX, write_atomically
from tasks.tracking.runs import FINISHED, PARENT_TAG, PipelineRun
from tasks.tracking.store import Experiment, is_missing, open_client, public_address

logger = logging.getLogger(__name__)

NEEDED: Final = ("metrics.json", "fit.json", "rules.json", "predictions_test.parquet")
SUFFIXES: Final = (".json", ".csv", ".parquet")
SIDECAR_SUFFIX: Final = ".stage.json"  # of files that are not fetched
TRAINING_SIDECAR: Final = "train.stage.json"  # fetched, because it says what kind of model it is

DEFAULT_EXPERIMENT: Final = "genreflow"
IS_MODEL: Final = "tags.`genreflow.kind` = 'model'"
KIND_TAG, MODEL_TAG = "genreflow.kind", "genreflow.model"
DATA_TAG, URI_TAG = "genreflow.data_hash", "genreflow.model_uri"
ERROR_TAG: Final = "genreflow.error"
ID_LENGTH: Final = 32  # of a run


class MissingResultsError(DataError):
    """A model's run lacks its predictions or other results."""


@dataclass(frozen=True)
class LoggedModel:
    """A model of a run: its name, its folder, its MLflow run and the address of the logged model."""

    name: str
    folder: Path
    run_id: str
    model_uri: str
    data_hash: str = ""  # of the data that it was trained and tested on; "" if unknown


def save_last_run(paths: DataPaths, run: PipelineRun, logged: Sequence[LoggedModel]) -> None:
    """Write a run and its finished models, with the store's address without password."""
    content = {"run": asdict(run), "models": [{**asdict(model), "folder": str(model.folder)} for model in logged]}
    write_atomically(paths.last_run, json.dumps(content, indent=1) + "\n")


def load_last_run(paths: DataPaths) -> tuple[PipelineRun, list[LoggedModel]]:
    """Read what `save_last_run` wrote.

    Raises:
        DataError: nothing was trained in this data folder yet, no model was finished, or the file is damaged.
    """
    try:
        content = json.loads(paths.last_run.read_text(encoding="utf-8"))
        store = content["run"]["experiment"]
        store["tracking_uri"] = public_address(store["tracking_uri"])  # earlier versions kept the password
        run = PipelineRun(**{**content["run"], "experiment": Experiment(**store)})
        models = [LoggedModel(**{**model, "folder": Path(model["folder"])}) for model in content["models"]]
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise DataError(f"{paths.last_run} is missing or damaged ({error}); run flows/train.py first") from error
    if not models:
        raise DataError(f"{paths.last_run}: every model of the last run failed, so there is nothing to compare")
    return run, models


def fetch_results(client: mlflow.MlflowClient, run_id: str, name: str, paths: DataPaths) -> Path:
    """Fetch the tables of a model's run into the data folder, once; return their folder, which has the model's name.

    Raises:
        MissingResultsError: the run lacks its predictions or other results.
        DataError: they cannot be fetched.
    """
    # A name from the store must not lead out of the folder.
    folder = paths.compared / run_id / (re.sub(r"[^\w.+@-]", "_", name).lstrip(".") or "model")
    if folder.is_dir():
        return folder
    unfinished = folder.with_name(f"{TEMPORARY_PREFIX}{folder.name}")
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir(parents=True)
    try:
        address = client.get_run(run_id).info.artifact_uri  # with run and path, MLflow would ask for it for each file
        for file in client.list_artifacts(run_id):
            if not file.is_dir and _is_wanted(file.path):
                mlflow.artifacts.download_artifacts(f"{address}/{file.path}", dst_path=str(unfinished))
        missing = [name for name in NEEDED if not (unfinished / name).is_file()]
        if missing:
            raise MissingResultsError(f"its MLflow run {run_id} has no {', '.join(missing)}")
        unfinished.replace(folder)
    except (MlflowException, OSError) as error:
        raise DataError(f"the files of its MLflow run {run_id} cannot be fetched ({error})") from error
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
    return folder


def _is_wanted(path: str) -> bool:
    return path.endswith(SUFFIXES) and (path == TRAINING_SIDECAR or not path.endswith(SIDECAR_SUFFIX))


def choose_models(
    paths: DataPaths, runs: Sequence[str] = (), experiment: str | None = None, query: str | None = None
) -> list[LoggedModel]:
    """Return models of any MLflow runs, with their results fetched to the data folder.

    `runs` are ids of models' runs, or of pipeline runs for all their models; without them the experiment's (default:
    "genreflow") that match `query`. A run that was deleted, did not finish or has no predictions is skipped with a
    warning. Of runs with an identical model on the same data the newest is taken. Different models of the same name get
    their run's id in their name.

    Raises:
        ConfigError: a run or the experiment does not exist, or the filter is invalid.
        DataError: nothing is left to compare.
    """
    client = open_client()
    found = _runs_by_id(client, runs) if runs else _runs_by_query(client, experiment or DEFAULT_EXPERIMENT, query)
    if not found:
        raise DataError(f"--filter: no run of a model matches {query!r}" if query else "there is no run of a model")
    usable = _without_repeats([run for run in found if _is_usable(run)])
    names = Counter(_model_of(run) for run in usable)
    models = []
    for run in usable:
        name, run_id, tags = _model_of(run), run.info.run_id, run.data.tags
        unique = name if names[name] == 1 else f"{name}@{run_id[:8]}"
        try:
            folder = fetch_results(client, run_id, unique, paths)
        except DataError as error:
            logger.warning("%s is left out: %s", unique, error)
            continue
        models.append(LoggedModel(folder.name, folder, run_id, tags.get(URI_TAG, ""), tags.get(DATA_TAG, "")))
    if not models:
        raise DataError(f"none of {len(found)} MLflow runs can be compared; train models, or choose other runs")
    return models


def last_models(paths: DataPaths) -> tuple[PipelineRun, list[LoggedModel]]:
    """Return the last pipeline run of a data folder, and its models; those with a deleted MLflow run are skipped.

    Raises:
        DataError: nothing was trained yet, or the runs were deleted.
    """
    run, logged = load_last_run(paths)
    client = run.experiment.client()
    if _is_deleted(client, run.run_id):
        raise DataError(
            f"the MLflow run {run.run_id} of the last pipeline run was deleted; restore it with `mlflow runs restore "
            f"--run-id {run.run_id}`, or run flows/train.py again"
        )
    kept = [model for model in logged if not _is_deleted(client, model.run_id)]
    for model in logged:
        if model not in kept:
            logger.warning("%s is left out: its MLflow run %s was deleted", model.name, model.run_id)
    if not kept:
        raise DataError("the MLflow runs of all models of the last pipeline run were deleted; run flows/train.py again")
    return run, kept


def _is_deleted(client: mlflow.MlflowClient, run_id: str) -> bool:
    try:
        return bool(client.get_run(run_id).info.lifecycle_stage != "active")
    except MlflowException as error:
        if not is_missing(error):
            raise
        return True  # purged


def _runs_by_id(client: mlflow.MlflowClient, ids: Sequence[str]) -> list[Run]:
    found: list[Run] = []
    for run_id in ids:
        try:
            run = client.get_run(run_id)
        except MlflowException as error:
            if not is_missing(error):
                raise
            hint = "" if len(run_id) == ID_LENGTH else f"; give the whole id, {ID_LENGTH} characters"
            raise ConfigError(f"--runs: the MLflow store has no run {run_id}{hint}") from error
        query = f"tags.`{PARENT_TAG}` = '{run_id}' and {IS_MODEL}"
        children = [] if run.data.tags.get(KIND_TAG) == "model" else _search(run.info.experiment_id, query)
        found += children or [run]
    return list({run.info.run_id: run for run in found}.values())


def _runs_by_query(client: mlflow.MlflowClient, experiment: str, query: str | None) -> list[Run]:
    found = client.get_experiment_by_name(experiment)
    if found is None:
        names = ", ".join(sorted(each.name for each in client.search_experiments())) or "none"
        raise ConfigError(f"--experiment: the MLflow store has no experiment {experiment!r}; there are: {names}")
    try:
        return _search(found.experiment_id, f"{IS_MODEL} and {query}" if query else IS_MODEL)
    except MlflowException as error:
        if query is None or not is_missing(error):
            raise
        raise ConfigError(f"--filter: MLflow cannot read {query!r} ({error})") from error


def _search(experiment_id: str, query: str) -> list[Run]:
    """Return all runs that match, newest first, deleted ones included, from the store connected last."""
    found: list[Run] = mlflow.search_runs(
        [experiment_id], query, ViewType.ALL, order_by=["start_time DESC"], output_format="list"
    )
    return found


def _without_repeats(runs: Sequence[Run]) -> list[Run]:
    """Return runs without those that logged the same model on the same data as one before them."""
    first: dict[tuple[str, str], Run] = {}
    for run in runs:
        tags = run.data.tags
        first.setdefault((tags.get(URI_TAG) or run.info.run_id, tags.get(DATA_TAG, "")), run)
    if repeats := len(runs) - len(first):
        noun = "run" if repeats == 1 else "runs"
        logger.info("left out, because another has the identical model: %s %s", repeats, noun)
    return list(first.values())


def _is_usable(run: Run) -> bool:
    run_id, tags = run.info.run_id, run.data.tags
    reason = ""
    if run.info.lifecycle_stage != "active":
        reason = f"was deleted (`mlflow runs restore --run-id {run_id}` restores it)"
    elif tags.get(KIND_TAG) != "model":
        reason = "is not of a model that was trained and tested"
    elif run.info.status != FINISHED:
        reason = f"is {run.info.status}: {tags.get(ERROR_TAG, 'it did not finish')}"
    if reason:
        logger.warning("%s is left out: its MLflow run %s %s", _model_of(run), run_id, reason)
    return not reason


def _model_of(run: Run) -> str:
    return str(run.data.tags.get(MODEL_TAG) or run.info.run_name)
