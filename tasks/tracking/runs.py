"""MLflow runs, one parent per pipeline run and one child per model, and what is logged to them.

These are params, tags, metrics, files, and models, which load without this project.
"""

import contextlib
import getpass
import hashlib
import json
import logging
import re
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from importlib.metadata import packages_distributions, version
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit
from urllib.request import url2pathname
from uuid import uuid4

import mlflow.sklearn
import pandas as pd
import polars as pl
from mlflow.data.dataset_source_registry import get_registered_sources
from mlflow.data.polars_dataset import from_polars
from mlflow.entities import Dataset, DatasetInput, InputTag, Metric, Param
from mlflow.models import Model, ModelSignature
from mlflow.types import ColSpec, DataType, ParamSchema, ParamSpec, Schema, TensorSpec
from mlflow.types.schema import AnyType

from tasks.core.errors import DataError, ModelError
from tasks.core.files import check_hashes, hash_files, write_hashes
from tasks.core.logs import hide_secrets
from tasks.core.settings import DataPaths
from tasks.stage import PROJECT, code_of, write_atomically
from tasks.tracking.store import NOTE_TAG, Experiment, get_if_exists, open_experiment, retry_while_locked

logger = logging.getLogger(__name__)

MetricsOf = tuple[str | None, Mapping[str, Dataset]]

FINISHED, FAILED, KILLED, RUNNING = "FINISHED", "FAILED", "KILLED", "RUNNING"  # MLflow's names

PARENT_TAG: Final = "mlflow.parentRunId"
KIND_TAG: Final = "genreflow.kind"
MODEL_TAG: Final = "genreflow.model"
DATA_TAG: Final = "genreflow.data_hash"
DATA_DIR_TAG: Final = "genreflow.data_dir"
FOLDER_TAG: Final = "genreflow.folder_id"
ERROR_TAG: Final = "genreflow.error"
FINGERPRINT_TAG: Final = "genreflow.model_fingerprint"
URI_TAG: Final = "genreflow.model_uri"
HASHES_TAG: Final = "genreflow.hashes_sha256"  # of a logged model's `hashes.json`, stored apart from its files
SHARED_PARAMS: Final = ("source", "preset", "seed", "train_on", "evaluate.choose_by")  # of a parent, copied to children
MAX_LABEL_CHARS: Final = 100  # in the name of a metric
MANY: Final = "verbose/"  # prefix of the many further metrics, which puts them last
PART_OF: Final = {"train": "train", "val": "validation", "test": "test"}  # by its name in metrics
LONGEST_VALUE: Final = 5000  # MLflow refuses params and tags above 6,000 and 8,000 characters

LOADER_MODULE: Final = "tasks.models.served"
DATA_FOLDER: Final = "data/classifier"  # of a logged model: the files that `hashes.json` lists
OPTIONAL_COLUMNS: Final = ("movie_name", "year", "certificate", "runtime", "director", "star")
EXAMPLE: Final = {
    "movie_name": ["The House on the Hill", "Kick-Off"],
    "description": ["A family finds out that ghosts haunt their new home.", "A team of misfits wins the cup."],
}


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
class LoggedModel:
    """A model of a run, its folder and its address."""

    name: str
    folder: Path
    run_id: str
    model_uri: str
    data_hash: str = ""  # of the data that it was trained and tested on; "" if unknown


def folder_id(paths: DataPaths) -> str:
    """Return the id that a data folder keeps, since folders of several containers may have one name."""
    if not paths.folder_id.is_file():
        write_atomically(paths.folder_id, f"{uuid4().hex}\n")
    return paths.folder_id.read_text(encoding="utf-8").strip()


@retry_while_locked
def start_pipeline_run(
    experiment_name: str, config: Mapping[str, Any], paths: DataPaths, tags: Mapping[str, str]
) -> PipelineRun:
    """Start the parent run of a pipeline run, in an experiment that is created if needed.

    The run is named after the tags `flow` (default: pipeline), `source` and `model`. Runs of the same data folder that
    are still RUNNING belong to a killed process, since one pipeline at a time holds the folder's lock; they are marked
    KILLED.
    """
    experiment = open_experiment(experiment_name)
    client, folder = experiment.client(), folder_id(paths)
    for left in client.search_runs([experiment.experiment_id], f"attributes.status = '{RUNNING}'"):
        if left.data.tags.get(FOLDER_TAG) == folder:
            logger.warning("MLflow run %r was left running by a process that ended: marked KILLED", left.info.run_name)
            client.set_terminated(left.info.run_id, KILLED)
    revision, flow, user = git_revision(), tags.get("flow", "pipeline"), "unknown"
    with contextlib.suppress(KeyError, OSError):  # the user of a container may have no name
        user = getpass.getuser()
    shared = {
        DATA_DIR_TAG: str(paths.root),
        FOLDER_TAG: folder,
        "genreflow.git_revision": revision,
        "mlflow.source.git.commit": revision.removesuffix("-dirty"),
        "mlflow.source.name": f"genreflow {flow}",
        "mlflow.source.type": "LOCAL",
        "mlflow.user": user,
        **{f"genreflow.{key}": hide_secrets(value) for key, value in tags.items()},
    }
    if url := tags.get("prefect_url"):
        shared[NOTE_TAG] = f"[Flow run in Prefect]({url})"
    params = flat_params(config)
    what = " ".join(filter(None, [flow, tags.get("source"), tags.get("model")]))
    name = f"{hide_secrets(what)} {time.strftime('%Y-%m-%d %H:%M:%S')}"
    run = client.create_run(experiment.experiment_id, run_name=name, tags={KIND_TAG: "pipeline", **shared})
    client.log_batch(run.info.run_id, params=[Param(key, value) for key, value in params.items()])
    return PipelineRun(experiment, run.info.run_id, name, params, shared)


@retry_while_locked
def start_model_run(run: PipelineRun, name: str, spec: Mapping[str, Any], kind: str = "model") -> str:
    """Start the child run of a model, with `SHARED_PARAMS` and tags of its parent and its own; return its id.

    `kind` is "model", "cross-validation", "trial" of a search, or "variant" of the train movies.
    """
    client = run.experiment.client()
    tags = {**run.tags, KIND_TAG: kind, PARENT_TAG: run.run_id}
    if kind in ("model", "cross-validation"):
        own = {key: str(spec[key]) for key in ("classifier", "vectors") if key in spec}
        tags |= {f"genreflow.{key}": value for key, value in {"model": name, **own}.items()}
    child = client.create_run(run.experiment.experiment_id, run_name=name, tags=tags)
    params = {key: run.params[key] for key in SHARED_PARAMS if key in run.params} | flat_params(spec)
    client.log_batch(child.info.run_id, params=[Param(key, value) for key, value in params.items()])
    return str(child.info.run_id)


def flat_params(config: Mapping[str, Any]) -> dict[str, str]:
    """Return nested configuration as params: dotted names, JSON for all but texts, without secrets, not too long."""
    texts = {key: value if isinstance(value, str) else json.dumps(value) for key, value in flatten(config)}
    return {key: hide_secrets(text)[:LONGEST_VALUE] for key, text in texts.items()}


def flatten(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield the values of nested mappings under dotted names."""
    for key, value in values.items():
        if isinstance(value, Mapping) and value:
            yield from flatten(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def git_revision() -> str:
    """Return the revision of this checkout, with "-dirty" if tracked files differ from it; "unknown" outside git."""
    try:
        done = subprocess.run(  # noqa: S603 - no part of the command comes from outside
            ["git", "-C", str(PROJECT), "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"],  # noqa: S607
            capture_output=True,
            text=True,
            check=True,
            timeout=10,
        )
    except (OSError, subprocess.SubprocessError):
        return "unknown"
    return done.stdout.strip()


@retry_while_locked
def end_run(experiment: Experiment, run_id: str, status: str) -> None:
    """End a run with a status: FINISHED, FAILED or KILLED."""
    experiment.client().set_terminated(run_id, status)


def fail_run(run: PipelineRun, run_id: str, error: str, traceback_text: str) -> None:
    """End a model's run as FAILED, with the error as a tag and its traceback as `error.txt`."""
    client = run.experiment.client()
    client.set_tag(run_id, ERROR_TAG, hide_secrets(error)[:LONGEST_VALUE])
    client.log_text(run_id, hide_secrets(traceback_text), "error.txt")
    client.set_terminated(run_id, FAILED)


@retry_while_locked
def kill_children(run: PipelineRun) -> None:
    """Mark the children that are still running as KILLED."""
    client = run.experiment.client()
    query = f"tags.`{PARENT_TAG}` = '{run.run_id}' and attributes.status = '{RUNNING}'"
    for child in client.search_runs([run.experiment.experiment_id], query):
        client.set_terminated(child.info.run_id, KILLED)


@retry_while_locked
def log_data(run: PipelineRun, paths: DataPaths) -> dict[str, str]:
    """Tag a pipeline run with the hash of its data and log its parts as the run's inputs; return the tags."""
    tags = {DATA_TAG: data_hash(paths)}
    log_datasets(replace(run, tags=run.tags | tags), run.run_id, paths)
    run.experiment.client().set_tag(run.run_id, DATA_TAG, tags[DATA_TAG])
    return tags


def data_hash(paths: DataPaths) -> str:
    """Return a hash of the clean table and its split; raise DataError if the data folder is not prepared."""
    for path in (paths.movies, paths.splits):
        if not path.is_file():
            raise DataError(f"{path} is missing; run flows/prepare.py first")
    return hash_files([paths.movies, paths.splits])[:16]


def log_datasets(run: PipelineRun, run_id: str, paths: DataPaths) -> dict[str, Dataset]:
    """Log train, validation and test as inputs of a run, with columns and sizes but no rows; return them by part."""
    data = run.tags.get(DATA_TAG) or data_hash(paths)
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


def log_metrics(
    experiment: Experiment, run_id: str, metrics: Mapping[str, float], step: int = 0, of: MetricsOf = (None, {})
) -> None:
    """Log metrics in one batch, except those that are not finite, which charts cannot show.

    `of` is their model's id and the datasets by part, for metrics with `train/`, `val/` or `test/` in the name.
    """
    model_id, datasets = of
    now_ms = int(time.time() * 1000)
    batch = []
    for key, value in metrics.items():
        if abs(value) < float("inf"):
            part = next((PART_OF[word] for word in key.split("/") if word in PART_OF), "")
            dataset = datasets.get(part)
            named = {"dataset_name": dataset.name, "dataset_digest": dataset.digest} if dataset else {}
            batch.append(Metric(key, value, now_ms, step, run_id=run_id, model_id=model_id, **named))
    experiment.client().log_batch(run_id, metrics=batch)


def metric_name(label: str) -> str:
    """Return a label as a part of a metric's name: itself, or what MLflow accepts of it with a hash of the whole.

    >>> metric_name("Sci-Fi"), metric_name("C#"), metric_name("..")
    ('Sci-Fi', 'C_-040228', '_-5ec1f7')
    """
    safe = re.sub(r"[^\w .-]|^[ .]+|[ .]+$", "_", label)[:MAX_LABEL_CHARS]
    return label if safe == label else f"{safe}-{hashlib.sha256(label.encode()).hexdigest()[:6]}"


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


def log_model(experiment: Experiment, run_id: str, model_name: str, model_folder: Path) -> str:
    """Log a trained model to its run; return its address. An identical model is logged once: later runs point to it."""
    client = experiment.client()
    files = [path for path in (model_folder / "model").rglob("*") if path.is_file()]
    fingerprint = hash_files([*files, model_folder / "rules.json", *_served_code()])
    uri = _find_logged_model(experiment, run_id, fingerprint)
    if uri is None:
        uri = _log_new_model(run_id, model_name, model_folder, client.get_run(run_id).data.params)
    hashes = client.get_logged_model(uri.removeprefix("models:/")).tags[HASHES_TAG]
    for tag, value in ((FINGERPRINT_TAG, fingerprint), (URI_TAG, uri), (HASHES_TAG, hashes)):
        client.set_tag(run_id, tag, value)
    return uri


def _served_code() -> list[Path]:
    """Return the code of a served model: the modules that its loader imports, directly or not."""
    modules = code_of([PROJECT / f"{LOADER_MODULE.replace('.', '/')}.py"], is_complete=True)
    folders = {folder for module in modules for folder in module.parents if folder.is_relative_to(PROJECT / "tasks")}
    return sorted({*modules, *(folder / "__init__.py" for folder in folders)})


def _find_logged_model(experiment: Experiment, run_id: str, fingerprint: str) -> str | None:
    """Return the address of an identical, undamaged model from a finished run or an earlier try of this one."""
    client = experiment.client()
    query = f"tags.`{FINGERPRINT_TAG}` = '{fingerprint}' and attributes.status = '{FINISHED}'"
    for run in (client.get_run(run_id), *client.search_runs([experiment.experiment_id], query, max_results=20)):
        if run.data.tags.get(FINGERPRINT_TAG) != fingerprint:
            continue
        uri = run.data.tags.get(URI_TAG, "")
        model = get_if_exists(client.get_logged_model, uri.removeprefix("models:/"))
        digest = model.tags.get(HASHES_TAG) if model else None
        if model is None or not digest:  # deleted since, or of an earlier release
            continue
        if is_local(model.artifact_location):  # else fetching would take as long as logging; it is checked when loaded
            try:
                check_hashes(Path(url2pathname(urlsplit(model.artifact_location).path)) / DATA_FOLDER, digest)
            except ModelError as error:
                logger.warning("%s; it is logged again", error)
                continue
        return uri
    return None


def is_local(location: str) -> bool:
    """Return whether an artifact location is on this machine."""
    return urlsplit(location).scheme in {"", "file"}


class _Pyfunc:
    """The flavour `mlflow.pyfunc`, without a prediction for the example, which would load each model again."""

    @staticmethod
    def save_model(*, mlflow_model: Model, data_path: str, **options: Any) -> None:
        """Save a model; a scikit-learn pipeline can also be loaded with `mlflow.sklearn.load_model`."""
        import skops.io  # noqa: PLC0415 - takes seconds

        options.pop("validate_serving_input", None)  # of `Model.log`; `mlflow.pyfunc.save_model` does not take it
        pipeline = Path(data_path) / "model" / "model.skops"
        if pipeline.is_file():
            mlflow_model.add_flavor(
                mlflow.sklearn.FLAVOR_NAME,
                pickled_model=f"{DATA_FOLDER}/model/model.skops",  # MLflow's name for it; nothing is pickled
                serialization_format=mlflow.sklearn.SERIALIZATION_FORMAT_SKOPS,
                skops_trusted_types=skops.io.get_untrusted_types(file=pipeline),
                sklearn_version=version("scikit-learn"),
                code="code",
            )
        mlflow.pyfunc.save_model(mlflow_model=mlflow_model, data_path=data_path, **options)


def _log_new_model(run_id: str, model_name: str, model_folder: Path, params: dict[str, str]) -> str:
    model = model_folder / "model"
    spec = json.loads((model / "model.json").read_text(encoding="utf-8"))
    rule = json.loads((model_folder / "rules.json").read_text(encoding="utf-8"))["chosen"]
    requirements, foreign_code = _needs(model)
    with tempfile.TemporaryDirectory() as temporary:
        data, code = Path(temporary) / Path(DATA_FOLDER).name, Path(temporary) / "tasks"
        shutil.copytree(model, data / "model")
        shutil.copy(model_folder / "rules.json", data)
        digest = write_hashes(data)
        for path in _served_code():
            copy = Path(temporary) / path.relative_to(PROJECT)
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, copy)
        with mlflow.start_run(run_id=run_id):
            info = Model.log(  # as `mlflow.pyfunc.log_model` does
                artifact_path=None,
                name=model_name,
                flavor=_Pyfunc,
                flavor_name="pyfunc",
                validate_serving_input=False,
                loader_module=LOADER_MODULE,
                data_path=str(data),
                code_paths=[str(code), *foreign_code],
                signature=_signature(spec["genres"], spec.get("own_fields", [])),
                input_example=pd.DataFrame(EXAMPLE),
                pip_requirements=requirements,
                metadata={"genres": spec["genres"], "rule": rule, "model": model_name},
                params=params,
                tags={HASHES_TAG: digest},
            )
    return f"models:/{info.model_id}"


def _signature(genres: Sequence[str], own_fields: Sequence[str]) -> ModelSignature:
    text = DataType.string
    # Tables may have years as numbers and texts as categories; the model itself reports unreadable values by row.
    anything: Any = AnyType()  # type: ignore[no-untyped-call]
    inputs: list[ColSpec | TensorSpec] = [ColSpec(anything, "description")]
    inputs += [ColSpec(anything, name, required=False) for name in dict.fromkeys([*OPTIONAL_COLUMNS, *own_fields])]
    outputs: list[ColSpec | TensorSpec] = [ColSpec(text, "genres")]
    outputs += [ColSpec(DataType.float, f"score_{genre}") for genre in genres]
    params = ParamSchema([ParamSpec("rule", text, ""), ParamSpec("precision", text, "")])
    return ModelSignature(inputs=Schema(inputs), outputs=Schema(outputs), params=params)


def _needs(model: Path) -> tuple[list[str], list[str]]:
    """Return the pinned packages that a model needs, and the files of other estimators to log with it."""
    specs = [json.loads(path.read_text(encoding="utf-8")) for path in sorted(model.rglob("model.json"))]
    kinds = {kind for spec in specs for kind in _kinds(spec)}
    packages = ["numpy", "pandas", "polars", "pydantic", "scikit-learn", "scipy", "skops"]
    if any(spec.get("input", {}).get("text") == "lemmas" for spec in specs):
        packages += ["simplemma", "spacy"]
    if "frozen-encoder" in kinds or any("encoder" in spec for spec in specs):
        packages += ["onnxruntime", "safetensors", "tokenizers", "torch", "transformers"]
    files = []
    for module in sorted({kind.partition(".")[0] for kind in kinds if "." in kind} - {"sklearn", "tasks"}):
        root = find_spec(module)
        if installed := packages_distributions().get(module):
            packages += installed
        elif root is not None and root.origin:
            path = Path(root.origin)
            files.append(str(path.parent if path.name == "__init__.py" else path))
    return [f"{package}=={version(package).partition('+')[0]}" for package in dict.fromkeys(packages)], files


def _kinds(part: Any) -> list[str]:
    if isinstance(part, list):
        return [kind for each in part for kind in _kinds(each)]
    if not isinstance(part, dict):
        return []
    kind = part.get("kind") or part.get("estimator")
    return [*([kind] if isinstance(kind, str) else []), *(found for each in part.values() for found in _kinds(each))]
