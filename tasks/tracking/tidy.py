"""Old runs in MLflow, and their removal; never a registered model, its run or its pipeline run.

Removed runs and models go to MLflow's trash, from which its UI and `mlflow runs restore` restore them until it is
emptied.
"""

import sqlite3
from contextlib import closing
from dataclasses import dataclass

import mlflow
from mlflow.entities import Run

from tasks.core.errors import ConfigError, DataError
from tasks.core.settings import DataPaths, settings
from tasks.tracking.models import MODEL_URI_TAG
from tasks.tracking.runs import PARENT_TAG, RUNNING
from tasks.tracking.select_runs import load_last_run
from tasks.tracking.store import SQLITE, open_client


@dataclass(frozen=True)
class OldRuns:
    """What can be removed: pipeline runs with all their children, and unreferenced logged models."""

    n_pipelines: int
    run_ids: tuple[str, ...]  # of pipelines and their children
    model_ids: tuple[str, ...]


def find_old_runs(experiment_name: str, keep: int, paths: DataPaths) -> OldRuns:
    """Return the runs of an experiment beyond the newest `keep` pipeline runs, except those that must stay.

    These are runs of registered models, past champions included, with their pipelines; the last run of the data folder;
    and runs that have not ended.

    Raises:
        ConfigError: there is no such experiment.
    """
    experiment = open_client().get_experiment_by_name(experiment_name)
    if experiment is None:
        raise ConfigError(f"--experiment: the MLflow store has no experiment {experiment_name!r}")
    runs: list[Run] = mlflow.search_runs([experiment.experiment_id], output_format="list")
    parents = {run.info.run_id: run.data.tags.get(PARENT_TAG) for run in runs}
    families: dict[str, list[Run]] = {}  # by pipeline run, its children and their children
    for run in runs:
        head = run.info.run_id
        while (parent := parents.get(head)) is not None:
            head = parent
        families.setdefault(head, []).append(run)
    newest_first = sorted(families, key=lambda id_: -max(run.info.start_time for run in families[id_]))
    versions = mlflow.search_model_versions()
    needed = {str(version.run_id) for version in versions} | _last_run_ids(paths)
    old = [id_ for id_ in newest_first[keep:] if not _must_stay(families[id_], needed)]
    removed = [run for id_ in old for run in families[id_]]
    kept = [run for id_ in families.keys() - set(old) for run in families[id_]]
    used = {_uri(run) for run in kept} | {version.source for version in versions} | {""}
    uris = {_uri(run) for run in removed} - used
    model_ids = sorted(uri.removeprefix("models:/") for uri in uris)
    return OldRuns(len(old), tuple(run.info.run_id for run in removed), tuple(model_ids))


def remove_runs(old: OldRuns) -> None:
    """Move runs and models to MLflow's trash; those already there are skipped."""
    client = open_client()
    for run_id in old.run_ids:
        client.delete_run(run_id)
    for model_id in old.model_ids:
        client.delete_logged_model(model_id)


def empty_trash() -> None:
    """Delete for good all runs, models and experiments in the store's trash, including those deleted by others.

    Raises:
        ConfigError: the store is a server, which only its own machine can clean.
    """
    uri = settings().tracking_uri
    if uri.startswith(("http:", "https:")):
        raise ConfigError("only the machine of a tracking server can empty its trash: run `mlflow gc` there")
    from mlflow.cli import gc  # noqa: PLC0415 - MLflow's whole command line, only for this

    open_client()
    gc.main(["--backend-store-uri", uri, "--tracking-uri", uri], standalone_mode=False)
    if uri.startswith(SQLITE):
        with closing(sqlite3.connect(uri.removeprefix(SQLITE), timeout=60)) as database:
            database.execute("VACUUM")  # returns the space to the disk


def _must_stay(family: list[Run], needed: set[str]) -> bool:
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
