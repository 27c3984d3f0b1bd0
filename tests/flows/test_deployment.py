"""What a team does: a server, a work pool, `prefect deploy`, a worker and a run; and what MLflow has of it."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import mlflow
import pytest
import yaml

from tasks.settings import PROJECT_ROOT

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("default")]

REGISTER = str(PROJECT_ROOT / "deployments" / "register.py")
PREFECT = str(Path(sys.executable).with_name("prefect"))
SMALL = '{"sample": {"n_movies": 600}, "models": ["logreg-tfidf"], "skip": ["annotate", "explore"]}'


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of all outputs."""
    return tmp_path_factory.mktemp("deployment")


@pytest.fixture(scope="module")
def environment(root: Path) -> dict[str, str]:
    """An environment with folders of its own, in which a Prefect server is to listen on a free port."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    (root / "prefect").mkdir()
    own = {
        "GENREFLOW_DATA_DIR": str(root / "data"),
        "GENREFLOW_MLRUNS_DIR": str(root / "mlruns"),
        "PREFECT_HOME": str(root / "prefect"),
        "PREFECT_API_URL": f"http://127.0.0.1:{port}/api",
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "PREFECT_WORKER_QUERY_SECONDS": "2",
        "DO_NOT_TRACK": "1",
    }
    return {**{key: value for key, value in os.environ.items() if not key.startswith(("PREFECT_", "MLFLOW_"))}, **own}


@pytest.fixture(scope="module")
def server(environment: dict[str, str], root: Path) -> Iterator[dict[str, str]]:
    """A Prefect server on that port, with a work pool and all deployments, registered from another folder."""
    port = environment["PREFECT_API_URL"].split(":")[2].split("/")[0]
    command = [PREFECT, "server", "start", "--host", "127.0.0.1", "--port", port]
    with running(command, environment) as process:
        deadline_s = time.monotonic() + 600
        while time.monotonic() < deadline_s:
            assert process.poll() is None, "the server ended"
            try:
                if httpx.get(f"{environment['PREFECT_API_URL']}/health", trust_env=False).status_code == 200:
                    break
            except httpx.TransportError:
                time.sleep(0.5)
        elsewhere = {"env": {**environment, "PWD": str(root)}, "cwd": root}
        subprocess.run([sys.executable, REGISTER], **elsewhere, capture_output=True, check=True)
        yield environment


@contextlib.contextmanager
def running(command: list[str], environment: dict[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    """A process that ends with the test."""
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    process = subprocess.Popen(command, env=environment, cwd=PROJECT_ROOT, **quiet)
    try:
        yield process
    finally:
        process.send_signal(signal.SIGINT)
        try:
            process.wait(timeout=30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def call(environment: dict[str, str], *words: str) -> str:
    done = subprocess.run(
        [PREFECT, "--no-prompt", *words],
        env=environment, cwd=PROJECT_ROOT, capture_output=True, text=True, check=False, timeout=900,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_deployed_pipeline_runs_and_is_in_mlflow(server, root):
    with running([PREFECT, "worker", "start", "--pool", "genreflow"], server):
        output = call(server, "deployment", "run", "full-pipeline/local", "--param", f"config={SMALL}", "--watch")
    assert "Completed" in output
    store = f"sqlite:///{root / 'mlruns' / 'mlflow.db'}"
    client = mlflow.MlflowClient(store, store)
    experiment = client.get_experiment_by_name("genreflow")
    runs = client.search_runs([experiment.experiment_id])
    assert {run.info.status for run in runs} == {"FINISHED"}
    assert sorted(run.data.tags["genreflow.kind"] for run in runs) == ["model", "pipeline"]
    assert client.get_model_version_by_alias("movie-genre-classifier", "champion").run_id in {
        run.info.run_id for run in runs
    }


@pytest.mark.parametrize(
    ("address", "message"),
    [
        ("", "error: set PREFECT_API_URL"),
        ("http://127.0.0.1:9/api", "no Prefect server answers at http://127.0.0.1:9/"),
    ],
)
def test_a_server_that_is_not_named_or_away_is_told(environment, address, message):
    command, own = [sys.executable, REGISTER], {**environment, "PREFECT_API_URL": address}
    done = subprocess.run(command, env=own, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert message in done.stderr
    assert "Traceback" not in done.stderr


def test_bad_parameters_are_refused_before_the_run(server):
    done = subprocess.run(
        [PREFECT, "deployment", "run", "train/local", "--param", 'config={"runner": "rocket"}'],
        env=server, cwd=PROJECT_ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode != 0
    assert "rocket" in done.stdout + done.stderr


def test_every_flow_file_that_is_deployed_exists():
    deployments = yaml.safe_load((PROJECT_ROOT / "prefect.yaml").read_text(encoding="utf-8"))["deployments"]
    assert {entry["entrypoint"] for entry in deployments} == {
        "flows/full_pipeline.py:full_pipeline",
        "flows/train.py:train",
        "flows/cross_validate.py:cross_validate",
        "flows/search.py:search",
        "flows/compare.py:compare",
        "flows/audit.py:audit",
        "flows/predict.py:predict",
    }
    for entry in deployments:
        path, flow = entry["entrypoint"].split(":")
        assert f"def {flow}(" in (PROJECT_ROOT / path).read_text(encoding="utf-8")
