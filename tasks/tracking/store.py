"""The MLflow store: where it is, and that it exists. Owns its creation; knows nothing of what is logged in it.

Its address goes about without its password, which stays in the environment.
"""

import logging
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import unquote, urlsplit

import mlflow
from filelock import FileLock
from mlflow.exceptions import MlflowException

from tasks.errors import ConfigError
from tasks.redaction import HIDDEN, without_password
from tasks.settings import settings

SQLITE: Final = "sqlite:///"


@dataclass(frozen=True)
class Experiment:
    """Where runs go: a small value that tasks in other threads and processes can be given, and files can keep."""

    tracking_uri: str  # as it may be shown
    experiment_id: str
    name: str

    def client(self) -> mlflow.MlflowClient:
        """Return a client of the store; the fluent API, which models are logged with, is pointed to it as well.

        Raises:
            ConfigError: the address wants a password, and MLFLOW_TRACKING_URI does not hold it.
        """
        return _connect(_whole_address(self.tracking_uri))


def open_client() -> mlflow.MlflowClient:
    """Return a client of the store that the settings name, creating its folder and database if need be.

    The fluent API is pointed to the same store, since logging and registering a model go through it.

    Raises:
        ConfigError: the address is a plain folder, which MLflow 3 no longer writes to.
    """
    uri = settings().tracking_uri
    if uri.startswith("file:") or "://" not in uri:
        raise ConfigError(
            f"MLFLOW_TRACKING_URI={without_password(uri)} is a folder; MLflow keeps runs in a database: use "
            "sqlite:////path/to/mlflow.db"
        )
    logging.getLogger("mlflow.store.db.utils").addFilter(_is_not_told_otherwise)
    if uri.startswith(SQLITE):
        Path(uri.removeprefix(SQLITE)).parent.mkdir(parents=True, exist_ok=True)
        with _creation_lock(uri):  # two processes that create the tables at once fail with "duplicate column name"
            client = _connect(uri)
            client.search_experiments(max_results=1)
            return client
    return _connect(uri)


def open_experiment(name: str) -> Experiment:
    """Return the experiment of this name in the store that the settings name, creating both if need be.

    Artifacts of a SQLite store go to `artifacts/` beside the database; a server decides for itself.

    Raises:
        ConfigError: the experiment was deleted in the store's UI.
    """
    client = open_client()
    uri = kept_address(settings().tracking_uri)
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


def kept_address(uri: str) -> str:
    """Return a store's address as it may be shown and kept.

    >>> kept_address("postgresql://me:secret@host/db")
    'postgresql://me:***@host/db'
    >>> kept_address("https://me:secret@host:5000")
    'https://host:5000'
    """
    parts = urlsplit(uri)
    is_server = parts.scheme in ("http", "https")
    return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl() if is_server else without_password(uri)


def _whole_address(kept: str) -> str:
    uri = settings().tracking_uri
    if kept_address(uri) == kept:
        return uri
    if HIDDEN in kept:
        raise ConfigError(
            f"the runs are in the MLflow store {kept}, whose password is not kept: set MLFLOW_TRACKING_URI to its "
            "whole address"
        )
    return kept


def _connect(uri: str) -> mlflow.MlflowClient:
    """Point MLflow to a store. It repeats a server's address in its errors and output: the password goes beside it."""
    parts = urlsplit(uri)
    if parts.scheme in ("http", "https") and parts.username:
        uri = kept_address(uri)
        os.environ["MLFLOW_TRACKING_USERNAME"] = unquote(parts.username)
        os.environ["MLFLOW_TRACKING_PASSWORD"] = unquote(parts.password or "")
    mlflow.set_tracking_uri(uri)
    mlflow.set_registry_uri(uri)
    return mlflow.MlflowClient(uri)


def _is_not_told_otherwise(record: logging.LogRecord) -> bool:
    """Return False for errors that MLflow logs with their traceback and then raises: whoever catches them tells."""
    return not str(record.msg).startswith("SQLAlchemy database error")


def _creation_lock(uri: str) -> FileLock:
    return FileLock(f"{uri.removeprefix(SQLITE)}.lock")
