"""A store that is away or busy: a real database under a real lock, and an address at which nobody listens."""

import socket
import sqlite3
from collections.abc import Iterator
from contextlib import closing

import pytest
from sqlalchemy import Engine, event

from tasks.core.errors import TrackingError
from tasks.core.settings import settings
from tasks.tracking import runs, store
from tasks.tracking.registry import fetch_classifier
from tasks.tracking.store import open_client

pytestmark = pytest.mark.filterwarnings("default")  # MLflow and SQLAlchemy warn in depths that are not ours


@pytest.fixture
def nobody() -> str:
    """An address of this machine at which nobody listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{probe.getsockname()[1]}"


def test_a_server_that_is_away_is_told_with_the_remedy(paths, nobody, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", nobody)
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
    settings.cache_clear()
    with pytest.raises(TrackingError, match=rf"MLflow at {nobody} does not answer; start it"):
        runs.start_pipeline_run("test", {}, paths, {})


def test_a_model_of_a_server_that_is_away_is_not_called_missing(paths, nobody, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", nobody)
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
    settings.cache_clear()
    with pytest.raises(TrackingError, match=rf"MLflow at {nobody} does not answer; start it"):
        fetch_classifier("champion")


@pytest.fixture
def short_waits() -> Iterator[None]:
    """Have SQLite wait a moment for a lock, where MLflow lets it wait 20 seconds each time."""

    def shorten(_connection, _cursor, statement, parameters, *_):
        return statement.replace("busy_timeout = 20000", "busy_timeout = 20"), parameters

    event.listen(Engine, "before_cursor_execute", shorten, retval=True)
    yield
    event.remove(Engine, "before_cursor_execute", shorten)


def test_a_locked_database_is_waited_for(paths, monkeypatch, short_waits):
    run = runs.start_pipeline_run("test", {}, paths, {})
    waited = []
    with closing(sqlite3.connect(settings().mlruns_dir / "mlflow.db")) as other:
        other.execute("BEGIN IMMEDIATE")

        def wait(seconds: float) -> None:
            waited.append(seconds)
            other.rollback()

        monkeypatch.setattr(store.time, "sleep", wait)
        runs.end_run(run.experiment, run.run_id, runs.FINISHED)
    assert waited[:1] == [1.0]
    assert open_client().get_run(run.run_id).info.status == "FINISHED"


def test_other_errors_are_left_alone():
    def fail() -> None:
        raise ZeroDivisionError

    assert store.tracking_error(ValueError("database is locked")) is None
    with pytest.raises(ZeroDivisionError):
        store.retry_while_locked(fail)()


@pytest.fixture
def silent() -> Iterator[int]:
    """The port of a server that accepts connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


@pytest.mark.parametrize("address", ["http://127.0.0.1:{}", "postgresql://u:planted@127.0.0.1:{}/mlflow"])
def test_a_store_that_never_answers_is_given_up_at_once(paths, silent, address, monkeypatch):
    monkeypatch.setattr("tasks.tracking.store.FIRST_ANSWER_S", 2)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", address.format(silent))
    settings.cache_clear()
    with pytest.raises(TrackingError, match="does not answer; start it") as caught:
        fetch_classifier("champion")
    assert "planted" not in str(caught.value)


def test_a_database_that_is_away_is_given_up_at_once(paths, nobody, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", nobody.replace("http", "postgresql") + "/mlflow")
    settings.cache_clear()
    with pytest.raises(TrackingError, match="does not answer; start it"):
        runs.start_pipeline_run("test", {}, paths, {})
