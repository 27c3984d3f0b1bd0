"""Runs that were logged before: the last one, those to compare, with their results fetched, and old ones to remove."""

import json
import logging
import re
import shutil
import sqlite3
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import closing
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final, NamedTuple

import mlflow
from mlflow.entities import Run, ViewType
from mlflow.exceptions import MlflowException

from tasks.core.errors import ConfigError, DataError
from tasks.core.settings import DataPaths, settings
from tasks.stage import TEMPORARY_PREFIX, write_atomically
from tasks.tracking import runs as tracked
from tasks.tracking.runs import LoggedModel, PipelineRun
from tasks.tracking.store import MISSING, SQLITE, Experiment, get_if_exists, open_client, public_address

logger = logging.getLogger(__name__)

NEEDED: Final = ("metrics.json", "fit.json", "rules.json", "predictions_test.parquet")
IS_MODEL: Final = f"tags.`{tracked.KIND_TAG}` = 'model'"


class MissingResultsError(DataError):
    """A model's run lacks its predictions or other results."""


def save_last_run(paths: DataPaths, run: PipelineRun, logged: Sequence[LoggedModel]) -> None:
    """Write a run and its finished models, with the store's address without password."""
    content = {"run": asdict(run), "models": [{**asdict(model), "folder": str(model.folder)} for model in logged]}
    write_atomically(paths.last_run, json.dumps(content, indent=1) + "\n")


def load_last_run(paths: DataPaths) -> tuple[PipelineRun, list[LoggedModel]]:
    """Read what `save_last_run` wrote; raise DataError if it is missing or damaged, or no model was finished."""
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


def last_models(paths: DataPaths) -> tuple[PipelineRun, list[LoggedModel]]:
    """Return a data folder's last pipeline run and its models, without deleted runs; a `DataError` if none is left."""
    run, logged = load_last_run(paths)
    client = run.experiment.client()
    if _is_deleted(client, run.run_id):
        raise DataError(
            f"the MLflow run {run.run_id} of the last pipeline run was deleted; restore it with `mlflow runs restore "
            f"--run-id {run.run_id}`, or run flows/train.py again"
        )
    kept = [model for model in logged if not _is_deleted(client, model.run_id)]
    for model in (each for each in logged if each not in kept):
        logger.warning("%s is left out: its MLflow run %s was deleted", model.name, model.run_id)
    if not kept:
        raise DataError("the MLflow runs of all models of the last pipeline run were deleted; run flows/train.py again")
    return run, kept


def _is_deleted(client: mlflow.MlflowClient, run_id: str) -> bool:
    run = get_if_exists(client.get_run, run_id)  # None if it was purged
    return run is None or run.info.lifecycle_stage != "active"


def choose_models(
    paths: DataPaths, runs: Sequence[str] = (), experiment: str | None = None, query: str | None = None
) -> list[LoggedModel]:
    """Return models of any MLflow runs, with their results fetched to the data folder.

    `runs` are ids of models' runs, or of pipeline runs for all their models; without them the experiment's (default:
    "genreflow") that match `query`. A run that was deleted, did not finish or has no predictions is skipped with a
    warning. Of runs with an identical model on the same data the newest is taken. Different models of the same name get
    their run's id in their name. A run or experiment that does not exist and an invalid filter are a `ConfigError`.
    """
    client = open_client()
    found = _runs_by_id(client, runs) if runs else _runs_by_query(client, experiment or "genreflow", query)
    if not found:
        raise DataError(f"--filter: no run of a model matches {query!r}" if query else "there is no run of a model")
    usable = [run for run in found if _is_usable(run)]
    different: dict[tuple[str, str], Run] = {}
    for run in usable:
        tags = run.data.tags
        different.setdefault((tags.get(tracked.URI_TAG) or run.info.run_id, tags.get(tracked.DATA_TAG, "")), run)
    if repeats := len(usable) - len(different):
        noun = "run" if repeats == 1 else "runs"
        logger.info("left out, because another has the identical model: %d %s", repeats, noun)
    names = Counter(_model_of(run) for run in different.values())
    models = []
    for run in different.values():
        name, run_id, tags = _model_of(run), run.info.run_id, run.data.tags
        unique = name if names[name] == 1 else f"{name}@{run_id[:8]}"
        try:
            folder = fetch_results(client, run_id, unique, paths)
        except DataError as error:
            logger.warning("%s is left out: %s", unique, error)
            continue
        uri, data = tags.get(tracked.URI_TAG, ""), tags.get(tracked.DATA_TAG, "")
        models.append(LoggedModel(folder.name, folder, run_id, uri, data))
    if not models:
        raise DataError(f"none of {len(found)} MLflow runs can be compared; train models, or choose other runs")
    return models


def _runs_by_id(client: mlflow.MlflowClient, ids: Sequence[str]) -> list[Run]:
    found: dict[str, Run] = {}
    for run_id in ids:
        run = get_if_exists(client.get_run, run_id)
        if run is None:
            hint = "" if len(run_id) == 32 else "; give the whole id, 32 characters"
            raise ConfigError(f"--runs: the MLflow store has no run {run_id}{hint}")
        query = f"tags.`{tracked.PARENT_TAG}` = '{run_id}' and {IS_MODEL}"
        children = [] if run.data.tags.get(tracked.KIND_TAG) == "model" else _search(run.info.experiment_id, query)
        found |= {each.info.run_id: each for each in children or [run]}
    return list(found.values())


def _runs_by_query(client: mlflow.MlflowClient, experiment: str, query: str | None) -> list[Run]:
    found = client.get_experiment_by_name(experiment)
    if found is None:
        names = ", ".join(sorted(each.name for each in client.search_experiments())) or "none"
        raise ConfigError(f"--experiment: the MLflow store has no experiment {experiment!r}; there are: {names}")
    try:
        return _search(found.experiment_id, f"{IS_MODEL} and {query}" if query else IS_MODEL)
    except MlflowException as error:
        if query is None or error.error_code not in MISSING:
            raise
        raise ConfigError(f"--filter: MLflow cannot read {query!r} ({error})") from error


def _search(experiment_id: str, query: str) -> list[Run]:
    """Return all runs that match, newest first, deleted ones included, from the store connected last."""
    found: list[Run] = mlflow.search_runs(
        [experiment_id], query, ViewType.ALL, order_by=["start_time DESC"], output_format="list"
    )
    return found


def _is_usable(run: Run) -> bool:
    run_id, tags = run.info.run_id, run.data.tags
    if run.info.lifecycle_stage != "active":
        reason = f"was deleted (`mlflow runs restore --run-id {run_id}` restores it)"
    elif tags.get(tracked.KIND_TAG) != "model":
        reason = "is not of a model that was trained and tested"
    elif run.info.status != tracked.FINISHED:
        reason = f"is {run.info.status}: {tags.get(tracked.ERROR_TAG, 'it did not finish')}"
    else:
        return True
    logger.warning("%s is left out: its MLflow run %s %s", _model_of(run), run_id, reason)
    return False


def _model_of(run: Run) -> str:
    return str(run.data.tags.get(tracked.MODEL_TAG) or run.info.run_name)


def fetch_results(client: mlflow.MlflowClient, run_id: str, name: str, paths: DataPaths) -> Path:
    """Fetch the tables of a model's run into the data folder, once; return their folder, which has the model's name.

    A `MissingResultsError` if the run lacks predictions or other results, a `DataError` if they cannot be fetched.
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
            # Of the sidecars only that of training is needed, because it says what kind of model it is.
            is_other_sidecar = file.path.endswith(".stage.json") and file.path != "train.stage.json"
            if not file.is_dir and file.path.endswith((".json", ".csv", ".parquet")) and not is_other_sidecar:
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


def duration_s(run: PipelineRun) -> float:
    """Return the duration of a run, until now if it has not ended."""
    info = run.experiment.client().get_run(run.run_id).info
    end_ms = info.end_time if info.end_time is not None else time.time() * 1000
    return max(0.0, float(end_ms - info.start_time) / 1000)  # a clock can be put back


def previous_best(run: PipelineRun) -> dict[str, Any] | None:
    """Return `name` of the last compared pipeline run before, best `model`, its `jaccard` on test, and `data_hash`."""
    client = run.experiment.client()
    earlier = client.search_runs(
        [run.experiment.experiment_id],
        f"tags.`{tracked.KIND_TAG}` = 'pipeline' and metrics.`test/jaccard` >= 0 "
        f"and attributes.start_time < {client.get_run(run.run_id).info.start_time}",
        max_results=1,
        order_by=["attributes.start_time DESC"],
    )
    if not earlier:
        return None
    data, info = earlier[0].data, earlier[0].info
    return {
        "name": info.run_name,
        "model": data.tags.get("genreflow.best", ""),
        "jaccard": data.metrics["test/jaccard"],
        "data_hash": data.tags.get(tracked.DATA_TAG, ""),
    }


class OldRuns(NamedTuple):
    """What can be removed: pipeline runs with all their children, and unreferenced logged models."""

    n_pipelines: int
    run_ids: tuple[str, ...]  # of pipelines and their children
    model_ids: tuple[str, ...]


def find_old_runs(experiment_name: str, keep: int, paths: DataPaths) -> OldRuns:
    """Return the runs of an experiment beyond the newest `keep` pipeline runs, except those that must stay.

    These are runs of registered models, past champions included, with their pipelines; the last run of this data
    folder, and the newest run of every other; runs that have not ended; and runs of others. Raises ConfigError if there
    is no such experiment.
    """
    experiment = open_client().get_experiment_by_name(experiment_name)
    if experiment is None:
        raise ConfigError(f"--experiment: the MLflow store has no experiment {experiment_name!r}")
    runs: list[Run] = mlflow.search_runs([experiment.experiment_id], output_format="list")
    versions = mlflow.search_model_versions()
    needed = {str(version.run_id) for version in versions}
    try:
        last, models = load_last_run(paths)
        needed |= {last.run_id, *(model.run_id for model in models)}
    except DataError:
        pass  # nothing was trained here
    parents = {run.info.run_id: run.data.tags.get(tracked.PARENT_TAG) for run in runs}
    families: dict[str, list[Run]] = {}  # by pipeline run, its children and their children
    for run in runs:
        head = run.info.run_id
        while (parent := parents.get(head)) is not None:
            head = parent
        families.setdefault(head, []).append(run)
    newest_first = sorted(families.values(), key=lambda family: -max(run.info.start_time for run in family))
    newest_of: dict[str, list[Run]] = {}  # by data folder
    for family in newest_first:
        newest_of.setdefault(family[0].data.tags.get(tracked.FOLDER_TAG, ""), family)
    newest_of.pop(tracked.folder_id(paths), None)
    old = [
        family
        for family in newest_first[keep:]
        if all(family is not newest for newest in newest_of.values())
        and all(tracked.KIND_TAG in run.data.tags for run in family)
        and not any(run.info.run_id in needed or run.info.status == tracked.RUNNING for run in family)
    ]
    removed = {run.info.run_id: run.data.tags.get(tracked.URI_TAG, "") for family in old for run in family}
    used = {run.data.tags.get(tracked.URI_TAG, "") for run in runs if run.info.run_id not in removed}
    uris = set(removed.values()) - used - {version.source for version in versions} - {""}
    model_ids = sorted(uri.removeprefix("models:/") for uri in uris)
    return OldRuns(len(old), tuple(removed), tuple(model_ids))


def remove_runs(old: OldRuns) -> None:
    """Move runs and models to MLflow's trash, from which `mlflow runs restore` and its UI restore them."""
    client = open_client()
    for run_id in old.run_ids:
        client.delete_run(run_id)
    for model_id in old.model_ids:
        client.delete_logged_model(model_id)


def empty_trash() -> None:
    """Delete for good all runs, models and experiments in the store's trash, including those deleted by others."""
    uri = settings().tracking_uri
    if uri.startswith(("http:", "https:")):
        raise ConfigError("only the machine of a tracking server can empty its trash: run `mlflow gc` there")
    from mlflow.cli import gc  # noqa: PLC0415 - MLflow's whole command line, only for this

    open_client()
    gc.main(["--backend-store-uri", uri, "--tracking-uri", uri], standalone_mode=False)
    if uri.startswith(SQLITE):
        with closing(sqlite3.connect(uri.removeprefix(SQLITE), timeout=60)) as database:
            database.execute("VACUUM")  # returns the space to the disk
