"""Many runs in a row, in one process and in fresh ones: what they hold and leave grows as docs/failures.md says."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import mlflow
import pytest
from harness import SMALL, Home, Nursery, new_home, quiet_environment
from wild import IS_FULL

from tasks.promotion import REGISTERED_NAME
from tasks.settings import PROJECT_ROOT
from tasks.tracking.champion import CHAMPION

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("default")]

RUNS = 30 if IS_FULL else 3
EARLY = 10 if IS_FULL else 0  # the reading that the last is compared with
# In its first runs a process still grows: libraries load what they need, matplotlib keeps 64 fonts with their files.
# Later no objects are added, but the C library's allocator takes some more for its threads, each time less.
MEMORY_MB = 120 if IS_FULL else 150  # from early to late
OBJECTS = 1.03  # times as many
FILES = 250
STORE_MB, DATA_MB = 4.0, 0.3  # a run


def environment_in(home: Home) -> dict[str, str]:
    return {"GENREFLOW_DATA_DIR": str(home.data), "GENREFLOW_MLRUNS_DIR": str(home.database.parent)}


def size_mb(folder: Path) -> float:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) / 1e6


@pytest.fixture(scope="module")
def soaked(drill_root: Path, empty_store: Path, prefect_api: str) -> tuple[Home, list[dict[str, Any]]]:
    """Folders after many runs in one process, each trained anew, and what there was after each."""
    home = new_home(drill_root / "soaked", empty_store)
    readings = []
    command = [sys.executable, str(Path(__file__).with_name("soak.py")), str(RUNS), *SMALL]
    environment = {
        **quiet_environment(drill_root), **environment_in(home), "PREFECT_API_URL": prefect_api,
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
    for _ in range(RUNS if IS_FULL else 2):  # of which all but the first find their stages done
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
    assert size_mb(home.database.parent) < before - STORE_MB / 2 * (RUNS - 2)  # all but the first and the last run
    assert client.get_model_version_by_alias(REGISTERED_NAME, CHAMPION) == champion
    assert client.get_run(champion.run_id).info.lifecycle_stage == "active"
    ended = nursery.run(home)
    assert ended.code == 0, ended.output
