"""The states of task runs on a Prefect server when something real breaks beneath a task: once, or for good."""

import errno
import os
import signal
import socket
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from functools import partial
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import httpx
import polars as pl
import pytest
from prefect import flow
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterId

from tasks import prefect_task as declared
from tasks.core.errors import ConfigError, DataError
from tasks.core.parallel import map_in_order
from tasks.prefect_task import stage_task
from tasks.stage import Stage, run_stage

pytestmark = [pytest.mark.usefixtures("prefect_harness"), pytest.mark.filterwarnings("default")]

HEALED = ["Pending", "Running", "AwaitingRetry", "Retrying", "Completed"]
FAILED = ["Pending", "Running", "Failed"]


@pytest.fixture(autouse=True)
def short_delays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(declared, "FIRST_DELAY_S", 0.05)


def states_of(work: Callable[[], Any]) -> list[str]:
    """Run a task in a flow; return the states that its run had."""
    task = stage_task("work")(work)

    @flow(name="with a fault")
    def with_a_fault() -> None:
        task(return_state=True)

    state = with_a_fault(return_state=True)
    wanted = FlowRunFilter(id=FlowRunFilterId(any_=[state.state_details.flow_run_id]))
    with get_client(sync_client=True) as client:
        (run,) = client.read_task_runs(flow_run_filter=wanted)
        return [state.name or "" for state in client.read_task_run_states(run.id)]


def a_stage(folder: Path, build: Callable[[Path], Any]) -> Callable[[], Any]:
    """Return what runs a stage that writes one file."""
    (folder / "in.txt").write_text("in", encoding="utf-8")
    stage = Stage("write", folder / "out", ("out.txt",), (folder / "in.txt",), {}, (Path(__file__),))
    return lambda: run_stage(stage, build)


def write(folder: Path) -> dict[str, Any]:
    (folder / "out.txt").write_text("out", encoding="utf-8")
    return {}


def die_once(mark: Path, number: int) -> int:
    """Kill the process that calls it, unless that happened before."""
    if not mark.exists():
        mark.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return number


@pytest.mark.parametrize("number", [errno.EIO, errno.EAGAIN, errno.ESTALE], ids=errno.errorcode.get)
def test_a_file_system_that_hesitates_heals(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    left = [OSError(number, os.strerror(number))]
    rename = Path.replace

    def hesitate(path: Path, target: Path) -> Path:
        if left and path.name == "out.txt":
            raise left.pop()
        return rename(path, target)

    monkeypatch.setattr(Path, "replace", hesitate)
    assert states_of(a_stage(tmp_path, write)) == HEALED
    assert (tmp_path / "out" / "out.txt").read_text(encoding="utf-8") == "out"


def test_a_full_disk_does_not_heal(tmp_path: Path) -> None:
    def fill(_folder: Path) -> dict[str, Any]:
        Path("/dev/full").write_text("out", encoding="utf-8")
        return {}

    assert states_of(a_stage(tmp_path, fill)) == FAILED


def test_a_worker_that_was_killed_heals(tmp_path: Path) -> None:
    work = partial(die_once, tmp_path / "died")
    assert states_of(lambda: list(map_in_order(work, [1, 2, 3], 2))) == HEALED


def test_a_locked_database_heals(tmp_path: Path) -> None:
    file = tmp_path / "store.db"
    with closing(sqlite3.connect(file, check_same_thread=False)) as holder:
        holder.execute("CREATE TABLE runs (id)")
        holder.execute("BEGIN EXCLUSIVE")
        tries = []

        def insert() -> None:
            tries.append(1)
            if len(tries) == 2:
                holder.rollback()
            with closing(sqlite3.connect(file, timeout=0.1)) as database, database:
                database.execute("INSERT INTO runs VALUES (1)")

        assert states_of(insert) == HEALED


class Server(BaseHTTPRequestHandler):
    """Answers what is asked with 200."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture
def late_server(free_port: int) -> Iterator[Callable[[], None]]:
    """Give what starts a server."""
    started: list[HTTPServer] = []

    def start() -> None:
        started.append(HTTPServer(("127.0.0.1", free_port), Server))
        threading.Thread(target=started[0].serve_forever, daemon=True).start()

    yield start
    for server in started:
        server.shutdown()
        server.server_close()


def test_a_server_that_comes_back_heals(free_port: int, late_server: Callable[[], None]) -> None:
    tries = []

    def ask() -> None:
        tries.append(1)
        if len(tries) == 2:
            late_server()
        httpx.get(f"http://127.0.0.1:{free_port}/", trust_env=False).raise_for_status()

    assert states_of(ask) == HEALED


def test_a_server_that_stays_away_fails_in_the_end(free_port: int) -> None:
    states = states_of(lambda: httpx.get(f"http://127.0.0.1:{free_port}/", trust_env=False))
    assert states.count("AwaitingRetry") == declared.RETRIES
    assert states[-1] == "Failed"


def test_what_a_server_refuses_does_not_heal(late_server: Callable[[], None], free_port: int) -> None:
    late_server()
    Server.do_POST = lambda handler: handler.send_error(403)  # type: ignore[attr-defined]
    assert states_of(lambda: httpx.post(f"http://127.0.0.1:{free_port}/", trust_env=False).raise_for_status()) == FAILED


def test_bad_data_does_not_heal(tmp_path: Path) -> None:
    def read(_folder: Path) -> dict[str, Any]:
        try:
            pl.read_parquet(tmp_path / "in.txt")
        except pl.exceptions.PolarsError as error:
            raise DataError(f"in.txt is damaged: {error}") from error
        return {}

    assert states_of(a_stage(tmp_path, read)) == FAILED


def test_a_mistake_and_a_defect_do_not_heal() -> None:
    def mistake() -> None:
        raise ConfigError("no model is named svm-titel")

    assert states_of(mistake) == FAILED
    assert states_of(lambda: {}["a defect"]) == FAILED
