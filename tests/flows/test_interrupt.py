"""Ctrl-C and SIGTERM in the middle: the store is left in order, and the same command goes on."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import mlflow
import pytest

from tasks.settings import PROJECT_ROOT

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("default")]

OPTIONS = (
    "--sample.n-movies",
    "1000",
    "--models",
    "logreg-counts,svm-title",
    "--skip",
    "explore,annotate",
    "--no-report",
)


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


@pytest.mark.parametrize(
    ("stop", "to", "code"),
    [(signal.SIGINT, os.kill, 130), (signal.SIGTERM, os.killpg, 143)],
    ids=["ctrl-c", "SIGTERM to Prefect's server, too"],
)
def test_the_same_command_goes_on(stop, to, code, tmp_path):
    process = start(tmp_path)
    wait_for(process, "models run in")
    to(process.pid, stop)
    _, rest = process.communicate(timeout=600)
    assert process.returncode == code, rest
    assert "run the same command again" in rest
    assert "RUNNING" not in statuses(tmp_path)
    assert "KILLED" in statuses(tmp_path)
    again = start(tmp_path)
    seen = wait_for(again, "champion: ")
    again.communicate(timeout=600)
    assert again.returncode == 0
    assert "clean/clean: unchanged, skipped" in seen
    assert sorted(set(statuses(tmp_path))) == ["FINISHED", "KILLED"]
    assert not list((tmp_path / "data").rglob(".unfinished-*"))
