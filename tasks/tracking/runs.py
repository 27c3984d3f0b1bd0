"""MLflow runs, one parent per pipeline run and one child per model: their names, params, tags, metrics and files."""

import getpass
import json
import logging
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

import pandas as pd
import polars as pl
from mlflow.data.dataset_source_registry import get_registered_sources
from mlflow.data.polars_dataset import from_polars
from mlflow.entities import Dataset, DatasetInput, InputTag, Metric, Param, RunStatus, RunTag

from tasks.core.errors import DataError
from tasks.core.files import hash_files
from tasks.core.logs import hide_secrets
from tasks.core.settings import PROJECT_ROOT, DataPaths
from tasks.stage import StageResult
from tasks.tracking.store import NOTE_TAG, Experiment, open_experiment, retry_while_locked

logger = logging.getLogger(__name__)

FINISHED: Final = RunStatus.to_string(RunStatus.FINISHED)
FAILED: Final = RunStatus.to_string(RunStatus.FAILED)
KILLED: Final = RunStatus.to_string(RunStatus.KILLED)
RUNNING: Final = RunStatus.to_string(RunStatus.RUNNING)

PARENT_TAG: Final = "mlflow.parentRunId"
DATA_DIR_TAG: Final = "genreflow.data_dir"
SHARED_PARAMS: Final = ("source", "preset", "seed", "train_on", "evaluate.choose_by")  # of a parent, copied to children
MANY: Final = "verbose/"  # prefix of the many further metrics, which puts them last
PART_OF: Final = {"train": "train", "val": "validation", "test": "test"}  # by its name in metrics
LONGEST_VALUE: Final = 5000  # MLflow refuses params and tags above 6,000 and 8,000 characters


@dataclass(frozen=True)
class PipelineRun:
    """A pipeline run in MLflow and what all its children share, small enough to pass to tasks.

    Children repeat the parent's tags and some of its params, since the UI's filters ignore the parent.
    """

    experiment: Experiment
    run_id: str
    name: str
    params: dict[str, str]
    tags: dict[str, str]


@dataclass(frozen=True)
class MetricsOf:
    """The model and the datasets of metrics, in addition to their run."""

    model_id: str | None = None
    datasets: Mapping[str, Dataset] = field(default_factory=dict)  # by part


NOTHING: Final = MetricsOf()


@retry_while_locked
def start_pipeline_run(
    experiment_name: str, config: Mapping[str, Any], paths: DataPaths, tags: Mapping[str, str]
) -> PipelineRun:
    """Start the parent run of a pipeline run, in an experiment that is created if needed.

    The whole `config` is logged as params under dotted names. The run is named after the tags `flow` (default:
    pipeline), `source` and `model`. Runs of the same data folder that are still RUNNING belong to a killed process,
    since one pipeline at a time holds the folder's lock; they are marked KILLED.
    """
    experiment = open_experiment(experiment_name)
    client = experiment.client()
    _end_orphans(experiment, paths)
    revision = git_revision()
    shared = {
        DATA_DIR_TAG: str(paths.root),
        "genreflow.git_revision": revision,
        "mlflow.source.git.commit": revision.removesuffix("-dirty"),
        "mlflow.source.name": f"genreflow {tags.get('flow', 'pipeline')}",
        "mlflow.source.type": "LOCAL",
        "mlflow.user": _user(),
        **{f"genreflow.{key}": hide_secrets(value) for key, value in tags.items()},
    }
    if url := tags.get("prefect_url"):
        shared[NOTE_TAG] = f"[Flow run in Prefect]({url})"
    params = flat_params(config)
    what = " ".join([tags.get("flow", "pipeline"), *filter(None, [tags.get("source"), tags.get("model")])])
    name = f"{hide_secrets(what)} {time.strftime('%Y-%m-%d %H:%M:%S')}"
    run = client.create_run(experiment.experiment_id, run_name=name, tags={"genreflow.kind": "pipeline", **shared})
    client.log_batch(run.info.run_id, params=[Param(key, value) for key, value in params.items()])
    return PipelineRun(experiment, run.info.run_id, name, params, shared)


def start_model_run(run: PipelineRun, model_name: str, spec: Mapping[str, Any], kind: str = "model") -> str:
    """Start the child run of a model, with `SHARED_PARAMS` and tags of its parent and its own; return its id."""
    tags = {"genreflow.kind": kind, "genreflow.model": model_name}
    tags |= {f"genreflow.{name}": str(spec[name]) for name in ("classifier", "vectors") if name in spec}
    return _start_child_run(run, model_name, tags, spec)


def start_trial_run(run: PipelineRun, number: int, params: Mapping[str, Any]) -> str:
    """Start the child run of a search's trial, with the values it tries; return its id."""
    return _start_child_run(run, f"trial {number}", {"genreflow.kind": "trial"}, {"trial": params})


def start_variant_run(run: PipelineRun, name: str, spec: Mapping[str, Any]) -> str:
    """Start the child run of a model trained on a variant of the train movies; return its id."""
    return _start_child_run(run, name, {"genreflow.kind": "variant"}, spec)


@retry_while_locked
def _start_child_run(run: PipelineRun, name: str, tags: Mapping[str, str], own_params: Mapping[str, Any]) -> str:
    client = run.experiment.client()
    all_tags = {**run.tags, **tags, PARENT_TAG: run.run_id}
    child = client.create_run(run.experiment.experiment_id, run_name=name, tags=all_tags)
    params = {name: run.params[name] for name in SHARED_PARAMS if name in run.params} | flat_params(own_params)
    client.log_batch(child.info.run_id, params=[Param(key, value) for key, value in params.items()])
    return str(child.info.run_id)


@retry_while_locked
def log_data(run: PipelineRun, paths: DataPaths) -> dict[str, str]:
    """Tag a pipeline run with the hash of its data and log its parts as the run's inputs; return the tags."""
    tags = {"genreflow.data_hash": data_hash(paths)}
    log_datasets(replace(run, tags=run.tags | tags), run.run_id, paths)
    run.experiment.client().log_batch(run.run_id, tags=[RunTag(key, value) for key, value in tags.items()])
    return tags


def data_hash(paths: DataPaths) -> str:
    """Return a hash of the clean table and its split.

    Raises:
        DataError: the data folder is not prepared.
    """
    for path in (paths.movies, paths.splits):
        if not path.is_file():
            raise DataError(f"{path} is missing; run flows/prepare.py first")
    return hash_files([paths.movies, paths.splits])[:16]


def log_datasets(run: PipelineRun, run_id: str, paths: DataPaths) -> dict[str, Dataset]:
    """Log train, validation and test as inputs of a run, with columns and sizes but no rows; return them by part."""
    data = run.tags.get("genreflow.data_hash") or data_hash(paths)
    datasets = _datasets(paths, run.tags.get("genreflow.source", "movies"), data)
    inputs = [DatasetInput(each, [InputTag("mlflow.data.context", part)]) for part, each in datasets.items()]
    run.experiment.client().log_inputs(run_id, inputs)
    return datasets


@lru_cache(maxsize=4)
def _datasets(paths: DataPaths, source: str, data: str) -> dict[str, Dataset]:
    movies = pl.read_parquet(paths.movies)
    parts = pl.read_parquet(paths.splits, columns=["part"]).get_column("part").cast(pl.String)
    # Explicit, because MLflow warns that a path could be several kinds of source.
    kinds = {getattr(kind, "__name__", ""): kind for kind in get_registered_sources()}
    origin = kinds["LocalArtifactDatasetSource"].from_dict({"uri": str(paths.movies)})
    found = {}
    for part in PART_OF.values():
        named = {"name": f"{source}: {part}", "digest": f"{data}-{part}"}
        found[part] = Dataset(**from_polars(movies.filter(parts == part), source=origin, **named).to_dict())
    return found


def log_stages(run: PipelineRun, results: Sequence[StageResult]) -> None:
    """Log stages' counts to the pipeline run, as metrics `verbose/data/<stage>/<count>`, and their sidecars."""
    metrics: dict[str, float] = {}
    for result in results:
        numbers = {key: value for key, value in _flat(result.counts) if isinstance(value, int | float)}
        metrics |= {f"{MANY}data/{result.name}/{metric_name(key)}": float(value) for key, value in numbers.items()}
        log_files(run.experiment, run.run_id, [result.folder / f"{result.name}.stage.json"], "stages")
    log_metrics(run.experiment, run.run_id, metrics)


def log_metrics(
    experiment: Experiment, run_id: str, metrics: Mapping[str, float], step: int = 0, of: MetricsOf = NOTHING
) -> None:
    """Log metrics in one batch, except those that are not finite, which charts cannot show.

    Those with `train/`, `val/` or `test/` in the name belong to the datasets of `of`.
    """
    now_ms = int(time.time() * 1000)
    finite = {key: value for key, value in metrics.items() if abs(value) < float("inf")}
    batch = [
        Metric(key, value, now_ms, step, run_id=run_id, model_id=of.model_id, **_dataset_of(key, of.datasets))
        for key, value in finite.items()
    ]
    experiment.client().log_batch(run_id, metrics=batch)


def _dataset_of(metric: str, datasets: Mapping[str, Dataset]) -> dict[str, str]:
    part = next((PART_OF[word] for word in metric.split("/") if word in PART_OF), None)
    dataset = datasets.get(part or "")
    return {} if dataset is None else {"dataset_name": dataset.name, "dataset_digest": dataset.digest}


def log_files(experiment: Experiment, run_id: str, files: Sequence[Path], folder: str | None = None) -> None:
    """Log those of the files that exist."""
    client = experiment.client()
    for file in files:
        if file.is_file():
            client.log_artifact(run_id, str(file), folder)


def log_table(experiment: Experiment, run_id: str, csv: Path) -> None:
    """Log a CSV file as a table that MLflow's UI shows and compares, in place of an earlier one."""
    client, name, table = experiment.client(), f"{csv.stem}.json", pd.read_csv(csv)
    if any(file.path == name for file in client.list_artifacts(run_id)):
        client.log_text(run_id, table.to_json(orient="split", index=False), name)  # `log_table` would add its rows
    else:
        client.log_table(run_id, table, name)


def duration_s(run: PipelineRun) -> float:
    """Return the duration of a run, until now if it has not ended."""
    info = run.experiment.client().get_run(run.run_id).info
    end_ms = info.end_time if info.end_time is not None else time.time() * 1000
    return max(0.0, float(end_ms - info.start_time) / 1000)  # a clock can be put back


def previous_best(run: PipelineRun) -> dict[str, Any] | None:
    """Return the last compared pipeline run before this one, or None.

    Returns:
        `name` of the run, its best `model`, the model's `jaccard` on test, and `data_hash`.
    """
    client = run.experiment.client()
    earlier = client.search_runs(
        [run.experiment.experiment_id],
        f"tags.`genreflow.kind` = 'pipeline' and metrics.`test/jaccard` >= 0 "
        f"and attributes.start_time < {client.get_run(run.run_id).info.start_time}",
        max_results=1,
        order_by=["attributes.start_time DESC"],
    )
    if not earlier:
        return None
    data, info = earlier[0].data, earlier[0].info
    return {
        "name": info.run_name,
        "model": data.tags.get("genreflow.best", ""),
        "jaccard": data.metrics["test/jaccard"],
        "data_hash": data.tags.get("genreflow.data_hash", ""),
    }


@retry_while_locked
def end_run(experiment: Experiment, run_id: str, status: str) -> None:
    """End a run with a status: FINISHED, FAILED or KILLED."""
    experiment.client().set_terminated(run_id, status)


def fail_run(experiment: Experiment, run_id: str, error: str, traceback_text: str) -> None:
    """End a run as FAILED, with the error as a tag and its traceback as `error.txt`."""
    client = experiment.client()
    client.set_tag(run_id, "genreflow.error", hide_secrets(error)[:LONGEST_VALUE])
    client.log_text(run_id, hide_secrets(traceback_text), "error.txt")
    client.set_terminated(run_id, FAILED)


@retry_while_locked
def kill_children(run: PipelineRun) -> None:
    """Mark the children that are still running as KILLED."""
    client = run.experiment.client()
    query = f"tags.`{PARENT_TAG}` = '{run.run_id}' and attributes.status = '{RUNNING}'"
    for child in client.search_runs([run.experiment.experiment_id], query):
        client.set_terminated(child.info.run_id, KILLED)


def flat_params(config: Mapping[str, Any]) -> dict[str, str]:
    """Return nested configuration as params: dotted names, JSON for all but texts, without secrets, not too long."""
    texts = {key: value if isinstance(value, str) else json.dumps(value) for key, value in _flat(config)}
    return {key: hide_secrets(text)[:LONGEST_VALUE] for key, text in texts.items()}


def metric_name(text: str) -> str:
    """Return a text with every character that MLflow refuses in metric names replaced by "_"."""
    return "".join(letter if letter.isalnum() or letter in "_-./ " else "_" for letter in text)


def git_revision() -> str:
    """Return the revision of this checkout, with "-dirty" if tracked files differ from it; "unknown" outside git."""
    try:
        done = subprocess.run(  # noqa: S603 - no part of the command comes from outside
            ["git", "-C", str(PROJECT_ROOT), "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"],  # noqa: S607
            capture_output=True,
            text=True,
            check=True,
            timeout=10,
        )
    except (OSError, subprocess.SubprocessError):
        return "unknown"
    return done.stdout.strip()


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # the user of a container may have no name
        return "unknown"


def _end_orphans(experiment: Experiment, paths: DataPaths) -> None:
    client = experiment.client()
    for run in client.search_runs([experiment.experiment_id], f"attributes.status = '{RUNNING}'"):
        if run.data.tags.get(DATA_DIR_TAG) == str(paths.root):  # MLflow's filters cannot express every folder's name
            logger.warning("MLflow run %r was left running by a process that ended: marked KILLED", run.info.run_name)
            client.set_terminated(run.info.run_id, KILLED)


def _flat(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in values.items():
        if isinstance(value, Mapping) and value:
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value
