"""Loading of logged models from MLflow, restricted to those that this project logged."""

import atexit
import logging
import re
import shutil
import tempfile
from pathlib import Path
from typing import Final, NamedTuple
from urllib.parse import urlsplit
from urllib.request import url2pathname

import mlflow
import yaml
from mlflow.entities import LoggedModel
from mlflow.exceptions import MlflowException

from tasks.core.errors import ConfigError, ModelError, TrackingError
from tasks.core.files import check_hashes
from tasks.core.logs import hide_secrets
from tasks.core.metrics import REGISTERED_NAME
from tasks.core.settings import settings
from tasks.tracking.champion import CHAMPION, HASHES_TAG
from tasks.tracking.store import is_away, open_client, public_address

logger = logging.getLogger(__name__)

LOADER_MODULE: Final = "tasks.models.served"
DATA_FOLDER: Final = "data/classifier"  # of a logged model: the files that `hashes.json` lists
_ADDRESS: Final = re.compile(r"models:/(?P<name>\w[^/@:%?#\\]*)(?:/(?P<version>\d+)|@(?P<alias>\w[\w.-]*))?")


class _StoredModel(NamedTuple):
    model_id: str
    digest: str  # of its hashes, as recorded; "" for models of earlier releases
    version: str = ""  # in the registry


def fetch_classifier(model: str) -> Path:
    """Return the local folder of a classifier that this project logged to the configured store.

    `model` is "champion", `models:/<name>/<version>`, `models:/<name>@<alias>` or `models:/<id>`. Only data is fetched
    and later read (JSON, skops, safetensors, ONNX); the code inside the artefact is not run. Every file must be byte
    for byte what was logged, by hashes with a digest in a tag of the store.

    Raises:
        ConfigError: the address has another form, such as a path or a URL.
        ModelError: the store does not have the model, it is not one of this project, or its files are not those
            that were logged.
        TrackingError: the tracking server does not respond.
    """
    uri = f"models:/{REGISTERED_NAME}@{CHAMPION}" if model == CHAMPION else model
    client = open_client()
    try:
        found = _find(client, uri)
        folder = _fetch(client, found.model_id)
    except (MlflowException, OSError) as error:
        store = public_address(settings().tracking_uri)
        if is_away(error):
            raise TrackingError(
                f"MLflow at {store} does not answer; start it, or correct MLFLOW_TRACKING_URI"
            ) from error
        hint = "train one with `python flows/full_pipeline.py`" if model == CHAMPION else "check the address"
        raise ModelError(f"no model at {uri} in {store} ({hide_secrets(str(error))}); {hint}") from error
    name = _check_origin(uri, folder)
    logger.info("model: %s, %s%s", name, uri, f" (version {found.version})" if found.version else "")
    if found.digest:
        check_hashes(folder / DATA_FOLDER, found.digest)
    else:
        logger.warning("%s was logged by an earlier release, without hashes: its files cannot be checked", uri)
    return folder / DATA_FOLDER


def is_as_logged(model: LoggedModel) -> bool:
    """Return whether a logged model can be reused instead of logging the same one again.

    Files in a remote store are not checked: fetching takes as long as logging, and they are checked when loaded.
    """
    digest = model.tags.get(HASHES_TAG)
    if digest and _is_local(model.artifact_location):
        try:
            check_hashes(Path(url2pathname(urlsplit(model.artifact_location).path)) / DATA_FOLDER, digest)
        except ModelError as error:
            logger.warning("%s; it is logged again", error)
            return False
    return bool(digest)


def _find(client: mlflow.MlflowClient, uri: str) -> _StoredModel:
    address = _ADDRESS.fullmatch(uri)
    if address is None:
        raise ConfigError(
            f"--model {hide_secrets(uri)}: models are loaded from the MLflow store alone; give champion, "
            "models:/<name>/<version>, models:/<name>@<alias> or models:/<id of a logged model>"
        )
    name, version, alias = address["name"], address["version"], address["alias"]
    if version is None and alias is None:
        return _StoredModel(name, client.get_logged_model(name).tags.get(HASHES_TAG, ""))
    registered = client.get_model_version(name, version) if version else client.get_model_version_by_alias(name, alias)
    source = _ADDRESS.fullmatch(str(registered.source))
    if source is None or source["version"] or source["alias"]:
        raise ModelError(f"{uri} was not logged by this project (its source is not a logged model of the store)")
    recorded = client.get_logged_model(source["name"]).tags.get(HASHES_TAG, "")
    return _StoredModel(source["name"], registered.tags.get(HASHES_TAG) or recorded, str(registered.version))


def _fetch(client: mlflow.MlflowClient, model_id: str) -> Path:
    """Return the folder of a model's files, or of a copy that is removed when the process ends."""
    copy = None
    if not _is_local(client.get_logged_model(model_id).artifact_location):
        copy = tempfile.mkdtemp(prefix="genreflow-model-")
        atexit.register(shutil.rmtree, copy, ignore_errors=True)
    return Path(mlflow.artifacts.download_artifacts(f"models:/{model_id}", dst_path=copy))


def _is_local(location: str) -> bool:
    return urlsplit(location).scheme in {"", "file"}


def _check_origin(uri: str, folder: Path) -> str:
    """Return the name of a model of this project; refuse any other."""
    try:
        described = yaml.safe_load((folder / "MLmodel").read_text(encoding="utf-8"))
        flavour = described["flavors"]["python_function"]
        loader, data = flavour["loader_module"], flavour["data"]
    except (OSError, KeyError, TypeError, ValueError, yaml.YAMLError) as error:
        raise ModelError(f"{uri} is not a model of this project ({error!r})") from error
    if (loader, data) != (LOADER_MODULE, DATA_FOLDER):
        raise ModelError(f"{uri} was not logged by this project (its loader is {loader})")
    return str((described.get("metadata") or {}).get("model", "unnamed"))
