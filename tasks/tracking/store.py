"""The MLflow store: its creation, its errors, and its address, which is kept and shown without the password."""

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

import httpx
import mlflow
import sqlalchemy
from filelock import FileLock
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import INVALID_PARAMETER_VALUE, RESOURCE_DOES_NOT_EXIST, ErrorCode

from tasks.core.errors import ConfigError, TrackingError
from tasks.core.logs import HIDDEN, without_password
from tasks.core.settings import settings

P = ParamSpec("P")
R = TypeVar("R")

logger = logging.getLogger(__name__)

FIRST_ANSWER_S: Final = 5.0
WAITS_S: Final = (1.0, 5.0, 20.0)  # in addition to MLflow's own 20 s for a locked SQLite database
AWAY: Final = re.compile(
    r"API request to .* failed with (exception|(error )?code 50[234])|Max retries exceeded"
    r"|OperationalError.*(?:[Cc]onnection to server|[Cc]an't connect|Connection refused|timeout expired)",
    re.DOTALL,
)
BUSY: Final = re.compile(r"database is locked|database table is locked|server closed the connection")
# MLflow's error codes for a missing run or model, and for a missing alias or an impossible id.
MISSING: Final = tuple(map(ErrorCode.Name, (RESOURCE_DOES_NOT_EXIST, INVALID_PARAMETER_VALUE)))

SQLITE: Final = "sqlite:///"
KIND_TAG: Final = "mlflow.experimentKind"
KIND: Final = "custom_model_development"  # opens on the runs, not on an overview of traces
NOTE_TAG: Final = "mlflow.note.content"  # what MLflow shows as the description of an experiment or a run
VIEW: Final = "compared-last"  # a view of the runs table with its own address
VIEW_PAGE: Final = "#/experiments/{}/runs?viewStateShareKey=" + VIEW + "&workflowType=machine_learning"
VIEW_METRICS: Final = ("val/jaccard", "test/jaccard", "test/f1_micro", "test/f1_macro", "time/fit_s")


def tracking_error(error: BaseException) -> TrackingError | None:
    """Return a user error for a store that is away or busy, None for any other error."""
    store = public_address(settings().tracking_uri)
    if is_away(error):
        return TrackingError(
            f"MLflow at {store} does not answer; results are kept in {settings().data_dir}: start it and run the same "
            "command again, which logs them"
        )
    if not _says(BUSY, error):
        return None
    return TrackingError(
        f"the MLflow database {store} was locked for too long; stop the process that locks it and run the same command "
        "again, which continues"
    )


def is_away(error: BaseException) -> bool:
    """Return whether a store did not answer, after MLflow's own retries."""
    return _says(AWAY, error)


def _says(pattern: re.Pattern[str], error: BaseException) -> bool:
    is_of_store = isinstance(error, MlflowException) or type(error).__module__.startswith(("requests.", "sqlalchemy."))
    return is_of_store and bool(pattern.search(str(error)))


def get_if_exists(get: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R | None:
    """Return what a method of the client gets, None if the store says that it does not exist; other errors raise."""
    try:
        return get(*args, **kwargs)
    except MlflowException as error:
        if error.error_code in MISSING:
            return None
        raise


def retry_while_locked(function: Callable[P, R]) -> Callable[P, R]:
    """Decorate a function that is not a Prefect task, and so has no retries, to retry while the database is locked."""

    @functools.wraps(function)
    def retrying(*args: P.args, **kwargs: P.kwargs) -> R:
        for wait_s in (*WAITS_S, None):
            try:
                return function(*args, **kwargs)
            except Exception as error:
                user_error = tracking_error(error)
                if user_error is None:
                    raise
                if wait_s is None or is_away(error):
                    raise user_error from error
                logger.warning("the MLflow database is locked; trying again in %.0f s", wait_s)
            time.sleep(wait_s)
        raise AssertionError  # the last try returns or raises

    return retrying


@dataclass(frozen=True)
class Experiment:
    """An MLflow experiment, small enough to pass to tasks in other threads and processes, and to keep in files."""

    tracking_uri: str  # without password
    experiment_id: str
    name: str

    def client(self) -> mlflow.MlflowClient:
        """Return a client of the store, to which MLflow's fluent API then points; it logs models."""
        uri = settings().tracking_uri
        if public_address(uri) == self.tracking_uri:
            return _connect(uri)
        if HIDDEN in self.tracking_uri:
            raise ConfigError(
                f"the runs are in the MLflow store {self.tracking_uri} and its password is not kept: set "
                "MLFLOW_TRACKING_URI to the full address"
            )
        return _connect(self.tracking_uri)


def save_view(experiment: Experiment, run_ids: Sequence[str]) -> None:
    """Make some models' runs, best first, the view that the experiment's description links to."""
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
    client.set_experiment_tag(experiment.experiment_id, f"mlflow.sharedViewState.{VIEW}", json.dumps(view))


def open_client() -> mlflow.MlflowClient:
    """Return a client of the configured store, to which the fluent API then points; create its database if needed."""
    uri = settings().tracking_uri
    if uri.startswith("file:") or "://" not in uri:
        raise ConfigError(
            f"MLFLOW_TRACKING_URI={without_password(uri)} is a folder; MLflow keeps runs in a database: use "
            "sqlite:////path/to/mlflow.db"
        )
    logging.getLogger("mlflow.store.db.utils").addFilter(_is_not_raised_too)
    if not uri.startswith(SQLITE):
        return _connect(uri)
    Path(uri.removeprefix(SQLITE)).parent.mkdir(parents=True, exist_ok=True)
    # Two processes that create the tables at the same time fail with "duplicate column name".
    with FileLock(f"{uri.removeprefix(SQLITE)}.lock"):
        client = _connect(uri)
        client.search_experiments(max_results=1)
        return client


def open_experiment(name: str) -> Experiment:
    """Return the experiment of this name in the configured store, creating both if needed.

    Artifacts of a SQLite store go to `artifacts/` next to the database; a server chooses the place itself.
    """
    client = open_client()
    uri = public_address(settings().tracking_uri)
    found = client.get_experiment_by_name(name)
    if found is None:
        location = None
        if uri.startswith(SQLITE):
            location = (Path(uri.removeprefix(SQLITE)).resolve().parent / "artifacts").as_uri()
        try:
            new = client.create_experiment(name, artifact_location=location, tags={KIND_TAG: KIND})
        except MlflowException:
            found = client.get_experiment_by_name(name)  # another process was faster
            if found is None:
                raise
        else:
            note = f"[The models compared last]({VIEW_PAGE.format(new)}), best on test first."
            client.set_experiment_tag(new, NOTE_TAG, note)
            return Experiment(uri, new, name)
    if found.lifecycle_stage != "active":
        raise ConfigError(
            f"the MLflow experiment {name!r} is deleted: restore it with `mlflow experiments restore "
            f"--experiment-id {found.experiment_id}`, or choose another name with --experiment"
        )
    if KIND_TAG not in found.tags:  # made by an earlier version
        client.set_experiment_tag(found.experiment_id, KIND_TAG, KIND)
    return Experiment(uri, found.experiment_id, name)


def public_address(uri: str) -> str:
    """Return a store's address without its password.

    >>> public_address("postgresql://me:secret@host/db")
    'postgresql://me:***@host/db'
    >>> public_address("https://me:secret@host:5000")
    'https://host:5000'
    """
    parts = urlsplit(uri)
    is_server = parts.scheme in ("http", "https")
    return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl() if is_server else without_password(uri)


def _connect(uri: str) -> mlflow.MlflowClient:
    """Point MLflow to a store, with a server's password in the environment: MLflow's errors contain the address."""
    parts = urlsplit(uri)
    if parts.scheme in ("http", "https") and parts.username:
        uri = public_address(uri)
        os.environ["MLFLOW_TRACKING_USERNAME"] = unquote(parts.username)
        os.environ["MLFLOW_TRACKING_PASSWORD"] = unquote(parts.password or "")
    _check_answers(uri)
    mlflow.set_tracking_uri(uri)
    mlflow.set_registry_uri(uri)
    return mlflow.MlflowClient(uri)


@functools.cache
def _check_answers(uri: str) -> None:
    """Ask a server once for an answer: MLflow itself tries for minutes.

    Raises:
        TrackingError: it does not answer within seconds.
    """
    try:
        if uri.startswith(("http:", "https:")):
            httpx.get(uri, timeout=FIRST_ANSWER_S)  # any answer will do
        elif uri.startswith(("postgresql", "mysql")):
            engine = sqlalchemy.create_engine(uri, connect_args={"connect_timeout": int(FIRST_ANSWER_S)})
            engine.connect().close()
            engine.dispose()
    except (httpx.TransportError, sqlalchemy.exc.OperationalError) as error:
        raise unreachable(uri) from error


def unreachable(uri: str) -> TrackingError:
    """Return the error of a store that does not answer."""
    return TrackingError(f"MLflow at {public_address(uri)} does not answer; start it, or correct MLFLOW_TRACKING_URI")


def _is_not_raised_too(record: logging.LogRecord) -> bool:  # by MLflow, after logging it with its traceback
    return not str(record.msg).startswith("SQLAlchemy database error")
