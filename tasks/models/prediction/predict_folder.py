"""Prediction of a folder, of which only what is new is predicted. Owns the record of what was; knows no MLflow."""

import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePath
from typing import Any, Final

from tasks.errors import DataError
from tasks.hashes import hash_files
from tasks.models.prediction.predict_file import Choices, Predictor
from tasks.models.prediction.read import FORMS
from tasks.stage import write_atomically
from tasks.storage.places import Found, Place

logger = logging.getLogger(__name__)

RECORD: Final = "predictions.json"


@dataclass
class FolderResult:
    """What became of the files of a folder."""

    rows: dict[str, int] = field(default_factory=dict)  # of those that were predicted
    unchanged: list[str] = field(default_factory=list)
    mistakes: dict[str, str] = field(default_factory=dict)  # what is wrong with those that could not be


def predict_folder(model_folder: Path, source: Place, target: Place, choices: Choices) -> FolderResult:
    """Predict each CSV and parquet file of a folder, into a file of the same name, unless that is up to date.

    It is up to date if the file, the model and the choices are those that it was made of and nobody changed it since,
    by `predictions.json` beside it, which is written after each file. A file that cannot be read does not stop the
    others. Predictions of files that are gone are left alone.

    Args:
        model_folder: of a stored `GenreClassifier`.
        source: where the files are; each as `predict_file` reads them.
        target: where their predictions go; another place.
        choices: how to classify.

    Raises:
        DataError: there is no file to predict, or source and target are one.
        ModelError, ConfigError, WorkerError: as `predict_file`.
    """
    if source == target:
        raise DataError(f"{source.address} is both what to read and where to write; give another folder to write to")
    files = source.files()
    wanted = {name: found for name, found in files.items() if PurePath(name).suffix.lower() in FORMS}
    if not wanted:
        raise DataError(f"{source.address} holds no {' or '.join(f'*{form}' for form in FORMS)}; put files there")
    if len(files) > len(wanted):
        logger.info("predict: %d files of %s are neither CSV nor parquet", len(files) - len(wanted), source.address)
    predictor, result = Predictor(model_folder, choices), FolderResult()
    made_by = {"model": _fingerprint(model_folder), "rule": choices.rule or "", "precision": choices.precision}
    with target.alone():
        present = target.files()
        record = _read_record(target) if RECORD in present else {}
        for name, found in wanted.items():
            of_file = {"input": found.version, **made_by}
            if _is_up_to_date(record.get(name), of_file, present.get(name)):
                result.unchanged.append(name)
                logger.info("predict: %s is up to date", name)
                continue
            try:
                with source.reading(name) as read, target.writing(name) as written:
                    result.rows[name] = predictor.predict_file(read, written)
            except DataError as error:
                result.mistakes[name] = str(error)
                logger.warning("predict: %s was left out: %s", name, error)
                continue
            record[name] = {**of_file, "output": target.find(name).version, "rows": result.rows[name]}
            _write_record(target, record)
    return result


def _fingerprint(model_folder: Path) -> str:
    return hash_files([path for path in model_folder.rglob("*") if path.is_file()])


def _is_up_to_date(recorded: Any, of_file: Mapping[str, str], output: Found | None) -> bool:
    """Return whether an entry of the record is of the same file, model and choices, and of the output as it is."""
    if output is None or not isinstance(recorded, dict):
        return False
    return all(recorded.get(key) == value for key, value in {**of_file, "output": output.version}.items())


def _read_record(target: Place) -> dict[str, Any]:
    try:
        with target.reading(RECORD) as path:
            return dict(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError) as error:
        logger.warning("predict: %s/%s cannot be read (%s); all is predicted again", target.address, RECORD, error)
        return {}


def _write_record(target: Place, record: Mapping[str, Any]) -> None:
    with target.writing(RECORD) as path:
        write_atomically(path, json.dumps(record, ensure_ascii=False, indent=1, sort_keys=True) + "\n")
