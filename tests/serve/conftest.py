"""Two small models in a registry of the session's own, the second of them the champion, and both as the last run."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import httpx
import polars as pl
import pytest
from sklearn.ensemble import RandomForestClassifier

from tasks.core.metrics import Verdict
from tasks.core.predictions import truth_matrix
from tasks.core.settings import PROJECT_ROOT, data_paths, settings
from tasks.decision.rules import rules_to_json
from tasks.decision.thresholds import fit_rules
from tasks.models import linear, spec
from tasks.models.pipeline import GenreModel
from tasks.tracking import runs
from tasks.tracking.past_runs import save_last_run
from tasks.tracking.registry import find_champion, promote
from tasks.tracking.runs import LoggedModel, log_model

GENRES = ("Drama", "Horror", "Sci-Fi")
WORDS = {
    "Drama": ["mother", "grief", "marriage", "village", "secret"],
    "Horror": ["haunted", "ghosts", "house", "terrified", "demon"],
    "Sci-Fi": ["robot", "planet", "crew", "orbit", "machine"],
}
START_S = 300  # patience with a busy machine; servers are there in seconds on an idle one
CLASSIFIERS = {
    "nb-words": linear.NaiveBayes(),
    "forest-words": RandomForestClassifier(5, max_depth=5),
    "logreg-words": linear.LogisticRegression(C=10),
}


@dataclass(frozen=True)
class Registry:
    """An MLflow store with models of these folders by name; `logreg-words`, version 2, is the champion."""

    tracking_uri: str
    folders: dict[str, Path]
    environment: dict[str, str]  # under which another process finds the store and the data folder


@pytest.fixture(scope="session")
def registry(settings_in, invent_movies, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    """Log all models to one run, and promote two of them."""
    root = tmp_path_factory.mktemp("serve")
    with settings_in(root) as environment:
        uri = settings().tracking_uri
        run = runs.start_pipeline_run("test", {}, data_paths(), {"source": "sample"})
        movies = invent_movies(WORDS, 240, 2)
        logged = {name: log(run, name, store(movies, name, root)) for name in CLASSIFIERS}
        client = run.experiment.client()
        for name in ("nb-words", "logreg-words"):
            champion = find_champion(run.experiment, logged[name], data_paths())
            promote(client, logged[name], champion, Verdict(True, "because"))
        data_paths().last_run.parent.mkdir(parents=True, exist_ok=True)
        save_last_run(data_paths(), run, list(logged.values()))
        folders = {name: model.folder for name, model in logged.items()}
        yield Registry(uri, folders, {**environment, "MLFLOW_TRACKING_URI": uri})


def store(movies: pl.DataFrame, name: str, root: Path) -> Path:
    """Fit a model, and write it with its decision rules to a folder."""
    model = GenreModel(spec.ModelSpec(name=name, classifier=CLASSIFIERS[name]), GENRES, 1).fit(movies)
    rules = fit_rules(model.scores(movies), truth_matrix(movies["genres"].to_list(), GENRES))
    folder = root / "data" / "models" / name
    (folder / "model").mkdir(parents=True)
    model.save(folder / "model")
    text = json.dumps({"chosen": "expected-f1", "genres": GENRES, "rules": rules_to_json(rules)})
    (folder / "rules.json").write_text(text, encoding="utf-8")
    return folder


def log(run: runs.PipelineRun, name: str, folder: Path) -> LoggedModel:
    """Log a stored model to a run of its own."""
    run_id = runs.start_model_run(run, name, {})
    return LoggedModel(name, folder, run_id, log_model(run.experiment, run_id, name, folder), "abc")


@pytest.fixture(scope="session")
def start(registry: Registry) -> Iterator[Callable[[Callable[[int], Sequence[str]], str], str]]:
    """Start a server on the registry, given its command for a port; return its address once a path answers."""
    with contextlib.ExitStack() as stack:

        def start(command: Callable[[int], Sequence[str]], path: str) -> str:
            with socket.socket() as probe:
                probe.bind(("127.0.0.1", 0))
                port = probe.getsockname()[1]
            environment = {**os.environ, **registry.environment}
            process = subprocess.Popen(command(port), cwd=PROJECT_ROOT, env=environment, start_new_session=True)
            stack.callback(end, process)
            wait_for(f"http://127.0.0.1:{port}{path}", process)
            return f"http://127.0.0.1:{port}"

        yield start


def wait_for(address: str, process: "subprocess.Popen[bytes]") -> None:
    """Wait until a server answers."""
    deadline_s = time.monotonic() + START_S
    while time.monotonic() < deadline_s:
        assert process.poll() is None, f"the server ended with {process.poll()}"
        with contextlib.suppress(httpx.TransportError):
            if httpx.get(address, trust_env=False, timeout=START_S).status_code == 200:
                return
        time.sleep(0.2)
    pytest.fail(f"no server came up in {START_S} s")


def end(process: "subprocess.Popen[bytes]") -> None:
    """End a server with all that it started."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGTERM)
    process.wait(timeout=60)
