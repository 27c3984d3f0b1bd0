"""What training and evaluation left of a model, fetched from its MLflow run. Owns which files these are."""

import re
import shutil
from pathlib import Path
from typing import Final

import mlflow
from mlflow.exceptions import MlflowException

from tasks.errors import DataError
from tasks.paths import DataPaths
from tasks.stage import TEMPORARY_PREFIX

NEEDED: Final = ("metrics.json", "fit.json", "rules.json", "predictions_test.parquet")
SUFFIXES: Final = (".json", ".csv", ".parquet")
SIDECAR_SUFFIX: Final = ".stage.json"  # vouches for files that are not fetched
TRAINING_SIDECAR: Final = "train.stage.json"  # but this one says what kind of model it is


class MissingResultsError(DataError):
    """A model's run has no predictions, or not all that goes with them."""


def fetch_results(client: mlflow.MlflowClient, run_id: str, name: str, paths: DataPaths) -> Path:
    """Fetch the tables of a model's run into the data folder, once; return their folder, named as the model is.

    Raises:
        MissingResultsError: the run has no predictions, or not all that goes with them.
        DataError: they cannot be fetched.
    """
    folder = paths.compared / run_id / _file_name(name)
    if folder.is_dir():
        return folder
    unfinished = folder.with_name(f"{TEMPORARY_PREFIX}{folder.name}")
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir(parents=True)
    try:
        address = client.get_run(run_id).info.artifact_uri  # asking for files by run would ask for it each time
        for file in client.list_artifacts(run_id):
            if not file.is_dir and _is_wanted(file.path):
                mlflow.artifacts.download_artifacts(f"{address}/{file.path}", dst_path=str(unfinished))
        missing = [name for name in NEEDED if not (unfinished / name).is_file()]
        if missing:
            raise MissingResultsError(f"its MLflow run {run_id} has no {', '.join(missing)}")
        unfinished.replace(folder)
    except (MlflowException, OSError) as error:
        raise DataError(f"the files of its MLflow run {run_id} cannot be fetched ({error})") from error
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
    return folder


def _is_wanted(path: str) -> bool:
    return path.endswith(SUFFIXES) and (path == TRAINING_SIDECAR or not path.endswith(SIDECAR_SUFFIX))


def _file_name(text: str) -> str:
    """Return a text as a file name that stays in its folder, whoever wrote it into the store."""
    return re.sub(r"[^\w.+@-]", "_", text).lstrip(".") or "model"
