"""SIGTERM in the middle of a command with a Prefect server of its own."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import mlflow
import pytest

from tasks.core.settings import PROJECT_ROOT

pytestmark = [pytest.mark.services, pytest.mark.filterwarnings("default")]

OPTIONS = ("--sample.n-movies", "300", "--models", "logreg-counts,svm-title", "--skip", "annotate", "--no-report")


def start(root: Path) -> subprocess.Popen[str]:
    (root / "prefect").mkdir(exist_ok=True)
    own = {
        "GENREFLOW_DATA_DIR": str(root / "data"),
        "GENREFLOW_MLRUNS_DIR": str(root / "mlruns"),
        "PREFECT_HOME": str(root / "prefect"),
    }
    # Without what the test session set: its Prefect server is not this command's.
    inherited = {key: value for key, value in os.environ.items() if not key.startswith(("PREFECT_", "MLFLOW_"))}
    return subprocess.Popen(
        [sys.executable, str(PROJECT_ROOT / "flows" / "full_pipeline.py"), *OPTIONS],
        env={**inherited, **own}, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip


def wait_for(process: subprocess.Popen[str], text: str) -> str:
    seen = ""
    assert process.stderr is not None
    for line in process.stderr:
        seen += line
        if text in line:
            return seen
    raise AssertionError(f"never said {text!r}:\n{seen}")


def statuses(root: Path) -> list[str]:
    client = mlflow.MlflowClient(f"sqlite:///{root / 'mlruns' / 'mlflow.db'}")
    experiment = client.get_experiment_by_name("genreflow")
    return [run.info.status for run in client.search_runs([experiment.experiment_id])]


def test_a_signal_to_the_command_and_its_server_leaves_the_store_in_order(tmp_path):
    """As a service manager and a terminal send it; `tests/drill` sends signals and kills at other moments."""
    process = start(tmp_path)
    wait_for(process, "models run in")
    os.killpg(process.pid, signal.SIGTERM)
    _, rest = process.communicate(timeout=600)
    assert process.returncode == 143, rest
    assert "run the same command again" in rest
    assert statuses(tmp_path)[0] == "KILLED"
    assert set(statuses(tmp_path)) <= {"KILLED", "FINISHED"}
    assert not list((tmp_path / "data").rglob(".unfinished-*"))
