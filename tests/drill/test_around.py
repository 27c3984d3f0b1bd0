"""What a run stands on goes away or is somebody else's: folder, MLflow's store, Prefect's server, clock, memory."""

import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing

import httpx
import mlflow
import pytest
from gate import Gate
from harness import SMALL, Home, Nursery
from wild import IS_FULL

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("default")]

LOCKED_S = 30 if IS_FULL else 3
QUICKLY = {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1"}


def wait_for(path, nursery: Nursery, pid: int) -> None:
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


@pytest.fixture(scope="module")
def tracking_server(empty_store, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A tracking server with a store of its own."""
    root = tmp_path_factory.mktemp("server")
    store = root / "mlflow.db"
    store.write_bytes(empty_store.read_bytes())
    with Gate.free_port() as port:
        pass
    command = [
        sys.executable, "-m", "mlflow", "server", "--backend-store-uri", f"sqlite:///{store}", "--host", "127.0.0.1",
        "--port", str(port), "--artifacts-destination", str(root / "artifacts"), "--workers", "1",
    ]  # fmt: skip
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as server:
        while not _answers(f"http://127.0.0.1:{port}/health"):
            assert server.poll() is None, "the tracking server ended"
            time.sleep(0.5)
        yield f"127.0.0.1:{port}"
        server.terminate()


def _answers(address: str) -> bool:
    try:
        return httpx.get(address, trust_env=False).status_code == 200
    except httpx.TransportError:
        return False


def scores_on_server(address: str) -> dict[str, float]:
    client = mlflow.MlflowClient(f"http://{address}")
    experiment = client.get_experiment_by_name("genreflow")
    runs = client.search_runs([experiment.experiment_id], "attributes.status = 'FINISHED'")
    models = [run for run in runs if run.data.tags["genreflow.kind"] == "model"]
    return {run.data.tags["genreflow.model"]: run.data.metrics["test/jaccard"] for run in models}


def test_a_tracking_server_that_is_down_at_the_start_is_told_before_any_work(nursery: Nursery, home: Home) -> None:
    with Gate.free_port() as port:
        pass
    ended = nursery.run(home, environment={**QUICKLY, "MLFLOW_TRACKING_URI": f"http://127.0.0.1:{port}"})
    assert ended.code == 1
    assert "does not answer" in ended.output
    assert ended.is_plain(), ended.output
    assert home.done() == set()


@pytest.mark.parametrize("moment", ["evaluate", "leaderboard"], ids=["during", "at the end"])
def test_what_a_tracking_server_missed_is_logged_by_the_next_run(
    moment: str, undisturbed, nursery: Nursery, home: Home, tracking_server: str
) -> None:
    with Gate(tracking_server) as gate:
        environment = {**QUICKLY, "MLFLOW_TRACKING_URI": gate.address}
        pid = nursery.start(home, environment=environment)
        while not any(name.endswith(f"/{moment}") for name in home.done()):
            assert nursery.is_running(pid)
            time.sleep(0.02)
        gate.shut()
        ended = nursery.wait(pid)
        assert ended.code == 1, ended.output
        assert "does not answer" in ended.output
        assert ended.is_plain(), ended.output
        done = home.done()
        gate.open()
        again = nursery.run(home, environment=environment)
    assert again.code == 0, again.output
    assert done <= again.skipped | {"data/raw"}
    assert home.results() == undisturbed.home.results()
    theirs = {name: metrics["test/jaccard"] for name, metrics in undisturbed.home.scores().items()}
    assert scores_on_server(tracking_server) == theirs


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


@pytest.mark.parametrize("by_s", [86_400.0, -86_400.0] if IS_FULL else [-86_400.0])
def test_a_clock_that_jumps_changes_no_result(by_s: float, undisturbed, nursery: Nursery, home: Home) -> None:
    fault = {"do": "move_clock", "at": r"\.unfinished-split", "to": by_s}
    ended = nursery.run(home, fault, arguments=tuple(option for option in SMALL if option != "--no-report"))
    assert ended.code == 0, ended.output
    assert ended.is_plain(), ended.output
    assert undisturbed.home.results().items() <= home.results().items()
    assert home.statuses() == {"FINISHED"}


def test_memory_of_1500_mb_is_enough(undisturbed, nursery: Nursery, home: Home) -> None:
    ended = nursery.run(home, {"do": "limit_memory", "at": 1, "to": 1500})
    assert ended.code == 0, ended.output
    assert home.results() == undisturbed.home.results()
