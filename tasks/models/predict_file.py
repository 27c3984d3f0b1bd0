"""Prediction of a whole file. Owns the form of what goes in and comes out; knows no MLflow."""

import csv
import logging
from pathlib import Path
from typing import Final

import polars as pl

from tasks.errors import DataError
from tasks.models.classifier import ROWS_AT_ONCE, GenreClassifier
from tasks.models.precision import Precision
from tasks.progress import Progress
from tasks.stage import TEMPORARY_PREFIX

logger = logging.getLogger(__name__)

REQUIRED: Final = ("movie_id", "description")


def predict_file(
    model_folder: Path, source: Path, target: Path, rule: str | None, precision: Precision = "float32"
) -> int:
    """Write `movie_id`, `genres` (joined by ", ") and one `score_<Genre>` a genre for every row of a CSV, in its order.

    Args:
        model_folder: of a stored `GenreClassifier`.
        source: CSV in UTF-8 with a header: `movie_id`, `description`, and optionally `movie_name` and further fields.
        target: appears whole or not at all.
        rule: decision rule as `tasks.decision.parse.parse_rule` reads it; None is the stored choice.
        precision: of fine-tuned encoders; int8 is several times as fast, and its scores differ a little.

    Returns:
        The number of rows.

    Raises:
        DataError: the input is missing, damaged or lacks a column.
        ModelError: the model's folder is damaged.
        ConfigError: the model has no such rule.
    """
    movies = read_table(source)
    classifier = GenreClassifier.load(model_folder)
    classifier.model.precision = precision
    progress = Progress("predict", movies.height)
    target.parent.mkdir(parents=True, exist_ok=True)
    unfinished = target.with_name(f"{TEMPORARY_PREFIX}{target.name}")
    try:
        with unfinished.open("wb") as file:
            for start in range(0, max(movies.height, 1), ROWS_AT_ONCE):
                piece = movies.slice(start, ROWS_AT_ONCE)
                predicted = classifier.predict(piece, rule)
                predicted.insert_column(0, piece.get_column("movie_id")).write_csv(
                    file, include_header=start == 0, float_precision=6
                )
                progress.advance(piece.height)
        unfinished.replace(target)
    finally:
        unfinished.unlink(missing_ok=True)
    progress.finish()
    return movies.height


def read_table(source: Path) -> pl.DataFrame:
    """Return the rows of a CSV to classify, all columns as texts; blank lines do not count.

    Raises:
        DataError: it is missing, damaged or lacks a column.
    """
    if not source.is_file():
        raise DataError(f"{source} does not exist; give a CSV file with the columns {', '.join(REQUIRED)}")
    try:
        with source.open(encoding="utf-8-sig", newline="") as file:
            rows = csv.reader(file, strict=True)
            header = next(rows, [])
            if missing := [name for name in REQUIRED if name not in header]:
                raise DataError(f"{source} has no column {', '.join(missing)}; its header is: {', '.join(header)}")
            columns: list[list[str]] = [[] for _ in header]
            for row in rows:
                if not row:
                    continue  # a blank line
                if len(row) != len(header):
                    raise DataError(f"{source}, line {rows.line_num}: {len(row)} fields, expected {len(header)}")
                for column, value in zip(columns, row, strict=True):
                    column.append(value)
    except (UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{source} is not a CSV in UTF-8 ({error}); save it as one") from error
    return pl.DataFrame(dict(zip(header, columns, strict=True)), schema=dict.fromkeys(header, pl.String))
