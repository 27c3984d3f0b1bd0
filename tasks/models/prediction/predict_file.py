"""Prediction of a whole file. Owns the order of its pieces and how processes share them; knows no MLflow."""

import itertools
import logging
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

import polars as pl

from tasks.errors import DataError
from tasks.models.classifier import GenreClassifier
from tasks.models.precision import Precision
from tasks.models.prediction.read import REQUIRED, read_pieces
from tasks.models.prediction.write import Form, open_table
from tasks.processes import stream_in_order
from tasks.progress import Progress
from tasks.stage import unfinished_file

logger = logging.getLogger(__name__)

FEW_PIECES: Final = 4  # are predicted here before other processes have started


@dataclass(frozen=True)
class Choices:
    """How descriptions are classified."""

    rule: str | None = None  # as `tasks.decision.parse.parse_rule` reads it; None is the stored choice
    precision: Precision = "float32"  # of fine-tuned encoders; int8 is several times as fast, and differs a little
    workers: int = 1  # processes that share the work on long files


def predict_file(model_folder: Path, source: Path, target: Path, choices: Choices = Choices()) -> int:
    """Write `movie_id`, `genres` (joined by ", ") and one `score_<Genre>` a genre for every row of a file, in its order.

    Any number of rows is predicted in bounded memory, and written in the same bytes for any number of workers.

    Args:
        model_folder: of a stored `GenreClassifier`.
        source: CSV or parquet file, see `read_pieces`: `movie_id`, `description`, optionally `movie_name` and fields.
        target: appears whole or not at all. A name in `.parquet` makes a parquet file of it, any other a CSV with six
            decimals.
        choices: how to classify.

    Returns:
        The number of rows.

    Raises:
        DataError: the input is missing, damaged or lacks a column, or the target is the source or cannot be written.
        ModelError: the model's folder is damaged.
        ConfigError: the model has no such rule.
        WorkerError: a worker process died.
    """
    if target.exists() and source.exists() and target.samefile(source):
        raise DataError(f"{source} is both what to read and what to write; give another file to write")
    classifier = load_classifier(model_folder, choices)
    empty = predict_piece(classifier, choices.rule, pl.DataFrame(schema=dict.fromkeys(REQUIRED, pl.String)))
    progress = Progress(f"predict {source.name}", None)
    try:
        with unfinished_file(target) as path:
            form, table = open_table(path, target, empty)
            with closing(table), closing(_predicted(classifier, model_folder, source, choices, form)) as predicted:
                for height, formed in predicted:
                    table.append(formed)
                    progress.advance(height)
    except OSError as error:
        raise DataError(
            f"{error.filename or target} cannot be written: {error.strerror or error}; make room or mend the permissions"
        ) from error
    progress.finish()
    return progress.done


def load_classifier(model_folder: Path, choices: Choices) -> GenreClassifier:
    """Read a stored classifier and set its precision; errors as those of `GenreClassifier.load`."""
    classifier = GenreClassifier.load(model_folder)
    classifier.model.precision = choices.precision
    return classifier


def predict_piece(classifier: GenreClassifier, rule: str | None, movies: pl.DataFrame) -> pl.DataFrame:
    """Return `movie_id` and what `GenreClassifier.predict` says of some movies."""
    return classifier.predict(movies, rule).insert_column(0, movies.get_column("movie_id"))


def _predicted(
    classifier: GenreClassifier, model_folder: Path, source: Path, choices: Choices, form: Form
) -> Iterator[tuple[int, Any]]:
    """Yield for each piece of a file how many rows it has, and what was predicted of them, put in form."""
    pieces = read_pieces(source)
    first = list(itertools.islice(pieces, FEW_PIECES))
    if choices.workers == 1 or len(first) < FEW_PIECES:
        yield from map(partial(_predict, classifier, choices.rule, form), itertools.chain(first, pieces))
        return
    logger.info("predict: %d processes share the work", choices.workers)
    prepare = partial(_load_and_predict, model_folder, choices, form)
    with closing(stream_in_order(prepare, itertools.chain(first, pieces), choices.workers)) as results:
        yield from results


def _load_and_predict(
    model_folder: Path, choices: Choices, form: Form
) -> Callable[[pl.DataFrame], tuple[int, Any]]:
    return partial(_predict, load_classifier(model_folder, choices), choices.rule, form)


def _predict(classifier: GenreClassifier, rule: str | None, form: Form, movies: pl.DataFrame) -> tuple[int, Any]:
    return movies.height, form(predict_piece(classifier, rule, movies))
