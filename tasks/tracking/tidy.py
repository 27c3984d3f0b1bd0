"""Old runs in MLflow, and how they go. Owns which may go: never a registered model, its run or its pipeline run.

Removed runs and models lie in MLflow's trash, from which its UI and `mlflow runs restore` return them, until it is
emptied.
"""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from typing import Final

import mlflow
from mlflow.entities import Run
from mlflow.entities.model_registry import ModelVersion

from tasks.core.errors import ConfigError, DataError
from tasks.core.settings import DataPaths, settings
from tasks.tracking.models import MODEL_URI_TAG
from tasks.tracking.runs import PARENT_TAG, RUNNING
from tasks.tracking.select_runs import load_last_run
from tasks.tracking.store import SQLITE, open_client

PAGE: Final = 500


@dataclass(frozen=True)
class OldRuns:
    """What may go: pipeline runs with all of theirs, and logged models that nothing else refers to."""

    n_pipelines: int
    run_ids: tuple[str, ...]  # of pipelines and their children
    model_ids: tuple[str, ...]


def find_old_runs(experiment_name: str, keep: int, paths: DataPaths) -> OldRuns:
    """Return the runs of an experiment beyond the newest `keep` pipeline runs, without those that have to stay.

    These are runs of registered models, champions and former ones alike, with their pipelines; the last run of the data
    folder; and runs that are not over.

    Raises:
        ConfigError: there is no such experiment.
    """
    client = open_client()
    experiment = client.get_experiment_by_name(experiment_name)
    if experiment is None:
        raise ConfigError(f"--experiment: the MLflow store has no experiment {experiment_name!r}")
    families: dict[str, list[Run]] = {}
    for run in _all_runs(client, experiment.experiment_id):
        families.setdefault(run.data.tags.get(PARENT_TAG) or run.info.run_id, []).append(run)
    families = _with_grandchildren(families)
    newest_first = sorted(families, key=lambda id_: -max(run.info.start_time for run in families[id_]))
    versions = _all_versions(client)
    needed = {str(version.run_id) for version in versions} | _last_run_ids(paths)
    old = [id_ for id_ in newest_first[keep:] if not _stays(families[id_], needed)]
    removed = [run for id_ in old for run in families[id_]]
    kept = [run for id_ in families.keys() - set(old) for run in families[id_]]
    used = {_uri(run) for run in kept} | {version.source for version in versions} | {""}
    uris = {_uri(run) for run in removed} - used
    return OldRuns(
        len(old),
        tuple(run.info.run_id for run in removed),
        tuple(sorted(uri.removeprefix("models:/") for uri in uris)),
    )


def remove_runs(old: OldRuns) -> None:
    """Put runs and models into MLflow's trash. What was put there before is passed over."""
    client = open_client()
    for run_id in old.run_ids:
        client.delete_run(run_id)
    for model_id in old.model_ids:
        client.delete_logged_model(model_id)


def empty_trash() -> None:
    """Delete for good all runs, models and experiments in the trash of the store, whoever put them there.

    Raises:
        ConfigError: the store is a server, on which only its own machine can do so.
    """
    uri = settings().tracking_uri
    if uri.startswith(("http:", "https:")):
        raise ConfigError("a tracking server empties its trash itself: run `mlflow gc` on its machine")
    from mlflow.cli import gc  # noqa: PLC0415 - the command line of MLflow, of which this alone is wanted

    open_client()
    gc.main(["--backend-store-uri", uri, "--tracking-uri", uri], standalone_mode=False)
    if uri.startswith(SQLITE):
        with closing(sqlite3.connect(uri.removeprefix(SQLITE), timeout=60)) as database:
            database.execute("VACUUM")  # which gives the space back to the disk


def _all_runs(client: mlflow.MlflowClient, experiment_id: str) -> Iterator[Run]:
    token: str | None = None
    while True:
        page = client.search_runs([experiment_id], max_results=PAGE, page_token=token)
        yield from page
        token = page.token
        if not token:
            return


def _all_versions(client: mlflow.MlflowClient) -> list[ModelVersion]:
    found = client.search_model_versions()
    versions = list(found)
    while found.token:
        found = client.search_model_versions(page_token=found.token)
        versions += found
    return versions


def _with_grandchildren(families: dict[str, list[Run]]) -> dict[str, list[Run]]:
    """Return families by their eldest: children of a child belong to its parent's family."""
    eldest = {run.info.run_id: run.data.tags.get(PARENT_TAG) for runs in families.values() for run in runs}
    merged: dict[str, list[Run]] = {}
    for id_, runs in families.items():
        head = id_
        while (parent := eldest.get(head)) is not None:
            head = parent
        merged.setdefault(head, []).extend(runs)
    return merged


def _stays(family: list[Run], needed: set[str]) -> bool:
    is_ours = all("genreflow.kind" in run.data.tags for run in family)
    return not is_ours or any(run.info.run_id in needed or run.info.status == RUNNING for run in family)


def _last_run_ids(paths: DataPaths) -> set[str]:
    try:
        run, models = load_last_run(paths)
    except DataError:
        return set()
    return {run.run_id, *(model.run_id for model in models)}


def _uri(run: Run) -> str:
    return str(run.data.tags.get(MODEL_URI_TAG, ""))
