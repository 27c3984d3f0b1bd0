"""Runs the pipeline's command with a fault, and says what it left: files, MLflow runs, log lines."""

import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import mlflow
import psutil

from tasks.hashes import hash_file
from tasks.settings import PROJECT_ROOT
from tasks.stage import TEMPORARY_PREFIX

SMALL: Final = (
    "--sample.n-movies", "300", "--models", "nb-counts,logreg-title", "--skip", "annotate,explore", "--no-report",
    "--workers", "2",
)  # fmt: skip
# What tells of a run, not of its result: when it ran, for how long, and under which ids.
OF_THE_RUN: Final = re.compile(
    r"^logs/|\.lock$|last_run\.json$|fit\.json$|train\.log$|\.stage\.json$|^results/|^compared/"
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
    """Runs commands in forked children of one process that has imported the pipeline."""

    def __init__(self, prefect_home: Path, api_url: str) -> None:
        environment = {**quiet_environment(prefect_home), "PREFECT_API_URL": api_url}
        environment["PYTHONPATH"] = os.pathsep.join(filter(None, [str(PROJECT_ROOT), os.environ.get("PYTHONPATH")]))
        command = [sys.executable, str(Path(__file__).with_name("nursery.py"))]
        self.process = subprocess.Popen(
            command, env=environment, cwd=prefect_home, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self.outputs: dict[int, Path] = {}

    def start(
        self,
        home: Home,
        fault: dict[str, Any] | None = None,
        arguments: tuple[str, ...] = SMALL,
        environment: dict[str, str] | None = None,
    ) -> int:
        """Start a command; return its process id."""
        output = home.root / f"output-{len(self.outputs)}.txt"
        own = {"GENREFLOW_DATA_DIR": str(home.data), "GENREFLOW_MLRUNS_DIR": str(home.root / "mlruns")}
        request = {
            "root": str(home.root), "arguments": arguments, "fault": fault, "output": str(output),
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

    def run(self, home: Home, fault: dict[str, Any] | None = None, **options: Any) -> Ended:
        """Run a command to its end."""
        return self.wait(self.start(home, fault, **options))

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


def new_home(root: Path, database: Path) -> Home:
    """Make the folders of a drill, with a copy of an MLflow database that has its tables."""
    home = Home(root)
    home.database.parent.mkdir(parents=True)
    shutil.copy(database, home.database)
    return home
