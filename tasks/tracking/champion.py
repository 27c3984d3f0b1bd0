"""The champion among the registered models. Owns its names and how a model becomes it; judges none."""

from typing import Final

import mlflow
from mlflow.exceptions import MlflowException

from tasks.tracking.store import Experiment

REGISTERED_NAME: Final = "movie-genre-classifier"
CHAMPION: Final = "champion"


def promote(experiment: Experiment, run_id: str, model_uri: str) -> int:
    """Give the alias `champion` of the registered model to a logged model; return its version.

    A model that is the champion already keeps its version.
    """
    client = experiment.client()
    try:
        current = client.get_model_version_by_alias(REGISTERED_NAME, CHAMPION)
    except MlflowException:
        current = None  # no registered model yet, or no champion
    if current is not None and current.source == model_uri:
        return int(current.version)
    _ensure_registered_name(client)
    registered = client.create_model_version(
        REGISTERED_NAME,
        model_uri,
        run_id,
        tags={"genreflow.run_id": run_id},
        model_id=model_uri.removeprefix("models:/"),
    )
    client.set_registered_model_alias(REGISTERED_NAME, CHAMPION, registered.version)
    return int(registered.version)


def what_it_replaces(experiment: Experiment, model_uri: str) -> str:
    """Return in words which champion a model would replace and whether it learnt from the same data; "" if none."""
    client = experiment.client()
    try:
        current = client.get_model_version_by_alias(REGISTERED_NAME, CHAMPION)
        if current.source == model_uri:
            return ""
        before = client.get_run(str(current.run_id)).data.tags
        logged = client.get_logged_model(model_uri.removeprefix("models:/"))
        now = client.get_run(str(logged.source_run_id)).data.tags
    except MlflowException:
        return ""  # no champion yet, or its run was deleted
    is_same = before.get("genreflow.data_hash") == now.get("genreflow.data_hash")
    data = "the same data" if is_same else "other data, so the two were not compared"
    return f"; it replaces version {current.version} ({before.get('genreflow.model', 'unnamed')}, from {data})"


def _ensure_registered_name(client: mlflow.MlflowClient) -> None:
    try:
        client.get_registered_model(REGISTERED_NAME)
    except MlflowException:
        client.create_registered_model(REGISTERED_NAME, description="Genres of a movie from its description.")
