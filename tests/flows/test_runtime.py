import logging
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from filelock import FileLock
from joblib.externals.loky.backend import context
from prefect.runtime import deployment

from flows import run_context
from flows.run_context import LOGGED, core_count, exclusive
from tasks.core.errors import BusyError, DataError
from tasks.core.settings import DataPaths

PROGRAM = """
import atexit, os, signal
from flows.cli import run_command
from flows.config import FlowConfig
atexit.register(print, "ended in order")
run_command(FlowConfig, lambda _: os.kill(os.getpid(), signal.SIGTERM))
"""


def test_a_data_folder_is_one_pipelines_at_a_time(tmp_path: Path) -> None:
    paths = DataPaths(tmp_path / "data")
    with exclusive(paths), exclusive(paths):  # a flow within a flow
        pass
    with FileLock(paths.lock), pytest.raises(BusyError, match="another pipeline works in"):
        exclusive(paths).__enter__()


def test_a_run_of_a_deployment_waits_for_another_pipeline(tmp_path: Path, monkeypatch) -> None:
    paths = DataPaths(tmp_path / "data")
    paths.root.mkdir()
    monkeypatch.setattr(deployment, "id", "a1", raising=False)
    first = FileLock(paths.lock, thread_local=False)
    first.acquire()
    threading.Timer(0.3, first.release).start()
    with exclusive(paths):
        assert not first.is_locked
    monkeypatch.setattr(run_context, "LOCK_TIMEOUT_S", 0.1)
    with FileLock(paths.lock), pytest.raises(BusyError):
        exclusive(paths).__enter__()


def test_a_container_that_may_use_one_core_has_one(monkeypatch) -> None:
    assert core_count() >= 1
    monkeypatch.setattr(context, "_cpu_count_cgroup", lambda _n_cores: 1)  # what a limit of Docker or Kubernetes sets
    assert core_count() == 1


def test_steps_are_logged_where_no_command_line_saw_to_it(tmp_path: Path, monkeypatch) -> None:
    for name in LOGGED:
        monkeypatch.setattr(logging.getLogger(name), "level", logging.NOTSET)
        logging.getLogger(name).manager._clear_cache()
    with exclusive(DataPaths(tmp_path / "data")):
        assert all(logging.getLogger(f"{name}.some.module").isEnabledFor(logging.INFO) for name in LOGGED)


def test_a_data_folder_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("no folder")
    with pytest.raises(DataError, match=r"data cannot be written .*set GENREFLOW_DATA_DIR to another folder"):
        exclusive(DataPaths(tmp_path / "data")).__enter__()


def test_a_termination_leaves_no_server_behind() -> None:
    """What ends with the process, as its Prefect server does, hears of it."""
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (143, "ended in order\n")
