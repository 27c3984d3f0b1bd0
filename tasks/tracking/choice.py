"""Which models of MLflow's runs are compared. Owns the choice, and what is told of runs that cannot be."""

import logging
from collections import Counter
from collections.abc import Sequence
from typing import Final

import mlflow
from mlflow.entities import Run, ViewType
from mlflow.exceptions import MlflowException

from tasks.errors import ConfigError, DataError
from tasks.paths import DataPaths
from tasks.tracking.last_run import LoggedModel, load_last_run
from tasks.tracking.results import fetch_results
from tasks.tracking.runs import FINISHED, PARENT_TAG, PipelineRun
from tasks.tracking.store import open_client
from tasks.tracking.trouble import is_missing

logger = logging.getLogger(__name__)

DEFAULT_EXPERIMENT: Final = "genreflow"
IS_MODEL: Final = "tags.`genreflow.kind` = 'model'"
KIND_TAG, MODEL_TAG = "genreflow.kind", "genreflow.model"
DATA_TAG, URI_TAG = "genreflow.data_hash", "genreflow.model_uri"
ERROR_TAG: Final = "genreflow.error"
ID_LENGTH: Final = 32  # of a run


def choose_models(
    paths: DataPaths, runs: Sequence[str] = (), experiment: str | None = None, query: str | None = None
) -> list[LoggedModel]:
    """Return models of any MLflow runs, with their results fetched to the data folder.

    A run that was deleted, did not finish or has no predictions is told and left out. Of runs with the same model, to
    the byte, on the same data the newest is taken. Models of the same name are told apart by their run's id.

    Args:
        paths: the data folder.
        runs: ids of runs of models, or of pipelines, which stand for all of their models; empty: the experiment's.
        experiment: its name; None: "genreflow".
        query: an MLflow filter of the experiment's runs; None: all.

    Raises:
        ConfigError: a run or the experiment does not exist, or the filter cannot be read.
        DataError: nothing is left to compare.
    """
    client = open_client()
    found = _runs_by_id(client, runs) if runs else _runs_by_query(client, experiment or DEFAULT_EXPERIMENT, query)
    if not found:
        raise DataError(f"--filter: no run of a model fits {query!r}" if query else "there is no run of a model")
    usable = _without_repeats([run for run in found if _is_usable(run)])
    names = Counter(_model_of(run) for run in usable)
    models = []
    for run in usable:
        name, run_id = _model_of(run), run.info.run_id
        unique = name if names[name] == 1 else f"{name}@{run_id[:8]}"
        try:
            folder = fetch_results(client, run_id, unique, paths)
        except DataError as error:
            logger.warning("%s is left out: %s", unique, error)
            continue
        tags = run.data.tags
        models.append(LoggedModel(folder.name, folder, run_id, tags.get(URI_TAG, ""), tags.get(DATA_TAG, "")))
    if not models:
        raise DataError(f"none of {len(found)} MLflow runs can be compared; train models, or choose other runs")
    return models


def last_models(paths: DataPaths) -> tuple[PipelineRun, list[LoggedModel]]:
    """Return the last pipeline run of a data folder, and its models; those whose MLflow run was deleted are told.

    Raises:
        DataError: nothing was trained yet, or the runs were deleted.
    """
    run, logged = load_last_run(paths)
    client = run.experiment.client()
    if _is_deleted(client, run.run_id):
        raise DataError(
            f"the MLflow run {run.run_id} of the last pipeline run was deleted; bring it back with `mlflow runs "
            f"restore --run-id {run.run_id}`, or run flows/train.py again"
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
        return True  # for good


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
        children = [] if run.data.tags.get(KIND_TAG) == "model" else _children(client, run)
        found += children or [run]
    return list({run.info.run_id: run for run in found}.values())


def _children(client: mlflow.MlflowClient, run: Run) -> list[Run]:
    query = f"tags.`{PARENT_TAG}` = '{run.info.run_id}' and {IS_MODEL}"
    return list(
        client.search_runs([run.info.experiment_id], query, order_by=["start_time DESC"], run_view_type=ViewType.ALL)
    )


def _runs_by_query(client: mlflow.MlflowClient, experiment: str, query: str | None) -> list[Run]:
    found = client.get_experiment_by_name(experiment)
    if found is None:
        names = ", ".join(sorted(each.name for each in client.search_experiments())) or "none"
        raise ConfigError(f"--experiment: the MLflow store has no experiment {experiment!r}; there are: {names}")
    asked = f"{IS_MODEL} and {query}" if query else IS_MODEL
    runs: list[Run] = []
    token: str | None = None
    while True:
        try:
            page = client.search_runs(
                [found.experiment_id], asked, ViewType.ALL, order_by=["start_time DESC"], page_token=token
            )
        except MlflowException as error:
            if query is None or not is_missing(error):
                raise
            raise ConfigError(f"--filter: MLflow cannot read {query!r} ({error})") from error
        runs += page
        token = page.token
        if not token:
            return runs


def _without_repeats(runs: Sequence[Run]) -> list[Run]:
    """Return runs without those that logged the same model on the same data as one before them."""
    first: dict[tuple[str, str], Run] = {}
    for run in runs:
        tags = run.data.tags
        first.setdefault((tags.get(URI_TAG) or run.info.run_id, tags.get(DATA_TAG, "")), run)
    if len(first) < len(runs):
        repeats = len(runs) - len(first)
        noun = "run" if repeats == 1 else "runs"
        logger.info("left out, as the same model to the byte as another: %s %s", repeats, noun)
    return list(first.values())


def _is_usable(run: Run) -> bool:
    run_id, tags = run.info.run_id, run.data.tags
    reason = ""
    if run.info.lifecycle_stage != "active":
        reason = f"was deleted (`mlflow runs restore --run-id {run_id}` brings it back)"
    elif tags.get(KIND_TAG) != "model":
        reason = "is not of a model that was trained and tested"
    elif run.info.status != FINISHED:
        reason = f"is {run.info.status}: {tags.get(ERROR_TAG, 'it did not finish')}"
    if reason:
        logger.warning("%s is left out: its MLflow run %s %s", _model_of(run), run_id, reason)
    return not reason


def _model_of(run: Run) -> str:
    return str(run.data.tags.get(MODEL_TAG) or run.info.run_name)
