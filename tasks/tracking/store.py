"""The MLflow store: where it is, and that it exists. Owns its creation; knows nothing of what is logged in it.

Its address goes about without its password, which stays in the environment.
"""

import functools
import json
import logging
import os
import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, ParamSpec, TypeVar
from urllib.parse import unquote, urlsplit

import mlflow
from filelock import FileLock
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import INVALID_PARAMETER_VALUE, RESOURCE_DOES_NOT_EXIST, ErrorCode

from tasks.core.errors import ConfigError, TrackingError
from tasks.core.logs import HIDDEN, without_password
from tasks.core.metrics import in_groups
from tasks.core.settings import settings

P = ParamSpec("P")
R = TypeVar("R")

logger = logging.getLogger(__name__)

WAITS_S: Final = (1.0, 5.0, 20.0)  # beside the 20 s that MLflow lets a locked SQLite database have each time
AWAY: Final = re.compile(r"API request to .* failed with (exception|(error )?code 50[234])|Max retries exceeded")
BUSY: Final = re.compile(r"database is locked|database table is locked|server closed the connection")
# What MLflow answers for a run or model that is not there, and for an alias or for what cannot be an id.
MISSING: Final = tuple(map(ErrorCode.Name, (RESOURCE_DOES_NOT_EXIST, INVALID_PARAMETER_VALUE)))


def tracking_error(error: BaseException) -> TrackingError | None:
    """Return what to tell of an error that comes from a store that is away or busy, None of any other."""
    if is_away(error):
        return TrackingError(
            f"MLflow at {kept_address(settings().tracking_uri)} does not answer; what is computed is kept in "
            f"{settings().data_dir}: start it and run the same command again, which logs it"
        )
    if is_busy(error):
        return TrackingError(
            f"the MLflow database {kept_address(settings().tracking_uri)} was locked for too long; end what holds it "
            "and run the same command again, which goes on"
        )
    return None


def is_away(error: BaseException) -> bool:
    """Return whether a tracking server did not answer, after the retries that MLflow itself makes."""
    return _is_of_store(error) and bool(AWAY.search(str(error)))


def is_busy(error: BaseException) -> bool:
    """Return whether the store's database could not be had."""
    return _is_of_store(error) and bool(BUSY.search(str(error))) and not is_away(error)


def is_missing(error: MlflowException) -> bool:
    """Return whether a store answered that there is no such thing; any other error tells nothing of what it has."""
    return error.error_code in MISSING


def patiently(function: Callable[P, R]) -> Callable[P, R]:
    """Have a function try again while the store's database is busy: what is not a Prefect task has no retries else.

    Raises:
        TrackingError: of the decorated function, where the store stays busy or is away.
    """

    @functools.wraps(function)
    def trying(*args: P.args, **kwargs: P.kwargs) -> R:
        for wait_s in (*WAITS_S, None):
            try:
                return function(*args, **kwargs)
            except Exception as error:
                told = tracking_error(error)
                if told is None:
                    raise
                if wait_s is None or not is_busy(error):
                    raise told from error
                logger.warning("the MLflow database is locked; trying again in %.0f s", wait_s)
            time.sleep(wait_s)
        raise AssertionError  # the last try returns or raises

    return trying


def _is_of_store(error: BaseException) -> bool:
    return isinstance(error, MlflowException) or type(error).__module__.startswith(("requests.", "sqlalchemy."))


SQLITE: Final = "sqlite:///"
KIND_TAG: Final = "mlflow.experimentKind"
KIND: Final = "custom_model_development"  # opens on the runs, not on an overview of traces
NOTE_TAG: Final = "mlflow.note.content"  # what MLflow shows as the description of an experiment or a run
VIEW_TAG: Final = "mlflow.sharedViewState.{}"  # a view of the runs table that an address can name
VIEW: Final = "compared-last"
VIEW_PAGE: Final = "#/experiments/{}/runs?viewStateShareKey=" + VIEW + "&workflowType=machine_learning"
VIEW_METRICS: Final = ("val/jaccard", *(f"test/{name}" for name in in_groups("leading")), "time/fit_s")


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


def show_first(experiment: Experiment, run_ids: Sequence[str]) -> None:
    """Have the view of the experiment that its description names show some runs of models, the best first."""
    listed = ", ".join(f"'{run_id}'" for run_id in run_ids)
    view = {
        "searchFilter": f"attributes.run_id IN ({listed})",
        "orderByKey": "metrics.`test/jaccard`",
        "orderByAsc": False,
        "startTime": "ALL",
        "lifecycleFilter": "Active",
        "datasetsFilter": [],
        "selectedColumns": [f"metrics.`{name}`" for name in VIEW_METRICS] + ["tags.`genreflow.rule`"],
    }
    client = experiment.client()
    client.set_experiment_tag(experiment.experiment_id, VIEW_TAG.format(VIEW), json.dumps(view))


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
            new = client.create_experiment(name, artifact_location=location, tags={KIND_TAG: KIND})
            note = f"[The models that were compared last]({VIEW_PAGE.format(new)}), the best on test first."
            client.set_experiment_tag(new, NOTE_TAG, note)
            return Experiment(uri, new, name)
        except MlflowException:
            found = client.get_experiment_by_name(name)  # another process was faster
            if found is None:
                raise
    if found.lifecycle_stage != "active":
        raise ConfigError(
            f"the MLflow experiment {name!r} is deleted: restore it with `mlflow experiments restore "
            f"--experiment-id {found.experiment_id}`, or choose another name with --experiment"
        )
    if KIND_TAG not in found.tags:  # made by an earlier version
        client.set_experiment_tag(found.experiment_id, KIND_TAG, KIND)
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
