"""The whole pipeline killed, on a full disk, without its MLflow store; the same command ends as if undisturbed."""

import os
import random
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import mlflow
import pytest
from gate import Gate
from harness import Home, Nursery, new_home, small_disk, write_listing
from wild import IS_FULL

pytestmark = pytest.mark.filterwarnings("default")  # MLflow and SQLAlchemy warn in depths that are not ours

MOMENTS = 40 if IS_FULL else 1
STAGES = ("clean", "acquire", "split", "features", "train", "evaluate", "leaderboard", "versus")
QUICKLY = {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0"}


@pytest.mark.parametrize("number", range(MOMENTS))
def test_a_killed_run_goes_on_to_the_same_end(number: int, undisturbed, nursery: Nursery, home: Home) -> None:
    chance = random.Random(number)
    # One of as many equal parts of the run as there are moments, so that all of it is hit.
    moment = int((number + chance.random()) / MOMENTS * undisturbed.n_events) + 1
    fault = {"do": "kill_self", "at": moment, "after_s": chance.choice([None, chance.uniform(0.0, 0.3)])}
    nursery.run(home, fault)  # a delayed kill near the end may come too late, which is an outcome as well
    done = home.done()
    again = nursery.run(home)
    assert again.code == 0, again.output
    assert again.is_plain()
    assert done <= again.skipped | {"data/raw"}, "work that was done is done again"
    assert home.results() == undisturbed.home.results()
    assert home.scores() == undisturbed.home.scores()
    assert home.statuses() <= {"FINISHED", "KILLED"}
    assert home.unfinished() == []


@pytest.mark.parametrize("stage", STAGES if IS_FULL else ("train",))
def test_a_full_disk_is_told_and_the_same_command_goes_on(
    stage: str, undisturbed, nursery: Nursery, tmp_path: Path, empty_store: Path
) -> None:
    home = new_home(tmp_path / "home", empty_store)
    with small_disk(home.data, 64):
        ended = nursery.run(home, {"do": "fill", "at": rf"\.unfinished-{stage}", "to": str(home.data)})
        assert ended.code == 1, ended.output
        assert "; free some space" in ended.output
        assert ended.is_plain(), ended.output
        assert home.unfinished() == []
        assert "RUNNING" not in home.statuses()
        (home.data / "ballast").unlink()
        again = nursery.run(home)
        assert again.code == 0, again.output
        assert home.results() == undisturbed.home.results()


@pytest.fixture(scope="module")
def tracking_server(empty_store: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
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
    environment = {**os.environ, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    with subprocess.Popen(command, env=environment, **quiet) as server:
        while not _answers(f"http://127.0.0.1:{port}/health"):
            assert server.poll() is None, "the tracking server ended"
            time.sleep(0.2)
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


@pytest.mark.parametrize("moment", ["evaluate", "leaderboard"] if IS_FULL else ["evaluate"])
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


def test_a_prefect_server_that_goes_is_told_and_the_same_flow_goes_on(
    nursery: Nursery, home: Home, prefect_api: str
) -> None:
    """A flow of three small tasks stands for the pipeline, which learns of its server in the same way."""
    write_listing(home)
    with Gate(prefect_api.removeprefix("http://").removesuffix("/api")) as gate:
        environment = {"PREFECT_API_URL": f"{gate.address}/api", "PREFECT_CLIENT_MAX_RETRIES": "1"}
        pid = nursery.start(home, command="small flow", environment=environment)
        while "first/first" not in home.done():
            assert nursery.is_running(pid)
            time.sleep(0.02)
        gate.shut()
        (home.data / "go").touch()
        ended = nursery.wait(pid)
    assert ended.code == 1, ended.output
    assert "the Prefect server does not answer" in ended.output
    assert ended.is_plain(), ended.output
    again = nursery.run(home, command="small flow")
    assert again.code == 0, again.output
    assert "first/first" in again.skipped
    assert home.done() == {"first/first", "second/second", "third/third"}
