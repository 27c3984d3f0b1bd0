"""What `make drill-full` does besides: further faults of whole pipelines, and many of them in a row."""

import json
import os
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import mlflow
import pytest
from gate import Gate
from harness import SMALL, Home, Nursery, new_home, quiet_environment, size_mb
from wild import IS_FULL

from tasks.core.metrics import REGISTERED_NAME
from tasks.core.settings import PROJECT_ROOT
from tasks.tracking.registry import CHAMPION

pytestmark = [
    pytest.mark.skipif(not IS_FULL, reason="whole pipelines are for `make drill-full`, small stages stand for them"),
    pytest.mark.filterwarnings("default"),  # MLflow and SQLAlchemy warn in depths that are not ours
]

LOCKED_S = 30
DAMAGED = ("clean/movies.parquet", "models/nb-counts/scores_test.parquet", "models/nb-counts/metrics.json")
# What cannot be made again: what the user may have put there, and where movies were before.
IRREPLACEABLE = {"raw/action.csv": "move them elsewhere", "split/splits.parquet": "bring it back, or delete it"}
RUNS = 30
EARLY = 10  # the reading that the last is compared with
# In its first runs a process still grows: libraries load what they need, matplotlib keeps 64 fonts with their files.
# Later no objects are added, but the C library's allocator takes some more for its threads, each time less.
MEMORY_MB = 120  # from early to late
OBJECTS = 1.03  # times as many
FILES = 250
STORE_MB, DATA_MB = 4.0, 0.3  # a run


def wait_for(path: Path, nursery: Nursery, pid: int) -> None:
    """Wait until a path is there."""
    while not list(path.parent.glob(path.name)):
        assert nursery.is_running(pid), "the command ended before"
        time.sleep(0.02)


def test_of_two_pipelines_on_one_folder_one_is_refused(undisturbed, nursery: Nursery, home: Home) -> None:
    first = nursery.start(home)
    wait_for(home.data / "raw", nursery, first)
    second = nursery.run(home)
    assert second.code == 1
    assert "another pipeline works in" in second.output
    assert second.is_plain(), second.output
    assert nursery.wait(first).code == 0
    assert home.results() == undisturbed.home.results()
    assert home.statuses() == {"FINISHED"}


def test_a_locked_store_is_waited_for(undisturbed, nursery: Nursery, finished: Home) -> None:
    pid = nursery.start(finished)
    wait_for(finished.data / "logs" / "*.log", nursery, pid)
    with closing(sqlite3.connect(finished.database, timeout=60)) as other:
        other.execute("BEGIN EXCLUSIVE")
        time.sleep(LOCKED_S)
        other.rollback()
    ended = nursery.wait(pid)
    assert ended.code == 0, ended.output
    assert ended.is_plain(), ended.output
    assert finished.statuses() == {"FINISHED"}
    assert finished.scores() == undisturbed.home.scores()


def test_a_prefect_server_that_goes_is_told_and_the_same_command_goes_on(
    undisturbed, nursery: Nursery, home: Home, prefect_api: str
) -> None:
    with Gate(prefect_api.removeprefix("http://").removesuffix("/api")) as gate:
        environment = {"PREFECT_API_URL": f"{gate.address}/api", "PREFECT_CLIENT_MAX_RETRIES": "1"}
        pid = nursery.start(home, environment=environment)
        wait_for(home.data / "clean" / "clean.stage.json", nursery, pid)
        gate.shut()
        ended = nursery.wait(pid)
    assert ended.code == 1, ended.output
    assert "the Prefect server does not answer" in ended.output
    assert ended.is_plain(), ended.output
    again = nursery.run(home)
    assert again.code == 0, again.output
    assert "clean/clean" in again.skipped
    assert home.results() == undisturbed.home.results()
    assert "RUNNING" not in home.statuses()


@pytest.mark.parametrize("by_s", [86_400.0, -86_400.0])
def test_a_clock_that_jumps_changes_no_result(by_s: float, undisturbed, nursery: Nursery, home: Home) -> None:
    fault = {"do": "move_clock", "at": r"\.unfinished-split", "to": by_s}
    ended = nursery.run(home, fault, arguments=tuple(option for option in SMALL if option != "--no-report"))
    assert ended.code == 0, ended.output
    assert ended.is_plain(), ended.output
    assert undisturbed.home.results().items() <= home.results().items()
    assert home.statuses() == {"FINISHED"}


def test_files_that_were_cut_off_or_flipped_between_runs_are_made_again(
    undisturbed, nursery: Nursery, finished: Home
) -> None:
    for number, name in enumerate(DAMAGED):
        path = finished.data / name
        content = bytearray(path.read_bytes())
        if number % 2:
            content[len(content) // 2] ^= 1
            path.write_bytes(content)
        else:
            path.write_bytes(content[: len(content) // 2])
    ended = nursery.run(finished)
    assert ended.code == 0, ended.output
    assert ended.output.count("is not what the stage wrote; the stage runs again") >= len(DAMAGED)
    assert finished.results() == undisturbed.home.results()


@pytest.mark.parametrize("name", IRREPLACEABLE)
def test_what_cannot_be_made_again_is_refused_with_the_remedy(nursery: Nursery, finished: Home, name: str) -> None:
    path = finished.data / name
    path.write_bytes(content := path.read_bytes()[:-20])
    ended = nursery.run(finished)
    assert ended.code == 1
    assert path.name in ended.output
    assert IRREPLACEABLE[name] in ended.output
    assert path.read_bytes() == content


def environment_in(home: Home) -> dict[str, str]:
    return {"GENREFLOW_DATA_DIR": str(home.data), "GENREFLOW_MLRUNS_DIR": str(home.database.parent)}


@pytest.fixture(scope="module")
def soaked(drill_root: Path, empty_store: Path, prefect_api: str) -> tuple[Home, list[dict[str, Any]]]:
    """Folders after many runs in one process, each trained anew, and what there was after each."""
    home = new_home(drill_root / "soaked", empty_store)
    readings = []
    command = [sys.executable, str(Path(__file__).with_name("soak.py")), *SMALL]
    environment = {
        **quiet_environment(drill_root), **environment_in(home), "PREFECT_API_URL": prefect_api,
        "DRILL_RUNS": str(RUNS),
        "PYTHONPATH": os.pathsep.join(filter(None, [str(PROJECT_ROOT), os.environ.get("PYTHONPATH")])),
    }  # fmt: skip
    log = home.root / "log.txt"
    with (
        log.open("w", encoding="utf-8") as errors,
        subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=errors, text=True) as process,
    ):
        assert process.stdout is not None
        for line in filter(lambda line: line.startswith("{"), process.stdout):
            left = {"data_mb": size_mb(home.data), "store_mb": size_mb(home.database.parent)}
            readings.append({**json.loads(line), **left})
    assert process.returncode == 0, log.read_text(encoding="utf-8")
    return home, readings


def test_one_process_holds_no_more_after_many_runs(soaked) -> None:
    _, readings = soaked
    assert len(readings) == RUNS
    early, late = readings[EARLY], readings[-1]
    assert late["files"] <= FILES
    assert late["threads"] <= early["threads"]
    assert late["objects"] <= early["objects"] * OBJECTS
    assert late["memory_mb"] - early["memory_mb"] <= MEMORY_MB


def test_only_logs_grow_in_the_data_folder_and_the_store_by_its_runs(soaked) -> None:
    home, readings = soaked
    early, late = readings[EARLY], readings[-1]
    assert late["data_mb"] - early["data_mb"] <= DATA_MB * (RUNS - 1 - EARLY)
    assert late["store_mb"] - early["store_mb"] <= STORE_MB * (RUNS - 1 - EARLY)
    assert home.unfinished() == []


def test_runs_of_fresh_processes_leave_as_little(soaked, nursery: Nursery) -> None:
    home, _ = soaked
    sizes = []
    for _ in range(RUNS):  # of which all but the first find their stages done
        ended = nursery.run(home)
        assert ended.code == 0, ended.output
        sizes.append((size_mb(home.data), size_mb(home.database.parent)))
    (early_data, early_store), (late_data, late_store) = sizes[0], sizes[-1]
    assert late_data - early_data <= DATA_MB * (len(sizes) - 1)
    assert late_store - early_store <= STORE_MB * (len(sizes) - 1)


def test_tidying_leaves_the_champion_and_the_newest_runs(soaked, nursery: Nursery) -> None:
    home, _ = soaked
    before = size_mb(home.database.parent)
    client = mlflow.MlflowClient(f"sqlite:///{home.database}")
    champion = client.get_model_version_by_alias(REGISTERED_NAME, CHAMPION)
    command = [sys.executable, str(PROJECT_ROOT / "flows" / "tidy.py"), "--keep-runs", "1", "--purge"]
    subprocess.run(command, env={**os.environ, **environment_in(home)}, check=True, capture_output=True)
    assert size_mb(home.database.parent) < 4 * before / RUNS  # the first and the last run stay, and an emptied database
    assert client.get_model_version_by_alias(REGISTERED_NAME, CHAMPION) == champion
    assert client.get_run(champion.run_id).info.lifecycle_stage == "active"
    ended = nursery.run(home)
    assert ended.code == 0, ended.output
