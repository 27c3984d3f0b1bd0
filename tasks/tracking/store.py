"""The MLflow store: where it is, and that it exists. Owns its creation; knows nothing of what is logged in it."""

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import mlflow
from filelock import FileLock
from mlflow.exceptions import MlflowException

from tasks.errors import ConfigError
from tasks.settings import settings

SQLITE: Final = "sqlite:///"


@dataclass(frozen=True)
class Experiment:
    """Where runs go: a small value that tasks in other threads and processes can be given."""

    tracking_uri: str
    experiment_id: str
    name: str

    def client(self) -> mlflow.MlflowClient:
        """Return a client of the store; the fluent API, which models are logged with, is pointed to it as well."""
        _point_to(self.tracking_uri)
        return mlflow.MlflowClient(self.tracking_uri)


def open_client() -> mlflow.MlflowClient:
    """Return a client of the store that the settings name, creating its folder and database if need be.

    The fluent API is pointed to the same store, since logging and registering a model go through it.

    Raises:
        ConfigError: the address is a plain folder, which MLflow 3 no longer writes to.
    """
    uri = settings().tracking_uri
    if uri.startswith("file:") or "://" not in uri:
        raise ConfigError(
            f"MLFLOW_TRACKING_URI={uri} is a folder; MLflow keeps runs in a database: use sqlite:////path/to/mlflow.db"
        )
    _point_to(uri)
    logging.getLogger("mlflow.store.db.utils").addFilter(_is_not_told_otherwise)
    if uri.startswith(SQLITE):
        Path(uri.removeprefix(SQLITE)).parent.mkdir(parents=True, exist_ok=True)
        with _creation_lock(uri):  # two processes that create the tables at once fail with "duplicate column name"
            client = mlflow.MlflowClient(uri)
            client.search_experiments(max_results=1)
            return client
    return mlflow.MlflowClient(uri)


def open_experiment(name: str) -> Experiment:
    """Return the experiment of this name in the store that the settings name, creating both if need be.

    Artifacts of a SQLite store go to `artifacts/` beside the database; a server decides for itself.

    Raises:
        ConfigError: the experiment was deleted in the store's UI.
    """
    client = open_client()
    uri = settings().tracking_uri
    location = None
    if uri.startswith(SQLITE):
        location = (Path(uri.removeprefix(SQLITE)).resolve().parent / "artifacts").as_uri()
    found = client.get_experiment_by_name(name)
    if found is None:
        try:
            return Experiment(uri, client.create_experiment(name, artifact_location=location), name)
        except MlflowException:
            found = client.get_experiment_by_name(name)  # another process was faster
            if found is None:
                raise
    if found.lifecycle_stage != "active":
        raise ConfigError(
            f"the MLflow experiment {name!r} is deleted: restore it with `mlflow experiments restore "
            f"--experiment-id {found.experiment_id}`, or choose another name with --experiment"
        )
    return Experiment(uri, found.experiment_id, name)


def safe_uri(uri: str) -> str:
    """Return an address without the user name and password that it may hold."""
    parts = urlsplit(uri)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl() if "@" in parts.netloc else uri


def _point_to(uri: str) -> None:
    mlflow.set_tracking_uri(uri)
    mlflow.set_registry_uri(uri)


def _is_not_told_otherwise(record: logging.LogRecord) -> bool:
    """Return False for errors that MLflow logs with their traceback and then raises: whoever catches them tells."""
    return not str(record.msg).startswith("SQLAlchemy database error")


def _creation_lock(uri: str) -> FileLock:
    return FileLock(f"{uri.removeprefix(SQLITE)}.lock")
