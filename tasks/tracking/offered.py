"""Which models of the store can be tried. Owns the choice and how it is named for people; loads no model."""

from dataclasses import dataclass

from tasks.errors import DataError, ModelError
from tasks.paths import DataPaths
from tasks.promotion import REGISTERED_NAME
from tasks.tracking.champion import champion_version, model_of
from tasks.tracking.last_run import LoggedModel, load_last_run
from tasks.tracking.store import open_client


@dataclass(frozen=True)
class OfferedModel:
    """A model to choose: its name for people, and its MLflow address, which stays the same when the champion moves."""

    label: str
    uri: str


def offered_models(paths: DataPaths) -> list[OfferedModel]:
    """Return the champion, the other registered versions from the newest on, and the last run's further models.

    Args:
        paths: the data folder, whose last run counts; it may have none.

    Raises:
        ModelError: there is none of these.
    """
    client = open_client()
    champion = champion_version(client)
    number = int(champion.version) if champion else None
    versions = sorted(
        client.search_model_versions(f"name = '{REGISTERED_NAME}'"),
        key=lambda version: (int(version.version) == number, int(version.version)),
        reverse=True,
    )
    offered = []
    for version in versions:
        title = "champion: " if int(version.version) == number else ""
        label = f"{title}{model_of(client, version)} (version {version.version})"
        offered.append(OfferedModel(label, f"models:/{REGISTERED_NAME}/{version.version}"))
    registered = {version.source for version in versions}
    offered += [
        OfferedModel(f"{model.name} (last run)", model.model_uri)
        for model in _models_of_last_run(paths)
        if model.model_uri not in registered
    ]
    if not offered:
        raise ModelError("there is no model to try; train some with `python flows/full_pipeline.py`")
    return offered


def _models_of_last_run(paths: DataPaths) -> list[LoggedModel]:
    try:
        return load_last_run(paths)[1]
    except DataError:
        return []  # nothing was trained here, and the registry may still have models
