"""Registered models: the champion, its promotion, rollback and card; loading of models; those for the demo.

Every promotion is a new version with tags that record what it replaced and why, so rollbacks can follow the versions.
"""

import atexit
import contextlib
import json
import logging
import re
import shutil
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, NamedTuple
from urllib.parse import urlsplit
from urllib.request import url2pathname

import mlflow
import polars as pl
import yaml
from mlflow.entities import Run
from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException
from mlflow.models import Model

from tasks.core.errors import ConfigError, DataError, GenreflowError, ModelError
from tasks.core.files import check_hashes
from tasks.core.logs import hide_secrets, printable
from tasks.core.metrics import METRICS, REGISTERED_NAME, Champion, Verdict, in_groups
from tasks.core.page import escape_markdown, fill, markdown_table
from tasks.core.settings import DataPaths, settings
from tasks.tracking.past_runs import MissingResultsError, fetch_results, load_last_run
from tasks.tracking.runs import DATA_FOLDER, DATA_TAG, HASHES_TAG, LOADER_MODULE, MODEL_TAG, LoggedModel, is_local
from tasks.tracking.store import Experiment, get_if_exists, is_away, open_client, public_address, unreachable

logger = logging.getLogger(__name__)

CHAMPION: Final = "champion"
EARLIER_PARAMS: Final = frozenset({"model.classifier.kind", "model.members"})  # of models that were not pipelines
REPLACED_TAG: Final = "genreflow.replaced_version"
ROLLED_BACK_TAG: Final = "genreflow.rolled_back_at"
JUDGED_TAG: Final = "genreflow.judged"  # with the hash of the data: short ids of challengers
SHORT_ID: Final = 8
MOST_JUDGED: Final = 500  # ids in a tag, which has 5,000 characters
PROMOTED_TAG: Final = "genreflow.promoted_at"
ABANDONED_MS: Final = 60_000

CARD: Final = Path(__file__).with_name("card.jinja")
LONGEST_MLMODEL: Final = 1_000_000  # characters
LONGEST: Final = 4900  # MLflow keeps 5,000 characters of a version's description
FEW: Final = 10  # test rows; an F1 on fewer means little, as the card says

_ADDRESS: Final = re.compile(r"models:/(?P<name>\w[^/@:%?#\\]*)(?:/(?P<version>\d+)|@(?P<alias>\w[\w.-]*))?")


class ChampionChangedError(GenreflowError):
    """Another process promoted a model since the champion was looked up."""


def find_champion(
    experiment: Experiment, challenger: LoggedModel, paths: DataPaths, registered: str = REGISTERED_NAME
) -> Champion | None:
    """Return the champion of a registered model, with its results fetched to the data folder; None if there is none.

    A `DataError` if its results cannot be fetched, MLflow's error if the store is away: there may be a champion.
    """
    client = experiment.client()
    current = champion_version(client, registered)
    if current is None:
        return None
    run_id = str(current.run_id)
    run = get_if_exists(client.get_run, run_id)  # None if it was purged
    tags, params = (run.data.tags, run.data.params) if run else ({}, {})
    model = tags.get(MODEL_TAG) or current.tags.get(MODEL_TAG) or f"version {current.version}"
    folder = None  # the verdict reports it
    if run is not None and run.info.lifecycle_stage == "active":
        with contextlib.suppress(MissingResultsError):
            folder = fetch_results(client, run_id, model, paths)
    rolled_back = [
        f"{at} (version {version.version})"
        for version in client.search_model_versions(f"name = '{registered}'")
        if version.source == challenger.model_uri and (at := version.tags.get(ROLLED_BACK_TAG))
    ]
    return Champion(
        version=int(current.version),
        model=model,
        run_id=run_id,
        source=tags.get("genreflow.source", ""),
        data_hash=tags.get(DATA_TAG, ""),
        folder=folder,
        is_challenger=current.source == challenger.model_uri,
        is_readable=EARLIER_PARAMS.isdisjoint(params),
        challenger_was_rolled_back=next(iter(rolled_back), ""),
        challengers_before=len(_judged(client, challenger, registered) - {challenger.model_uri[-SHORT_ID:]}),
    )


def note_judged(client: mlflow.MlflowClient, challenger: LoggedModel, registered: str) -> None:
    """Record, with the registered model, that a test set has judged a challenger: each more makes luck more likely."""
    judged = sorted(_judged(client, challenger, registered) | {challenger.model_uri[-SHORT_ID:]})[-MOST_JUDGED:]
    client.set_registered_model_tag(registered, f"{JUDGED_TAG}.{challenger.data_hash[:16]}", " ".join(judged))


def _judged(client: mlflow.MlflowClient, challenger: LoggedModel, registered: str) -> set[str]:
    tags = client.get_registered_model(registered).tags
    return set(tags.get(f"{JUDGED_TAG}.{challenger.data_hash[:16]}", "").split())


def promote(
    client: mlflow.MlflowClient,
    challenger: LoggedModel,
    champion: Champion | None,
    verdict: Verdict,
    registered: str = REGISTERED_NAME,
) -> int:
    """Register a logged model as a new version, give it the alias `champion`, and return the version.

    Several processes may promote at once, and MLflow sets an alias without asking whose it was. The numbers of versions
    decide: only the first version after the champion that it was compared with may replace it.

    Raises:
        ChampionChangedError: another model became champion since the comparison. Nothing is changed.
    """
    if get_if_exists(client.get_registered_model, registered) is None:
        what = "Genres of a movie from its description." if registered == REGISTERED_NAME else "Labels of a text."
        try:
            client.create_registered_model(registered, description=what)
        except MlflowException as error:
            if error.error_code != "RESOURCE_ALREADY_EXISTS":  # another process was faster
                raise
    model_id = challenger.model_uri.removeprefix("models:/")
    tags = {
        "genreflow.run_id": challenger.run_id,
        MODEL_TAG: challenger.name,
        DATA_TAG: challenger.data_hash,
        HASHES_TAG: client.get_logged_model(model_id).tags.get(HASHES_TAG, ""),
        PROMOTED_TAG: _now(),
        "genreflow.promotion_reason": verdict.reason,
        "genreflow.promotion_gain": verdict.difference,  # metric, difference and interval
    }
    if champion is not None:
        tags |= {REPLACED_TAG: str(champion.version), "genreflow.replaced_model": champion.model}
    given = {key: value for key, value in tags.items() if value}
    new = client.create_model_version(
        registered, challenger.model_uri, challenger.run_id, tags=given, model_id=model_id
    )
    judged = champion.version if champion else 0
    for rival in _promoted(client, registered):
        if judged < int(rival.version) < int(new.version) and rival.source != challenger.model_uri:
            client.delete_model_version(registered, new.version)
            raise ChampionChangedError(f"version {rival.version} became champion after the comparison with {judged}")
    client.set_registered_model_alias(registered, CHAMPION, new.version)
    after = {version.tags.get(REPLACED_TAG): version.version for version in _promoted(client, registered)}
    last = str(new.version)
    while last in after:  # promoted since, by comparison with this version: the alias was set too late
        last = str(after[last])
        client.set_registered_model_alias(registered, CHAMPION, last)
    return int(new.version)


def _promoted(client: mlflow.MlflowClient, registered: str) -> list[ModelVersion]:
    """Return the versions that became champion or are about to, without those that were rolled back, oldest first.

    One that never got the alias within a minute was left by a process that died.
    """
    holder = champion_version(client, registered)
    latest_ms = time.time() * 1000 - ABANDONED_MS
    found = [
        version
        for version in client.search_model_versions(f"name = '{registered}'")
        if PROMOTED_TAG in version.tags and ROLLED_BACK_TAG not in version.tags
        if version.creation_timestamp > latest_ms or (holder and int(version.version) <= int(holder.version))
    ]
    return sorted(found, key=lambda version: int(version.version))


def roll_back(registered: str = REGISTERED_NAME) -> str:
    """Return the alias `champion` to the version that the current one replaced; report what was done.

    Both versions are tagged, and the one that was rolled back is not promoted again while it has its tag. A
    `ModelError`, and nothing is changed, if there is no champion, it replaced none, or what it replaced was deleted.
    """
    client = open_client()
    current = champion_version(client, registered)
    if current is None:
        raise ModelError(f"{registered} has no champion to roll back from; train one with flows/full_pipeline.py")
    rolled_back = f"version {current.version} ({model_of(client, current)})"
    before = current.tags.get(REPLACED_TAG)
    if before is None:
        raise ModelError(f"{rolled_back} does not record a version before it, so there is nothing to restore")
    earlier = get_if_exists(client.get_model_version, registered, before)
    if earlier is None or not get_if_exists(client.get_logged_model, str(earlier.source).removeprefix("models:/")):
        raise ModelError(
            f"version {before}, which version {current.version} replaced, or its model was deleted, so it cannot be "
            f"restored; give another version of {registered} the alias {CHAMPION} in MLflow's UI, or train again"
        )
    now = _now()
    client.set_model_version_tag(registered, current.version, ROLLED_BACK_TAG, now)
    client.set_model_version_tag(registered, current.version, "genreflow.rolled_back_to", before)
    client.set_model_version_tag(registered, before, "genreflow.returned_at", now)
    client.set_registered_model_alias(registered, CHAMPION, before)
    return f"champion: version {before} ({model_of(client, earlier)}) again, instead of {rolled_back}"


def champion_version(client: mlflow.MlflowClient, registered: str = REGISTERED_NAME) -> ModelVersion | None:
    """Return the version with the alias `champion`; None if there is none."""
    return get_if_exists(client.get_model_version_by_alias, registered, CHAMPION)


def model_of(client: mlflow.MlflowClient, version: ModelVersion) -> str:
    """Return the name of a version's model; earlier releases recorded it only in the run's tags."""
    try:
        return str(version.tags.get(MODEL_TAG) or client.get_run(str(version.run_id)).data.tags[MODEL_TAG])
    except (MlflowException, KeyError):
        return "unnamed"


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def write_card(run: Run, model: LoggedModel, leaderboard: Path, registered: str, version: int) -> str:
    """Return a version's card in Markdown: data, metrics with intervals, each label, limits, how to call it.

    `run` trained the model; its folder has `metrics.json` and `per_genre.csv`; `leaderboard.csv` has the intervals.
    """
    evaluated = json.loads((model.folder / "metrics.json").read_text(encoding="utf-8"))
    values = evaluated["rules"][evaluated["chosen_rule"]]
    labels = pl.read_csv(model.folder / "per_genre.csv", columns=["genre", "support", "precision", "recall", "f1"])
    ranked = pl.read_csv(leaderboard, schema_overrides={"model": pl.String}).filter(pl.col("model") == model.name)
    row = ranked.row(0, named=True) if ranked.height else {}
    figures = []
    for name in in_groups("leading", "main"):
        if f"test/{name}" in values:
            bounds = (row.get(f"test_{name}_low"), row.get(f"test_{name}_high"))
            interval = "" if None in bounds else "{:.3f} to {:.3f}".format(*bounds)
            figures.append((METRICS[name].title, f"{values[f'test/{name}']:.3f}", interval))
    tags, inputs = run.data.tags, run.inputs.dataset_inputs if run.inputs else []
    described = fill(
        *(CARD, "card"),
        model=escape_markdown(model.name),
        source=escape_markdown(tags.get("genreflow.source", "unknown")),
        data=model.data_hash,
        inputs=[(json.loads(each.dataset.profile or "{}").get("num_rows", 0), each.tags[0].value) for each in inputs],
        day=datetime.fromtimestamp(run.info.start_time / 1000, UTC).date(),
        code=tags.get("genreflow.git_revision", "unknown")[:12],
        evaluated=evaluated,
        figures=markdown_table(("metric", "value", "95% interval"), figures),
        few=[escape_markdown(str(label)) for label in labels.filter(pl.col("support") < FEW).get_column("genre")],
        registered=registered,
        version=version,
    )
    return f"{described}\n\n{_labels(labels, LONGEST - len(described) - 200)}"


def _labels(labels: pl.DataFrame, max_length: int) -> str:
    """Return the table of the labels, those with most test rows first, as many as fit."""
    header = ("label", "test rows", "precision", "recall", "F1")
    rows: list[tuple[str, ...]] = []
    for label, support, *metrics in labels.sort("support", "genre", descending=[True, False]).iter_rows():
        shown = [f"{value:.2f}" if value is not None else "–" for value in metrics]
        row = (escape_markdown(str(label)), str(support), *shown)
        if len(markdown_table(header, [*rows, row])) > max_length:
            more = f"\n{labels.height - len(rows)} more labels in the run's `per_genre.csv`."
            return markdown_table(header, rows) + more
        rows.append(row)
    return markdown_table(header, rows)


def fetch_classifier(model: str) -> Path:
    """Return the local folder of a classifier that this project logged to the configured store.

    `model` is "champion", `models:/<name>/<version>`, `models:/<name>@<alias>` or `models:/<id>`. Only data is fetched
    and later read (JSON, skops, safetensors, ONNX); the code inside the artefact is not run. Every file must be byte
    for byte what was logged, by hashes with a digest in a tag of the store.

    Raises:
        ConfigError: the address has another form, such as a path or a URL.
        ModelError: the store lacks the model, or it or its files are not what this project logged.
        TrackingError: the tracking server does not answer.
    """
    uri = f"models:/{REGISTERED_NAME}@{CHAMPION}" if model == CHAMPION else model
    client = open_client()
    try:
        model_id, digest, version = _find(client, uri)
        logged = client.get_logged_model(model_id)
        if is_local(logged.artifact_location):  # read in place: MLflow would write into the store
            folder = Path(url2pathname(urlsplit(logged.artifact_location).path))
        else:
            copy = tempfile.mkdtemp(prefix="genreflow-model-")
            atexit.register(shutil.rmtree, copy, ignore_errors=True)
            folder = Path(mlflow.artifacts.download_artifacts(f"models:/{model_id}", dst_path=copy))
    except (MlflowException, OSError) as error:
        if is_away(error):
            raise unreachable(settings().tracking_uri) from error
        store = public_address(settings().tracking_uri)
        hint = "train one with `python flows/full_pipeline.py`" if model == CHAMPION else "check the address"
        raise ModelError(f"no model at {uri} in {store} ({hide_secrets(str(error))}); {hint}") from error
    if digest:
        check_hashes(folder / DATA_FOLDER, digest)
    _check_origin(uri, folder)
    name = printable(str(logged.name))
    logger.info("model: %s, %s%s", name, uri, f" (version {version})" if version else "")
    if not digest:
        logger.warning("%s was logged by an earlier release, without hashes: its files cannot be checked", uri)
    return folder / DATA_FOLDER


def scoring_app(model: str, load: Callable[[str], Any]) -> Any:
    """Return MLflow's scoring server for a classifier, as a web application; `model` and errors: `fetch_classifier`.

    `load` makes a pyfunc model of the classifier's folder. The code that the artefact carries along, which has no
    hashes, does not come on the path, as it would by `mlflow.pyfunc.load_model`.
    """
    from mlflow.pyfunc import scoring_server  # noqa: PLC0415 - only where a model is served

    folder = fetch_classifier(model)
    return scoring_server.init(mlflow.pyfunc.PyFuncModel(Model.load(str(folder.parents[1])), load(str(folder))))


def _find(client: mlflow.MlflowClient, uri: str) -> tuple[str, str, str]:
    """Return a model's id, its hashes' digest ("" for earlier releases), and its registered version or ""."""
    address = _ADDRESS.fullmatch(uri)
    if address is None:
        raise ConfigError(
            f"--model {hide_secrets(uri)}: models are loaded from the MLflow store alone; give champion, "
            "models:/<name>/<version>, models:/<name>@<alias> or models:/<id of a logged model>"
        )
    name, version, alias = address["name"], address["version"], address["alias"]
    if version is None and alias is None:
        return name, client.get_logged_model(name).tags.get(HASHES_TAG, ""), ""
    registered = client.get_model_version(name, version) if version else client.get_model_version_by_alias(name, alias)
    source = _ADDRESS.fullmatch(str(registered.source))
    if source is None or source["version"] or source["alias"]:
        raise ModelError(f"{uri} was not logged by this project (its source is not a logged model of the store)")
    recorded = client.get_logged_model(source["name"]).tags.get(HASHES_TAG, "")
    return source["name"], registered.tags.get(HASHES_TAG) or recorded, str(registered.version)


class _PlainLoader(yaml.SafeLoader):
    """Loads YAML without aliases, of which some hundred bytes can fill the memory."""

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        if self.check_event(yaml.AliasEvent):
            raise yaml.YAMLError("it has an alias")
        return super().compose_node(parent, index)


def _check_origin(uri: str, folder: Path) -> None:
    """Refuse a model of another project."""
    try:
        with (folder / "MLmodel").open(encoding="utf-8") as file:
            described = _PlainLoader(file.read(LONGEST_MLMODEL)).get_single_data()
        flavour = described["flavors"]["python_function"]
        loader, data = flavour["loader_module"], flavour["data"]
    except (OSError, KeyError, TypeError, ValueError, yaml.YAMLError) as error:
        raise ModelError(f"{uri} is not a model of this project ({printable(repr(error))})") from error
    if (loader, data) != (LOADER_MODULE, DATA_FOLDER):
        raise ModelError(f"{uri} was not logged by this project (its loader is {printable(str(loader))})")


class DemoModel(NamedTuple):
    """A model for the demo: its label, and its MLflow address, which stays the same when the champion changes."""

    label: str
    uri: str


def demo_models(paths: DataPaths) -> list[DemoModel]:
    """Return the champion, the other versions, newest first, and the last run's other models; ModelError if none."""
    client = open_client()
    versions = {int(each.version): each for each in client.search_model_versions(f"name = '{REGISTERED_NAME}'")}
    champion = champion_version(client)
    number = int(champion.version) if champion else 0
    found = []
    for each in sorted(versions, key=lambda each: (each == number, each), reverse=True):
        label = f"{'champion: ' if each == number else ''}{model_of(client, versions[each])} (version {each})"
        found.append(DemoModel(label, f"models:/{REGISTERED_NAME}/{each}"))
    with contextlib.suppress(DataError):  # nothing was trained here
        registered = {version.source for version in versions.values()}
        last = (model for model in load_last_run(paths)[1] if model.model_uri not in registered)
        found += [DemoModel(f"{model.name} (last run)", model.model_uri) for model in last]
    if not found:
        raise ModelError("there is no model to try; train some with `python flows/full_pipeline.py`")
    return found
