"""Work on a Dask cluster: the same bytes as here, workers that die, workers that cannot take part.

The scheduler and its workers are started as users start them: processes of their own, on loopback.
"""

import contextlib
import operator
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import mlflow
import pytest
from distributed import Client

from flows.config import CrossValidateConfig, PredictConfig, TrainConfig
from flows.cross_validate import cross_validate
from flows.full_pipeline import full_pipeline
from flows.predict import predict
from flows.run_context import check_cluster
from flows.train import train
from tasks.annotate.corpus import AnnotateConfig
from tasks.core.errors import ConfigError, WorkerError
from tasks.core.language import normalise_text
from tasks.core.parallel import check_workers, map_on_workers
from tasks.core.settings import PROJECT_ROOT

# Prefect, MLflow and SQLAlchemy warn about each other in depths that are not ours.
pytestmark = [pytest.mark.services, pytest.mark.filterwarnings("default")]

TRAINED = ("logreg-tfidf", "logreg-lemmas", "svm-title")
SLOW_MODEL = "forest-title"

# What stands for a machine on which the project was not installed.
WITHOUT_PROJECT = """
import sys
class Missing:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {"flows", "tasks"}:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
sys.meta_path.insert(0, Missing())
"""
DASK = "from dask.__main__ import main; main()"
PATIENCE_S = 120  # of a busy machine


@dataclass
class Cluster:
    """A scheduler, and the workers that were started for it."""

    address: str
    folder: Path
    workers: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    def start_workers(self, *names: str, before: str = "", **environment: str) -> None:
        """Start workers with one thread each and wait until the scheduler knows them."""
        for name in names:
            options = ("--name", name, "--host", "127.0.0.1", "--nthreads", "1", "--no-nanny", "--no-dashboard")
            words = ("worker", self.address, *options, "--local-directory", str(self.folder))
            self.workers[name] = start_dask(words, self.folder / f"{name}.log", before, environment)
        self.wait_for(lambda: set(names) <= self.names().keys(), f"{names} join")

    def names(self) -> dict[str, str]:
        """Return the addresses of the scheduler's workers by their names."""
        with Client(self.address, set_as_default=False, timeout=PATIENCE_S) as client:
            found = client.scheduler_info(n_workers=-1)["workers"]
        return {worker["name"]: address for address, worker in found.items()}

    def kill(self, name: str) -> None:
        """End a worker as the kernel does when memory runs out."""
        process = self.workers.pop(name)
        process.kill()
        process.wait()

    def stop_worker(self, name: str) -> None:
        """End a worker in order, and wait until the scheduler has forgotten it."""
        stop(self.workers.pop(name))
        self.wait_for(lambda: name not in self.names(), f"worker {name} leaves")

    @staticmethod
    def wait_for(condition, what: str, interval_s: float = 0.2) -> None:
        """Wait until something is so."""
        deadline_s = time.monotonic() + PATIENCE_S
        while not condition():
            assert time.monotonic() < deadline_s, f"not so in {PATIENCE_S} s: {what}"
            time.sleep(interval_s)


@contextlib.contextmanager
def started_cluster(folder: Path, before: str = "") -> Iterator[Cluster]:
    """A scheduler without workers, on a free port; it and the workers that it gets end with the context."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    words = ("scheduler", "--host", "127.0.0.1", "--port", str(port), "--no-dashboard")
    scheduler = start_dask(words, folder / "scheduler.log", before)
    cluster = Cluster(f"tcp://127.0.0.1:{port}", folder)
    try:
        cluster.wait_for(lambda: is_open(port) or scheduler.poll() is not None, "the scheduler listens")
        assert scheduler.poll() is None, (folder / "scheduler.log").read_text()
        yield cluster
    finally:
        for process in (*cluster.workers.values(), scheduler):
            process.kill()
            process.wait()


def start_dask(
    words: tuple[str, ...], log: Path, before: str = "", environment: dict[str, str] | None = None
) -> subprocess.Popen[bytes]:
    """Start the command `dask` with the project in its path and its output in a file."""
    program = f"{before}\nimport sys\nsys.argv[0] = 'dask'\n{DASK}"
    path = os.pathsep.join([str(PROJECT_ROOT), os.environ.get("PYTHONPATH", "")])
    with log.open("wb") as output:
        return subprocess.Popen(
            [sys.executable, "-c", program, *words],
            env={**os.environ, "PYTHONPATH": path, **(environment or {})},
            cwd=log.parent, stdout=output, stderr=subprocess.STDOUT,
        )  # fmt: skip


def stop(process: subprocess.Popen[bytes]) -> None:
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(timeout=30)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def is_open(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@pytest.fixture(scope="module")
def cluster(finished, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """Three workers that see the data folder of the finished pipeline."""
    with started_cluster(tmp_path_factory.mktemp("dask")) as cluster:
        cluster.start_workers("one", "two", "three")
        yield cluster


def sent(record) -> str | None:
    """Return the worker whose log record this is, None for this process's own."""
    return getattr(record, "worker", None)


def statuses(finished, experiment: str) -> set[str]:
    client = mlflow.MlflowClient(finished.tracking_uri)
    found = client.get_experiment_by_name(experiment)
    return {run.info.status for run in client.search_runs([found.experiment_id])}


def test_the_pipeline_makes_the_same_bytes_on_three_workers(finished, cluster, caplog):
    paths = finished.paths
    made = [paths.conllu, paths.tokens, *paths.models.glob("*/scores_*.parquet"), *paths.models.glob("*/rules.json")]
    before = {path: path.read_bytes() for path in made}
    assert len(before) >= 2 + 3 * len(TRAINED)
    for name in ("annotate", "features", "train", "evaluate"):
        for sidecar in paths.root.glob(f"*/**/{name}.stage.json"):
            sidecar.unlink()
    update = {"models": TRAINED, "model_params": {}, "annotate": AnnotateConfig(shard_size=100), "experiment": "dask"}
    full_pipeline(
        config=finished.config.model_copy(update={"runner": "dask", "dask_address": cluster.address, **update})
    )
    assert {path: path.read_bytes() for path in made} == before
    assert statuses(finished, "dask") == {"FINISHED"}
    fitted = {
        record.getMessage().split(":")[0]: sent(record)
        for record in caplog.records
        if "/train: done" in record.getMessage()
    }
    assert fitted.keys() == {f"{name}/train" for name in TRAINED}
    assert set(fitted.values()) <= set(cluster.names().values())


def test_folds_are_fitted_on_workers_with_the_same_bytes(finished, cluster):
    config = CrossValidateConfig(models=("nb-counts",), experiment="dask folds")
    cross_validate(config=config)
    folder = finished.paths.cross_validation / "nb-counts"
    before = (folder / "scores_out_of_fold.parquet").read_bytes()
    for sidecar in folder.rglob("*.stage.json"):
        sidecar.unlink()
    cross_validate(config=config.model_copy(update={"runner": "dask", "dask_address": cluster.address}))
    assert (folder / "scores_out_of_fold.parquet").read_bytes() == before
    assert statuses(finished, "dask folds") == {"FINISHED"}


def test_files_are_predicted_on_workers_with_the_same_bytes(finished, cluster, tmp_path, monkeypatch, caplog):
    monkeypatch.setattr("tasks.models.predict.PIECE_ROWS", 50)
    config = PredictConfig(input=str(finished.paths.clean_csv), output=str(tmp_path / "here.csv"), workers=1)
    n_rows = predict(config)
    there = {"output": str(tmp_path / "there.csv"), "workers": None, "runner": "dask", "dask_address": cluster.address}
    assert predict(config.model_copy(update=there)) == n_rows > 200
    assert f"the workers of {cluster.address} share the work" in caplog.text
    assert (tmp_path / "there.csv").read_bytes() == (tmp_path / "here.csv").read_bytes()


def test_a_worker_that_is_killed_costs_what_it_had_in_hand(finished, cluster, caplog):
    models = ("nb-counts", "svm-title", SLOW_MODEL)
    config = TrainConfig(models=models, experiment="killed")
    train(config=config)
    scores = {path: path.read_bytes() for name in models for path in (finished.paths.models / name).glob("scores_*")}
    for name in models:
        (finished.paths.models / name / "train.stage.json").unlink()
    caplog.clear()
    killer = threading.Thread(target=kill_who_trains, args=(cluster, finished.paths.models / SLOW_MODEL))
    killer.start()
    train(config=config.model_copy(update={"runner": "dask", "dask_address": cluster.address}))
    killer.join()
    assert len(cluster.names()) == len(cluster.workers) == 2
    assert {path: path.read_bytes() for path in scores} == scores
    ended = [record.getMessage().split(":")[0] for record in caplog.records if "/train: done" in record.getMessage()]
    assert sorted(ended) == sorted(f"{name}/train" for name in models)
    assert statuses(finished, "killed") == {"FINISHED"}
    assert not list(finished.paths.root.rglob(".unfinished-*"))


def kill_who_trains(cluster: Cluster, folder: Path) -> None:
    """Kill the worker that trains the model of a folder, as soon as there is one."""
    found: list[Path] = []
    cluster.wait_for(lambda: bool(found.extend(folder.glob(".unfinished-train-*")) or found), "a worker trains", 0.01)
    pid = int(found[0].name.rpartition("-")[2])
    (name,) = [name for name, process in cluster.workers.items() if process.pid == pid]
    cluster.kill(name)


def test_workers_that_cannot_take_part_are_told_before_any_work(finished, cluster, tmp_path):
    n_runs = len(list(finished.paths.logs.iterdir()))
    cluster.start_workers("bare", before=WITHOUT_PROJECT)
    cluster.start_workers("elsewhere", GENREFLOW_DATA_DIR=str(tmp_path))
    names = cluster.names()
    with pytest.raises(ConfigError) as raised:
        train(config=TrainConfig(models=("nb-counts",), runner="dask", dask_address=cluster.address))
    cluster.stop_worker("bare")
    cluster.stop_worker("elsewhere")
    first, *lines = str(raised.value).splitlines()
    assert first == f"Dask at {cluster.address} cannot take part:"
    assert len(lines) == 2
    bare, elsewhere = sorted(lines, key=lambda line: names["elsewhere"] in line)
    assert f"{names['bare']} does not have genreflow (No module named 'tasks'): install the project" in bare
    assert f"its data folder is {tmp_path}, not {finished.paths.root}: set GENREFLOW_DATA_DIR" in elsewhere
    assert len(list(finished.paths.logs.iterdir())) == n_runs
    assert not list(finished.paths.root.glob(".cluster-*"))


def test_a_scheduler_without_the_project_is_told(paths, tmp_path):
    with started_cluster(tmp_path, WITHOUT_PROJECT) as cluster:
        cluster.start_workers("good")
        with pytest.raises(
            ConfigError, match=r"cannot take part:\n  the scheduler does not have genreflow \(.*restart it$"
        ):
            check_workers(cluster.address, {})


def test_a_late_worker_without_the_project_ends_and_another_takes_over(paths, tmp_path, monkeypatch, caplog):
    monkeypatch.setattr("tasks.core.parallel.WATCH_S", 0.1)
    with started_cluster(tmp_path) as cluster, ThreadPoolExecutor(1) as background:
        cluster.start_workers("bare", before=WITHOUT_PROJECT)
        results = background.submit(list, map_on_workers(cluster.address, normalise_text, ["one  text"]))
        cluster.wait_for(lambda: cluster.workers["bare"].poll() is not None, "the worker ends")
        assert "No module named 'tasks'" in (tmp_path / "bare.log").read_text()
        cluster.wait_for(lambda: f"no Dask worker is left at {cluster.address}" in caplog.text, "that is told")
        cluster.start_workers("good")
        assert results.result(PATIENCE_S) == ["one text"]


def test_no_scheduler_and_no_worker_are_told(paths, tmp_path, monkeypatch):
    monkeypatch.setattr("tasks.core.parallel.DASK_TIMEOUT_S", 0.5)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        nobody = f"tcp://127.0.0.1:{free.getsockname()[1]}"
        with pytest.raises(ConfigError, match=f"no Dask scheduler answers at {nobody}"):
            check_cluster(TrainConfig(runner="dask", dask_address=nobody))
    with started_cluster(tmp_path) as empty, pytest.raises(ConfigError, match="has no worker; start some with"):
        check_workers(empty.address, {})


def test_results_come_in_order_and_errors_come_through(cluster):
    assert list(map_on_workers(cluster.address, operator.neg, range(20))) == [-number for number in range(20)]
    with pytest.raises(TypeError):
        list(map_on_workers(cluster.address, operator.neg, [1, "two", 3]))


def test_work_that_kills_every_worker_is_given_up(tmp_path, monkeypatch):
    monkeypatch.setenv("DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES", "1")
    with started_cluster(tmp_path) as cluster:
        cluster.start_workers("one", "two", "three")
        with pytest.raises(
            WorkerError, match=r"2 Dask workers died of the same work, .* memory ran out: .*--memory-limit"
        ):
            list(map_on_workers(cluster.address, signal.raise_signal, [signal.SIGKILL]))
