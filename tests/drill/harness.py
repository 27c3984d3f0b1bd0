"""Runs commands with a fault, and says what they left: files, MLflow runs, log lines."""

import contextlib
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import mlflow
import psutil
import pytest
from victims import LISTING

from tasks.core.files import hash_file
from tasks.core.settings import PROJECT_ROOT
from tasks.stage import TEMPORARY_PREFIX

SMALL: Final = (
    "--sample.n-movies", "300", "--models", "nb-counts,logreg-title", "--skip", "annotate", "--no-report",
    "--workers", "2",
)  # fmt: skip
# What tells of a run, not of its result: when it ran, for how long, and under which ids.
OF_THE_RUN: Final = re.compile(
    r"^logs/|\.lock$|\.folder_id$|last_run\.json$|fit\.json$|train\.log$|\.stage\.json$|^results/|^compared/"
)
# What MLflow imports when it opens a store, for seconds.
STORE_MODULES: Final = (
    "alembic.command",
    "mlflow.store.model_registry.sqlalchemy_store",
    "mlflow.store.tracking.sqlalchemy_workspace_store",
    "sqlalchemy.dialects.sqlite.pysqlite",
)
SIDECAR: Final = ".stage.json"
SKIPPED: Final = re.compile(r"(\S+/\S+): unchanged, skipped")


@dataclass(frozen=True)
class Ended:
    """A command that ended."""

    code: int  # negative: the signal that ended it
    output: str

    @property
    def skipped(self) -> set[str]:
        """The stages that had nothing to do, as folder/stage."""
        return set(SKIPPED.findall(self.output))

    def is_plain(self) -> bool:
        """Whether it told its user nothing of the insides."""
        return "Traceback" not in self.output and "--- Logging error" not in self.output


@dataclass
class Home:
    """The folders of one drill: data, MLflow store, temporary files."""

    root: Path

    @property
    def data(self) -> Path:
        """The data folder."""
        return self.root / "data"

    @property
    def database(self) -> Path:
        """The MLflow database."""
        return self.root / "mlruns" / "mlflow.db"

    def copy_data(self, other: "Home") -> None:
        """Begin with the data of another drill."""
        shutil.copytree(other.data, self.data)

    def results(self) -> dict[str, str]:
        """Return the hash of each file that is a result."""
        files = {str(path.relative_to(self.data)): path for path in self.data.rglob("*") if path.is_file()}
        return {name: hash_file(path) for name, path in sorted(files.items()) if not OF_THE_RUN.search(name)}

    def files(self) -> dict[str, bytes]:
        """Return the content of each file in the data folder, sidecars too."""
        return {str(path.relative_to(self.data)): path.read_bytes() for path in self.data.rglob("*") if path.is_file()}

    def unfinished(self) -> list[str]:
        """Return what has a temporary name."""
        return [str(path.relative_to(self.root)) for path in self.root.rglob(f"{TEMPORARY_PREFIX}*")]

    def done(self) -> set[str]:
        """Return the stages that are finished, as folder/stage."""
        # `os.walk` passes over folders that a running command renames meanwhile; `rglob` fails on them.
        files = [(Path(folder).name, name) for folder, _, names in os.walk(self.data) for name in names]
        return {f"{folder}/{name.removesuffix(SIDECAR)}" for folder, name in files if name.endswith(SIDECAR)}

    def runs(self) -> list[mlflow.entities.Run]:
        """Return all MLflow runs, the newest first."""
        client = mlflow.MlflowClient(f"sqlite:///{self.database}")
        experiment = client.get_experiment_by_name("genreflow")
        return list(client.search_runs([experiment.experiment_id])) if experiment else []

    def statuses(self) -> set[str]:
        """Return the statuses that occur."""
        return {run.info.status for run in self.runs()}

    def scores(self) -> dict[str, dict[str, float]]:
        """Return the metrics of the newest finished run of each model, but for what it took: time and memory."""
        found: dict[str, dict[str, float]] = {}
        for run in self.runs():
            if run.info.status == "FINISHED" and run.data.tags["genreflow.kind"] == "model":
                metrics = {
                    key: value for key, value in run.data.metrics.items() if not key.startswith(("time/", "size/"))
                }
                found.setdefault(run.data.tags["genreflow.model"], metrics)
        return found


class Nursery:
    """Runs commands in forked children of one process that has imported what they need.

    Args:
        folder: its working folder, and its Prefect's.
        modules: what it imports.
        api_url: the Prefect server that its children use; none need one where it is None.
    """

    def __init__(self, folder: Path, modules: tuple[str, ...] = (), api_url: str | None = None) -> None:
        environment = quiet_environment(folder) | ({"PREFECT_API_URL": api_url} if api_url else {})
        environment["PYTHONPATH"] = os.pathsep.join(filter(None, [str(PROJECT_ROOT), os.environ.get("PYTHONPATH")]))
        command = [sys.executable, str(Path(__file__).with_name("nursery.py")), *modules]
        self.process = subprocess.Popen(
            command, env=environment, cwd=folder, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self.outputs: dict[int, Path] = {}

    def start(
        self,
        home: Home,
        *faults: dict[str, Any],
        command: str = "pipeline",
        arguments: tuple[str, ...] | None = None,
        environment: dict[str, str] | None = None,
    ) -> int:
        """Start a command of `nursery.COMMANDS`, by default the pipeline on a small sample; return its process id."""
        output = home.root / f"output-{len(self.outputs)}.txt"
        own = {"GENREFLOW_DATA_DIR": str(home.data), "GENREFLOW_MLRUNS_DIR": str(home.root / "mlruns")}
        if arguments is None:
            arguments = SMALL if command == "pipeline" else ()
        request = {
            "command": command, "root": str(home.root), "arguments": arguments, "faults": faults, "output": str(output),
            "environment": {**own, **(environment or {})},
        }  # fmt: skip
        pid = int(self._ask(request)["pid"])
        self.outputs[pid] = output
        return pid

    def is_running(self, pid: int) -> bool:
        """Return whether a command has not ended yet."""
        return psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE

    def wait(self, pid: int) -> Ended:
        """Wait for a command to end."""
        code = int(self._ask({"wait": pid})["exit"])
        return Ended(code, self.outputs[pid].read_text(encoding="utf-8", errors="replace"))

    def run(self, home: Home, *faults: dict[str, Any], **options: Any) -> Ended:
        """Run a command to its end."""
        return self.wait(self.start(home, *faults, **options))

    def close(self) -> None:
        """End the process and all commands that still run."""
        family = [*psutil.Process(self.process.pid).children(recursive=True), self.process]
        for process in family:
            process.kill()
        self.process.communicate()  # and so its pipes are closed

    def _ask(self, request: dict[str, Any]) -> dict[str, Any]:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps(request) + "\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline()
        assert answer, "the nursery ended"
        return dict(json.loads(answer))


def quiet_environment(prefect_home: Path) -> dict[str, str]:
    """Return the environment without what the test session set, for a Prefect of its own that asks nobody outside."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("PREFECT_", "MLFLOW_"))}
    return {**kept, "PREFECT_HOME": str(prefect_home), "PREFECT_SERVER_ANALYTICS_ENABLED": "false", "DO_NOT_TRACK": "1"}


def new_home(root: Path, database: Path | None = None) -> Home:
    """Make the folders of a drill, with a copy of an MLflow database that has its tables, if one is given."""
    home = Home(root)
    home.database.parent.mkdir(parents=True)
    if database is not None:
        shutil.copy(database, home.database)
    return home


def size_mb(folder: Path) -> float:
    """Return the size of all files in a folder."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) / 1e6


def write_listing(home: Home) -> None:
    """Write what the small stages start from."""
    (home.data / LISTING).parent.mkdir(parents=True)
    (home.data / LISTING).write_text("one\ntwo", encoding="utf-8")


@contextlib.contextmanager
def small_disk(folder: Path, megabytes: int) -> Iterator[None]:
    """Have a folder lie on a disk of its own of some megabytes."""
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs", str(folder)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True, check=False).returncode != 0:
        pytest.skip("a disk of its own cannot be mounted: that needs root")
    yield
    subprocess.run(["umount", "--lazy", str(folder)], check=True)
