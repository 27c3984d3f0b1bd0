"""Prediction of whole files. Owns the order of their pieces and how processes share them; knows no MLflow."""

import itertools
import logging
from collections.abc import Callable, Generator, Iterator
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

import polars as pl

from tasks.cluster import stream_on_workers
from tasks.errors import DataError
from tasks.models.classifier import GenreClassifier
from tasks.models.precision import Precision
from tasks.models.prediction.read import REQUIRED, count_rows, read_pieces
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
    dask_address: str | None = None  # of a scheduler whose workers do so instead


class Predictor:
    """Predicts files by one stored classifier, loaded once for all of them."""

    def __init__(self, model_folder: Path, choices: Choices) -> None:
        """Load the classifier.

        Raises:
            ModelError: the model's folder is damaged.
            ConfigError: the model has no such rule.
        """
        self.model_folder, self.choices = model_folder, choices
        self.classifier = _load_classifier(model_folder, choices)
        nothing = pl.DataFrame(schema=dict.fromkeys(REQUIRED, pl.String))
        self.empty = _predict_piece(self.classifier, choices.rule, nothing)  # and so a wrong rule is told at once

    def predict_file(self, source: Path, target: Path) -> int:
        """Write `movie_id`, `genres` and one `score_<Genre>` a genre for every row of a file, in its order.

        `genres` are joined by ", ". Any number of rows is predicted in bounded memory, and written in the same bytes
        for any number of workers.

        Args:
            source: CSV or parquet file, see `read_pieces`: `movie_id`, `description`, optionally `movie_name` and
                fields.
            target: appears whole or not at all. A name in `.parquet` makes a parquet file of it, any other a CSV with
                six decimals.

        Returns:
            The number of rows.

        Raises:
            DataError: the input is missing, damaged or lacks a column, or the target is the source or cannot be
                written.
            WorkerError: a worker process died.
        """
        if target.exists() and source.exists() and target.samefile(source):
            raise DataError(f"{source} is both what to read and what to write; give another file to write")
        progress = Progress(f"predict {source.name}", count_rows(source))
        try:
            with unfinished_file(target) as path:
                form, table = open_table(path, target, self.empty)
                with closing(table), closing(self._predicted(source, form)) as predicted:
                    for height, formed in predicted:
                        table.append(formed)
                        progress.advance(height)
        except OSError as error:
            raise DataError(
                f"{error.filename or target} cannot be written: {error.strerror or error}; make room or mend the "
                "permissions"
            ) from error
        progress.finish()
        return progress.done

    def _predicted(self, source: Path, form: Form) -> Generator[tuple[int, Any], None, None]:
        """Yield for each piece of a file how many rows it has, and what was predicted of them, put in form."""
        pieces = _without_text_told(read_pieces(source, self.classifier.model.own_fields), source.name)
        first = list(itertools.islice(pieces, FEW_PIECES))
        all_pieces, workers = itertools.chain(first, pieces), self.choices.workers
        dask_address = self.choices.dask_address
        if (workers == 1 and dask_address is None) or len(first) < FEW_PIECES:
            yield from map(partial(_predict, self.classifier, self.choices.rule, form), all_pieces)
            return
        prepare = partial(_load_and_predict, self.model_folder, self.choices, form)
        if dask_address is None:
            logger.info("predict: %d processes share the work", workers)
            stream = stream_in_order(prepare, all_pieces, workers)
        else:
            logger.info("predict: the workers of %s share the work", dask_address)
            stream = stream_on_workers(dask_address, prepare, all_pieces)
        with closing(stream) as predicted:
            yield from predicted


def _without_text_told(pieces: Iterator[pl.DataFrame], name: str) -> Iterator[pl.DataFrame]:
    """Yield the pieces of a file; after the last, say how many rows have no description."""
    without, rows = 0, 0
    for piece in pieces:
        rows += piece.height
        without += piece.select(pl.col("description").fill_null("").str.strip_chars().eq("").sum()).item()
        yield piece
    if without:
        logger.warning("%s: %d of %d rows have no description; their genres are those of the rest", name, without, rows)


def predict_file(model_folder: Path, source: Path, target: Path, choices: Choices = Choices()) -> int:
    """Predict one file by a stored classifier; see `Predictor`."""
    return Predictor(model_folder, choices).predict_file(source, target)


def _load_classifier(model_folder: Path, choices: Choices) -> GenreClassifier:
    classifier = GenreClassifier.load(model_folder)
    classifier.model.precision = choices.precision
    return classifier


def _load_and_predict(model_folder: Path, choices: Choices, form: Form) -> Callable[[pl.DataFrame], tuple[int, Any]]:
    return partial(_predict, _load_classifier(model_folder, choices), choices.rule, form)


def _predict(classifier: GenreClassifier, rule: str | None, form: Form, movies: pl.DataFrame) -> tuple[int, Any]:
    return movies.height, form(_predict_piece(classifier, rule, movies))


def _predict_piece(classifier: GenreClassifier, rule: str | None, movies: pl.DataFrame) -> pl.DataFrame:
    return classifier.predict(movies, rule).insert_column(0, movies.get_column("movie_id"))
