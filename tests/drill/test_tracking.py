"""The MLflow run of a command that is killed or stopped, whose store is locked, or whose clock jumps."""

import json
import random
import signal
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
from gate import Gate
from harness import STORE_MODULES, Ended, Home, Nursery, size_mb, write_listing
from wild import IS_FULL

pytestmark = pytest.mark.filterwarnings("default")  # MLflow and SQLAlchemy warn in depths that are not ours

KILLS = 40 if IS_FULL else 8
LOCKED_S = 30 if IS_FULL else 2
RUNS = 50 if IS_FULL else 10
FILE = r"artifacts/.*lines\.txt"  # written when the model's run has begun
Log = Callable[..., Ended]


@pytest.fixture(scope="module")
def runs(drill_root: Path) -> Iterator[Nursery]:
    """The process that forks commands which log a run."""
    folder = drill_root / "tracking"
    folder.mkdir()
    nursery = Nursery(folder, ("flows.run_context", "flows.run_context", "tasks.tracking.runs", *STORE_MODULES))
    yield nursery
    nursery.close()


@pytest.fixture
def home(home: Home) -> Home:
    """Fresh folders with an empty store and a file to log."""
    write_listing(home)
    return home


@pytest.fixture
def log_a_run(runs: Nursery, home: Home) -> Log:
    """Run the command, with faults or without."""
    return lambda *faults, **options: runs.run(home, *faults, command="run", **options)


def statuses_of(home: Home, kind: str) -> list[str]:
    return sorted(run.info.status for run in home.runs() if run.data.tags["genreflow.kind"] == kind)


def test_whenever_it_is_killed_no_run_is_left_running_by_the_next(log_a_run: Log, home: Home) -> None:
    chance = random.Random(42069)
    n_killed = 0
    for kill in range(KILLS):
        at = (FILE, 1, r"mlflow\.db", "logs/")[kill % 4]
        killed = log_a_run({"do": "kill_self", "at": at, "after_s": chance.choice([None, chance.uniform(0.0, 0.1)])})
        n_killed += killed.code == -signal.SIGKILL
        assert killed.code in {0, -signal.SIGKILL}, killed.output
    assert n_killed >= KILLS / 2  # on a fast machine others have ended
    again = log_a_run()
    assert again.code == 0, again.output
    assert again.is_plain(), again.output
    assert home.statuses() == {"FINISHED", "KILLED"}
    assert "FINISHED" in statuses_of(home, "model")


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_it_with_its_runs_killed_and_in_order(
    log_a_run: Log, home: Home, number: signal.Signals, code: int
) -> None:
    ended = log_a_run({"do": "interrupt", "at": FILE, "to": number})
    assert ended.code == code, ended.output
    assert ended.is_plain(), ended.output
    assert statuses_of(home, "pipeline") == statuses_of(home, "model") == ["KILLED"]
    assert log_a_run().code == 0
    assert statuses_of(home, "pipeline") == ["FINISHED", "KILLED"]


def test_a_locked_store_is_waited_for(runs: Nursery, home: Home) -> None:
    with closing(sqlite3.connect(home.database, timeout=60)) as other:
        other.execute("BEGIN EXCLUSIVE")
        pid = runs.start(home, command="run")
        time.sleep(LOCKED_S)
        assert runs.is_running(pid)
        other.rollback()
    ended = runs.wait(pid)
    assert ended.code == 0, ended.output
    assert ended.is_plain(), ended.output
    assert home.statuses() == {"FINISHED"}


def test_a_store_that_is_away_is_told_before_any_work(log_a_run: Log, home: Home) -> None:
    with Gate.free_port() as port:
        pass
    away = {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1", "MLFLOW_TRACKING_URI": f"http://127.0.0.1:{port}"}
    ended = log_a_run(environment=away)
    assert ended.code == 1
    assert f"error: MLflow at http://127.0.0.1:{port} does not answer" in ended.output
    assert ended.is_plain(), ended.output
    assert home.done() == set()


@pytest.mark.parametrize("by_s", [86_400.0, -86_400.0])
def test_a_clock_that_jumps_leaves_finished_runs(log_a_run: Log, home: Home, by_s: float) -> None:
    ended = log_a_run({"do": "move_clock", "at": FILE, "to": by_s})
    assert ended.code == 0, ended.output
    assert ended.is_plain(), ended.output
    assert home.statuses() == {"FINISHED"}


def test_a_second_command_on_the_folder_is_refused(runs: Nursery, home: Home) -> None:
    with closing(sqlite3.connect(home.database, timeout=60)) as other:
        other.execute("BEGIN EXCLUSIVE")  # at which the first one waits, with the folder's lock
        first = runs.start(home, command="run")
        while not list((home.data / "logs").glob("*.log")):
            assert runs.is_running(first)
            time.sleep(0.02)
        second = runs.run(home, command="run")
        other.rollback()
    assert second.code == 1
    assert "error: another pipeline works in" in second.output
    assert second.is_plain(), second.output
    assert runs.wait(first).code == 0
    assert home.statuses() == {"FINISHED"}


def test_one_process_holds_no_more_after_many_runs(runs: Nursery, home: Home) -> None:
    before_mb = size_mb(home.database.parent)
    ended = runs.run(home, command="many runs", environment={"DRILL_RUNS": str(RUNS)})
    assert ended.code == 0, ended.output
    readings = [json.loads(line) for line in ended.output.splitlines() if line.startswith("{")]
    assert len(readings) == RUNS
    early, late = readings[1], readings[-1]
    assert late["threads"] <= early["threads"]
    assert late["files"] <= early["files"]
    assert late["objects"] <= early["objects"] * 1.03
    assert size_mb(home.database.parent) - before_mb <= 0.1 * RUNS
    assert home.statuses() == {"FINISHED"}
