"""The champion among the registered models: its alias and tags, promotion, rollback, and the models for the demo.

Every promotion is a new version with tags that record what it replaced and why, so rollbacks can follow the versions.
"""

from datetime import UTC, datetime
from typing import Final, NamedTuple

import mlflow
from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException

from tasks.core.errors import DataError, ModelError
from tasks.core.metrics import REGISTERED_NAME, Champion, Verdict
from tasks.core.settings import DataPaths
from tasks.tracking.select_runs import LoggedModel, MissingResultsError, fetch_results, load_last_run
from tasks.tracking.store import is_missing, open_client

CHAMPION: Final = "champion"
MODEL_TAG: Final = "genreflow.model"
DATA_TAG: Final = "genreflow.data_hash"
HASHES_TAG: Final = "genreflow.hashes_sha256"  # of a logged model's `hashes.json`, stored apart from its files
EARLIER_PARAMS: Final = frozenset({"model.classifier.kind", "model.members"})  # of models that were not pipelines
PROMOTED_TAG: Final = "genreflow.promoted_at"
REASON_TAG: Final = "genreflow.promotion_reason"
GAIN_TAG: Final = "genreflow.promotion_gain"  # metric, difference and interval
REPLACED_TAG: Final = "genreflow.replaced_version"
REPLACED_MODEL_TAG: Final = "genreflow.replaced_model"
ROLLED_BACK_TAG: Final = "genreflow.rolled_back_at"
ROLLED_BACK_TO_TAG: Final = "genreflow.rolled_back_to"
RETURNED_TAG: Final = "genreflow.returned_at"  # of the version that a rollback restored


def find_champion(
    client: mlflow.MlflowClient, challenger: LoggedModel, paths: DataPaths, registered: str = REGISTERED_NAME
) -> Champion | None:
    """Return the champion of a registered model, with its results fetched to the data folder; None if there is none.

    Raises:
        DataError: the champion's results exist but cannot be fetched.
        MlflowException: the store is away or busy, which does not mean that there is no champion.
    """
    current = champion_version(client, registered)
    if current is None:
        return None
    run_id = str(current.run_id)
    try:
        run = client.get_run(run_id)
        tags, params, is_deleted = run.data.tags, run.data.params, run.info.lifecycle_stage != "active"
    except MlflowException as error:
        if not is_missing(error):
            raise
        tags, params, is_deleted = {}, {}, True  # purged
    model = tags.get(MODEL_TAG) or current.tags.get(MODEL_TAG) or f"version {current.version}"
    try:
        folder = None if is_deleted else fetch_results(client, run_id, model, paths)
    except MissingResultsError:
        folder = None  # the verdict reports it
    return Champion(
        version=int(current.version),
        model=model,
        run_id=run_id,
        source=tags.get("genreflow.source", ""),
        data_hash=tags.get(DATA_TAG, ""),
        folder=folder,
        is_challenger=current.source == challenger.model_uri,
        is_readable=EARLIER_PARAMS.isdisjoint(params),
        challenger_was_rolled_back=_when_rolled_back(client, challenger.model_uri, registered),
    )


def promote(
    client: mlflow.MlflowClient,
    challenger: LoggedModel,
    champion: Champion | None,
    verdict: Verdict,
    registered: str = REGISTERED_NAME,
) -> int:
    """Register a logged model as a new version, give it the alias `champion`, and return the version."""
    try:
        client.get_registered_model(registered)
    except MlflowException:
        what = "Genres of a movie from its description." if registered == REGISTERED_NAME else "Labels of a text."
        client.create_registered_model(registered, description=what)
    model_id = challenger.model_uri.removeprefix("models:/")
    tags = {
        "genreflow.run_id": challenger.run_id,
        MODEL_TAG: challenger.name,
        DATA_TAG: challenger.data_hash,
        HASHES_TAG: client.get_logged_model(model_id).tags.get(HASHES_TAG, ""),
        PROMOTED_TAG: _now(),
        REASON_TAG: verdict.reason,
        GAIN_TAG: verdict.difference,
    }
    if champion is not None:
        tags |= {REPLACED_TAG: str(champion.version), REPLACED_MODEL_TAG: champion.model}
    given = {key: value for key, value in tags.items() if value}
    new = client.create_model_version(
        registered, challenger.model_uri, challenger.run_id, tags=given, model_id=model_id
    )
    client.set_registered_model_alias(registered, CHAMPION, new.version)
    return int(new.version)


def roll_back(registered: str = REGISTERED_NAME) -> str:
    """Return the alias `champion` to the version that the current one replaced; report what was done.

    Both versions are tagged, and the one that was rolled back is not promoted again while it has its tag.

    Raises:
        ModelError: there is no champion, it replaced none, or what it replaced was deleted. Nothing is changed.
    """
    client = open_client()
    current = champion_version(client, registered)
    if current is None:
        raise ModelError(f"{registered} has no champion to roll back from; train one with flows/full_pipeline.py")
    before = current.tags.get(REPLACED_TAG)
    if before is None:
        raise ModelError(
            f"version {current.version} ({model_of(client, current)}) does not record a version before it, so there is "
            "nothing to restore"
        )
    try:
        earlier = client.get_model_version(registered, before)
        client.get_logged_model(str(earlier.source).removeprefix("models:/"))
    except MlflowException as error:
        if not is_missing(error):
            raise
        raise ModelError(
            f"version {before}, which version {current.version} replaced, or its model was deleted, so it cannot be "
            f"restored; give another version of {registered} the alias {CHAMPION} in MLflow's UI, or train again"
        ) from error
    now = _now()
    client.set_model_version_tag(registered, current.version, ROLLED_BACK_TAG, now)
    client.set_model_version_tag(registered, current.version, ROLLED_BACK_TO_TAG, before)
    client.set_model_version_tag(registered, before, RETURNED_TAG, now)
    client.set_registered_model_alias(registered, CHAMPION, before)
    return (
        f"champion: version {before} ({model_of(client, earlier)}) again, instead of version {current.version} "
        f"({model_of(client, current)})"
    )


def champion_version(client: mlflow.MlflowClient, registered: str = REGISTERED_NAME) -> ModelVersion | None:
    """Return the version with the alias `champion`; None if there is none.

    Raises:
        MlflowException: the store is away or busy.
    """
    try:
        return client.get_model_version_by_alias(registered, CHAMPION)
    except MlflowException as error:
        if not is_missing(error):
            raise
        return None  # no registered model yet, or no champion


def _when_rolled_back(client: mlflow.MlflowClient, model_uri: str, registered: str) -> str:
    """Return when a model was rolled back as champion, and as which version; "" if it was not."""
    for version in client.search_model_versions(f"name = '{registered}'"):
        if version.source == model_uri and (at := version.tags.get(ROLLED_BACK_TAG)):
            return f"{at} (version {version.version})"
    return ""


def model_of(client: mlflow.MlflowClient, version: ModelVersion) -> str:
    """Return the name of a version's model; earlier releases recorded it only in the run's tags."""
    try:
        return str(version.tags.get(MODEL_TAG) or client.get_run(str(version.run_id)).data.tags[MODEL_TAG])
    except (MlflowException, KeyError):
        return "unnamed"


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


class DemoModel(NamedTuple):
    """A model for the demo: its label, and its MLflow address, which stays the same when the champion changes."""

    label: str
    uri: str


def demo_models(paths: DataPaths) -> list[DemoModel]:
    """Return the champion, the other registered versions, newest first, and the other models of the last run, if any.

    Raises:
        ModelError: there are none.
    """
    client = open_client()
    champion = champion_version(client)
    number = int(champion.version) if champion else None
    versions = sorted(
        client.search_model_versions(f"name = '{REGISTERED_NAME}'"),
        key=lambda version: (int(version.version) == number, int(version.version)),
        reverse=True,
    )
    found = []
    for version in versions:
        title = "champion: " if int(version.version) == number else ""
        label = f"{title}{model_of(client, version)} (version {version.version})"
        found.append(DemoModel(label, f"models:/{REGISTERED_NAME}/{version.version}"))
    registered = {version.source for version in versions}
    try:
        last = load_last_run(paths)[1]
    except DataError:
        last = []  # nothing was trained here
    found += [DemoModel(f"{each.name} (last run)", each.model_uri) for each in last if each.model_uri not in registered]
    if not found:
        raise ModelError("there is no model to try; train some with `python flows/full_pipeline.py`")
    return found
