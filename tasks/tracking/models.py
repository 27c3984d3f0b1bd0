"""Logging a model to MLflow, with its metrics and its version card; `stored_model` loads it again."""

import json
import shutil
import tempfile
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.metadata import packages_distributions, version
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

import mlflow
import mlflow.sklearn
import pandas as pd
import polars as pl
from mlflow.entities import Run
from mlflow.exceptions import MlflowException
from mlflow.models import Model, ModelSignature
from mlflow.types import ColSpec, DataType, ParamSchema, ParamSpec, Schema, TensorSpec
from mlflow.types.schema import AnyType

from tasks.core.files import hash_files, write_hashes
from tasks.core.metrics import METRICS, in_groups
from tasks.core.page import escape_markdown, markdown_table
from tasks.core.settings import data_paths
from tasks.stage import PROJECT, code_of
from tasks.tracking.champion import HASHES_TAG
from tasks.tracking.runs import FINISHED, MANY, PipelineRun, log_datasets, log_files, log_metrics, metric_name
from tasks.tracking.select_runs import LoggedModel
from tasks.tracking.store import Experiment, is_missing
from tasks.tracking.stored_model import DATA_FOLDER, LOADER_MODULE, is_as_logged

LONGEST: Final = 4900  # MLflow keeps 5,000 characters of a version's description
FEW: Final = 10  # test rows; an F1 on fewer means little
HEADER: Final = ("label", "test rows", "precision", "recall", "F1")

FINGERPRINT_TAG: Final = "genreflow.model_fingerprint"
MODEL_URI_TAG: Final = "genreflow.model_uri"
PIPELINE_FILE: Final = "model/model.skops"
INPUT_COLUMNS: Final = ("movie_name", "year", "certificate", "runtime", "director", "star")
EXAMPLE: Final = {
    "movie_name": ["The House on the Hill", "Kick-Off"],
    "description": ["A family finds out that ghosts haunt their new home.", "A team of misfits wins the cup."],
}


def write_card(run: Run, model: LoggedModel, leaderboard: Path, registered: str, version: int) -> str:
    """Return a version's card in Markdown: data, metrics with intervals, each label, limits, how to call it.

    `run` trained the model; its folder has `metrics.json` and `per_genre.csv`; `leaderboard.csv` has the intervals.
    """
    evaluated = json.loads((model.folder / "metrics.json").read_text(encoding="utf-8"))
    values = evaluated["rules"][evaluated["chosen_rule"]]
    labels = pl.read_csv(model.folder / "per_genre.csv", columns=["genre", "support", "precision", "recall", "f1"])
    ranked = pl.read_csv(leaderboard, schema_overrides={"model": pl.String}).filter(pl.col("model") == model.name)
    row = ranked.row(0, named=True) if ranked.height else {}
    origin = (
        f"**{escape_markdown(model.name)}**, {_origin(run, model.data_hash)}. Decision rule: "
        f"{evaluated['chosen_rule']}, chosen on validation by {evaluated['chosen_by']}."
    )
    figures = [_figure(name, values, row) for name in in_groups("leading", "main") if f"test/{name}" in values]
    shown = "On test movies, which were not used for any choice:\n\n" + markdown_table(
        ("metric", "value", "95% interval"), figures
    )
    uri = f"models:/{registered}/{version}"
    call = (
        f'```python\nimport mlflow, pandas as pd\n\nmodel = mlflow.pyfunc.load_model("{uri}")\n'
        'model.predict(pd.DataFrame({"description": ["A nurse hears voices in an abandoned ward."]}))\n```'
    )
    described = "\n\n".join([origin, shown, _limits(labels), call])
    return f"{described}\n\n{_labels(labels, LONGEST - len(described) - 200)}"


def _origin(run: Run, data_hash: str) -> str:
    """Return when, on which data and with which code a model was trained."""
    tags, inputs = run.data.tags, run.inputs.dataset_inputs if run.inputs else []
    rows = [(json.loads(each.dataset.profile or "{}").get("num_rows", 0), each.tags[0].value) for each in inputs]
    sizes = f" ({', '.join(f'{count:,} {part}' for count, part in rows)})" if rows else ""
    day = datetime.fromtimestamp(run.info.start_time / 1000, UTC).date()
    source, code = tags.get("genreflow.source", "unknown"), tags.get("genreflow.git_revision", "unknown")[:12]
    return f"trained on {day} on source {escape_markdown(source)}, data {data_hash}{sizes}, code {code}"


def _figure(name: str, values: dict[str, float], row: dict[str, Any]) -> tuple[str, str, str]:
    low, high = row.get(f"test_{name}_low"), row.get(f"test_{name}_high")
    interval = f"{low:.3f} to {high:.3f}" if low is not None and high is not None else ""
    return METRICS[name].title, f"{values[f'test/{name}']:.3f}", interval


def _limits(labels: pl.DataFrame) -> str:
    few = [escape_markdown(str(label)) for label in labels.filter(pl.col("support") < FEW).get_column("genre")]
    named = f"{', '.join(few[:FEW])} and {len(few) - FEW} more" if len(few) > FEW else ", ".join(few)
    note = f" Metrics are unreliable for labels with fewer than {FEW} test rows: {named}." if few else ""
    return f"Limits: the metrics hold for rows from the same source; without its fields a model is worse.{note}"


def _labels(labels: pl.DataFrame, max_length: int) -> str:
    """Return the table of the labels, those with most test rows first, as many as fit."""
    rows: list[tuple[str, ...]] = []
    for label, support, *metrics in labels.sort("support", "genre", descending=[True, False]).iter_rows():
        shown = [f"{value:.2f}" if value is not None else "–" for value in metrics]
        row = (escape_markdown(str(label)), str(support), *shown)
        if len(markdown_table(HEADER, [*rows, row])) > max_length:
            more = f"\n{labels.height - len(rows)} more labels in the run's `per_genre.csv`."
            return markdown_table(HEADER, rows) + more
        rows.append(row)
    return markdown_table(HEADER, rows)


def served_fingerprint(model_folder: Path) -> str:
    """Return one hash over everything in a served model: fitted files, rules and code."""
    files = sorted(path for path in (model_folder / "model").rglob("*") if path.is_file())
    return hash_files([*files, model_folder / "rules.json", *_served_code()])


def find_logged_model(experiment: Experiment, run_id: str, fingerprint: str) -> str | None:
    """Return the address of an identical, undamaged model from a finished run or an earlier try of this one."""
    client = experiment.client()
    query = f"tags.`{FINGERPRINT_TAG}` = '{fingerprint}' and attributes.status = '{FINISHED}'"
    for run in (client.get_run(run_id), *client.search_runs([experiment.experiment_id], query, max_results=20)):
        if run.data.tags.get(FINGERPRINT_TAG) != fingerprint:
            continue
        uri = run.data.tags.get(MODEL_URI_TAG, "")
        try:
            model = client.get_logged_model(uri.removeprefix("models:/"))
        except MlflowException as error:
            if not is_missing(error):
                raise
            continue  # deleted since
        if is_as_logged(model):
            return uri
    return None


def log_model(experiment: Experiment, run_id: str, model_name: str, model_folder: Path) -> str:
    """Log a trained model to its run as an artefact that loads without this project; return its address.

    An identical model is logged only once: later runs point to the first.
    """
    client = experiment.client()
    fingerprint = served_fingerprint(model_folder)
    uri = find_logged_model(experiment, run_id, fingerprint)
    if uri is None:
        params = client.get_run(run_id).data.params
        uri = _log_new_model(run_id, model_name, model_folder, params)
    client.set_tag(run_id, FINGERPRINT_TAG, fingerprint)
    client.set_tag(run_id, MODEL_URI_TAG, uri)
    client.set_tag(run_id, HASHES_TAG, client.get_logged_model(uri.removeprefix("models:/")).tags[HASHES_TAG])
    return uri


class _Pyfunc:
    """The flavour `mlflow.pyfunc`, without a prediction for the example, which would load each model again."""

    @staticmethod
    def save_model(
        *, mlflow_model: Model, data_path: str, validate_serving_input: bool = False, **options: Any
    ) -> None:
        """Save a model; a scikit-learn pipeline can also be loaded with `mlflow.sklearn.load_model`."""
        del validate_serving_input  # an option of `Model.log` that `mlflow.pyfunc.save_model` does not take
        import skops.io  # noqa: PLC0415 - takes seconds

        pipeline = Path(data_path) / PIPELINE_FILE
        if pipeline.is_file():
            mlflow_model.add_flavor(
                mlflow.sklearn.FLAVOR_NAME,
                pickled_model=f"{DATA_FOLDER}/{PIPELINE_FILE}",  # MLflow's name for it; nothing is pickled
                serialization_format=mlflow.sklearn.SERIALIZATION_FORMAT_SKOPS,
                skops_trusted_types=skops.io.get_untrusted_types(file=pipeline),
                sklearn_version=version("scikit-learn"),
                code="code",
            )
        mlflow.pyfunc.save_model(mlflow_model=mlflow_model, data_path=data_path, **options)


def _log_new_model(run_id: str, model_name: str, model_folder: Path, params: dict[str, str]) -> str:
    spec = json.loads((model_folder / "model" / "model.json").read_text(encoding="utf-8"))
    rule = json.loads((model_folder / "rules.json").read_text(encoding="utf-8"))["chosen"]
    with tempfile.TemporaryDirectory() as temporary:
        data, code = Path(temporary) / Path(DATA_FOLDER).name, Path(temporary) / "tasks"
        shutil.copytree(model_folder / "model", data / "model")
        shutil.copy(model_folder / "rules.json", data)
        digest = write_hashes(data)
        _copy_code(code)
        with mlflow.start_run(run_id=run_id):
            info = Model.log(  # as `mlflow.pyfunc.log_model` does
                artifact_path=None,
                name=model_name,
                flavor=_Pyfunc,
                flavor_name="pyfunc",
                validate_serving_input=False,
                loader_module=LOADER_MODULE,
                data_path=str(data),
                code_paths=[str(code), *_foreign_code(_specs(model_folder / "model"))[1]],
                signature=_signature(spec["genres"], spec.get("own_fields", [])),
                input_example=pd.DataFrame(EXAMPLE),
                pip_requirements=_requirements(model_folder / "model"),
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
    inputs += [ColSpec(anything, name, required=False) for name in dict.fromkeys([*INPUT_COLUMNS, *own_fields])]
    outputs: list[ColSpec | TensorSpec] = [ColSpec(text, "genres")]
    outputs += [ColSpec(DataType.float, f"score_{genre}") for genre in genres]
    params = ParamSchema([ParamSpec("rule", text, ""), ParamSpec("precision", text, "")])
    return ModelSignature(inputs=Schema(inputs), outputs=Schema(outputs), params=params)


def _requirements(model: Path) -> list[str]:
    packages = ["numpy", "pandas", "polars", "pydantic", "scikit-learn", "scipy", "skops"]
    specs = _specs(model)
    if any(spec.get("input", {}).get("text") == "lemmas" for spec in specs):
        packages += ["simplemma", "spacy"]
    if any("encoder" in spec or "frozen-encoder" in _kinds(spec) for spec in specs):
        packages += ["onnxruntime", "safetensors", "tokenizers", "torch", "transformers"]
    packages += _foreign_code(specs)[0]
    return [f"{package}=={version(package).partition('+')[0]}" for package in dict.fromkeys(packages)]


def _specs(model: Path) -> list[dict[str, Any]]:
    return [json.loads(path.read_text(encoding="utf-8")) for path in sorted(model.rglob("model.json"))]


def _kinds(part: Any) -> list[str]:
    """Return the short names and paths of a model's estimators, including nested ones."""
    if isinstance(part, list):
        return [kind for each in part for kind in _kinds(each)]
    if not isinstance(part, dict):
        return []
    kind = part.get("kind") or part.get("estimator")
    return [*([kind] if isinstance(kind, str) else []), *(found for each in part.values() for found in _kinds(each))]


def _foreign_code(specs: Sequence[dict[str, Any]]) -> tuple[list[str], list[str]]:
    """Return the installed packages that a model's other estimators need, and the files to log with it."""
    packages: list[str] = []
    files: list[str] = []
    modules = {kind.partition(".")[0] for spec in specs for kind in _kinds(spec) if "." in kind}
    for module in sorted(modules - {"sklearn", "tasks"}):
        found, root = packages_distributions().get(module), find_spec(module)
        if found:
            packages += found
        elif root is not None and root.origin:
            path = Path(root.origin)
            files.append(str(path.parent if path.name == "__init__.py" else path))
    return packages, files


def _served_code() -> list[Path]:
    """Return the code of a served model: the modules that its loader imports, directly or not."""
    modules = code_of([PROJECT / f"{LOADER_MODULE.replace('.', '/')}.py"], is_complete=True)
    folders = {folder for module in modules for folder in module.parents if folder.is_relative_to(PROJECT / "tasks")}
    return sorted({*modules, *(folder / "__init__.py" for folder in folders)})


def _copy_code(target: Path) -> None:
    for path in _served_code():
        copy = target / path.relative_to(PROJECT / "tasks")
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, copy)


def read_history(model_folder: Path) -> list[tuple[int, dict[str, float]]]:
    """Return the step and the metrics, by MLflow name, of each evaluation in fine-tuning; empty for other models."""
    path = model_folder / "history.csv"
    if not path.is_file():
        return []
    rows = pl.read_csv(path).iter_rows(named=True)
    return [
        (int(row.pop("step")), {f"training/{name}": float(value) for name, value in row.items() if value is not None})
        for row in rows
    ]


def log_folds(run: PipelineRun, run_id: str, folder: Path) -> None:
    """Log the evaluation in a model's folder to the model's run.

    The chosen rule's metrics are `cv/<metric>` and `cv/<metric>_std`, mean and standard deviation over folds, and
    `fold/<metric>`, with a step per fold; each rule has its `verbose/rules/<rule>/cv_jaccard`.
    """
    stored = json.loads((folder / "metrics.json").read_text(encoding="utf-8"))
    chosen, rules = stored["chosen_rule"], stored["rules"]
    metrics = {f"cv/{name}": values["mean"] for name, values in rules[chosen].items()}
    metrics |= {f"cv/{name}_std": values["std"] for name, values in rules[chosen].items()}
    metrics |= {f"{MANY}rules/{rule}/cv_jaccard": values["jaccard"]["mean"] for rule, values in rules.items()}
    metrics["time/fit_s"] = json.loads((folder / "fit.json").read_text(encoding="utf-8"))["fit_s"]
    log_metrics(run.experiment, run_id, metrics)
    for fold in range(len(rules[chosen]["jaccard"]["folds"])):
        of_fold = {f"fold/{name}": values["folds"][fold] for name, values in rules[chosen].items()}
        log_metrics(run.experiment, run_id, of_fold, step=fold)
    run.experiment.client().set_tag(run_id, "genreflow.rule", chosen)
    log_datasets(run, run_id, data_paths())
    log_files(run.experiment, run_id, sorted(folder.iterdir()))


def model_summary(model_folder: Path) -> dict[str, Any]:
    """Return the metrics of a trained model by MLflow name, and under `rule` its chosen rule.

    The leading metrics of the chosen rule are `val/<metric>` and `test/<metric>`, next to the model's costs. All others
    start with `verbose/`: the rule's other metrics, every rule's Jaccard (`rules/<rule>/<part>/jaccard`) and the F1 of
    each genre with test movies (`genres/<genre>/test/f1`).
    """
    evaluated = json.loads((model_folder / "metrics.json").read_text(encoding="utf-8"))
    cost = json.loads((model_folder / "fit.json").read_text(encoding="utf-8"))
    chosen = evaluated["chosen_rule"]
    leading = {f"{part}/{name}" for part in ("val", "test") for name in in_groups("leading")}
    metrics = {
        name if name in leading else f"{MANY}{name}": value for name, value in evaluated["rules"][chosen].items()
    }
    for rule, values in evaluated["rules"].items():
        for part in ("val", "test"):
            metrics[f"{MANY}rules/{rule}/{part}/jaccard"] = values[f"{part}/jaccard"]
    per_genre = pl.read_csv(model_folder / "per_genre.csv", columns=["genre", "f1"]).drop_nulls("f1")
    metrics |= {f"{MANY}genres/{metric_name(genre)}/test/f1": f1 for genre, f1 in per_genre.iter_rows()}
    metrics["time/fit_s"] = cost["fit_s"]
    metrics["time/predict_docs_per_s"] = cost["predict_docs_per_s"]
    metrics["size/model_mb"] = cost["model_mb"]
    if "model_memory_mb" in cost:  # not measured by earlier versions
        metrics["size/model_memory_mb"] = cost["model_memory_mb"]
    return {"rule": chosen, "metrics": metrics}
