"""Prediction of a folder, of which only what is new is predicted. Owns the record of what was; knows no MLflow."""

import csv
import io
import itertools
import json
import logging
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path, PurePath
from typing import Any, Final, Protocol

import polars as pl
from polars import selectors as cs

from tasks.core.errors import DataError
from tasks.core.files import hash_files
from tasks.core.logs import Progress
from tasks.core.markup import DECIMALS
from tasks.core.parallel import stream_in_order, stream_on_workers
from tasks.core.storage import Directory, FileInfo
from tasks.models.genre_classifier import GenreClassifier
from tasks.models.spec import Precision
from tasks.stage import unfinished_file, write_atomically

# Files to classify, piece by piece. Owns their forms and the checks of what is in them; knows no model.
#
# A piece is so small that any number of rows is read in bounded memory, and always the same for the same file.


REQUIRED: Final = ("movie_id", "description")
# Those of a listing, and those of the clean table.
READ_COLUMNS: Final = (
    *REQUIRED, "movie_name", "year", "certificate", "runtime", "runtime_min", "director", "directors", "star", "stars",
    "own_fields",
)  # fmt: skip
MAY_BE_LISTS: Final = ("director", "directors", "star", "stars", "own_fields")
LISTS: Final = cs.by_name(*MAY_BE_LISTS, require_all=False) & cs.list(cs.string())
FORMS: Final = (".csv", ".parquet")  # of files, by their names; a name that ends otherwise is of a CSV
PIECE_ROWS: Final = 2_000
PIECE_CHARACTERS: Final = 4_000_000  # of rows far longer than usual a piece has fewer


def read_pieces(source: Path, own_fields: tuple[str, ...] = ()) -> Iterator[pl.DataFrame]:
    """Yield the rows of a CSV or parquet file in pieces, with those of its columns that a model may read.

    A CSV is in UTF-8, with or without a BOM, has a header and may have line breaks in quotes; all its columns are
    texts, none of more than 131,072 characters, and blank lines do not count. Columns of a parquet file become texts as
    well, null an empty one in the required columns; several directors, stars or own fields may be lists of texts. Of a
    file without rows there is no piece.

    Args:
        source: a name in `.parquet` is of a parquet file, any other of a CSV.
        own_fields: names of columns to read besides `READ_COLUMNS`.

    Raises:
        DataError: the file is missing, damaged, or lacks a column; of a CSV the message names the line.
    """
    if not source.is_file():
        raise DataError(f"{source} does not exist; give a CSV or parquet file with the columns {', '.join(REQUIRED)}")
    pieces = _parquet_pieces if source.suffix.lower() == ".parquet" else _csv_pieces
    try:
        yield from pieces(source, tuple(dict.fromkeys((*READ_COLUMNS, *own_fields))))
    except OSError as error:
        said = error.strerror or error
        raise DataError(f"{source} cannot be read: {said}; check the file and its permissions") from error


def count_rows(source: Path) -> int | None:
    """Return about how many rows a file has, to show progress by; None of a file that `read_pieces` would refuse."""
    scan = pl.scan_parquet(source) if source.suffix.lower() == ".parquet" else pl.scan_csv(source, infer_schema=False)
    try:
        return int(scan.select(pl.len()).collect(engine="streaming").item())
    except (OSError, pl.exceptions.PolarsError):
        return None


def read_first_rows(source: Path, n_rows: int, own_fields: tuple[str, ...] = ()) -> pl.DataFrame:
    """Return the first rows of a file as `read_pieces` reads them; of a file without rows, the required columns.

    Raises:
        DataError: as `read_pieces`, as far as the file was read.
    """
    rows, n_read = [pl.DataFrame(schema=dict.fromkeys(REQUIRED, pl.String))], 0
    for piece in read_pieces(source, own_fields):
        rows.append(piece.head(n_rows - n_read))
        n_read += rows[-1].height
        if n_read == n_rows:
            break
    return pl.concat(rows, how="diagonal")


def _csv_pieces(source: Path, wanted: tuple[str, ...]) -> Iterator[pl.DataFrame]:
    with source.open(encoding="utf-8-sig", newline="") as file:
        rows = csv.reader(file, strict=True)
        try:
            header = next(rows, [])
            column_of = _find_columns(source, header, wanted)
            piece: list[list[str]] = []
            n_characters = 0
            for row in rows:
                if not row:
                    continue  # a blank line
                if len(row) != len(header):
                    raise DataError(f"{source}, line {rows.line_num}: {len(row)} fields, expected {len(header)}")
                piece.append(row)
                n_characters += sum(map(len, row))
                if len(piece) == PIECE_ROWS or n_characters >= PIECE_CHARACTERS:
                    yield _frame(piece, column_of)
                    piece, n_characters = [], 0
        except (UnicodeDecodeError, csv.Error) as error:
            raise DataError(
                f"{source}, line {rows.line_num} or soon after: not a CSV in UTF-8 ({error}); save it as one, or as a "
                "parquet file"
            ) from error
    if piece:
        yield _frame(piece, column_of)


def _frame(rows: list[list[str]], column_of: dict[str, int]) -> pl.DataFrame:
    columns = {name: [row[column] for row in rows] for name, column in column_of.items()}
    return pl.DataFrame(columns, schema=dict.fromkeys(columns, pl.String))


def _parquet_pieces(source: Path, wanted: tuple[str, ...]) -> Iterator[pl.DataFrame]:
    import pyarrow as pa  # noqa: PLC0415 - only this form needs it
    import pyarrow.parquet as pq  # noqa: PLC0415

    try:
        with pq.ParquetFile(source, buffer_size=1 << 20) as file:  # else a whole column of a row group is read at once
            names = list(_find_columns(source, file.schema_arrow.names, wanted))
            for batch in file.iter_batches(PIECE_ROWS, columns=names):
                rows = pl.DataFrame(pl.from_arrow(batch)).with_columns(_digits(cs.float()))
                rows = rows.with_columns((cs.all() - LISTS).cast(pl.String))
                yield rows.with_columns(pl.col(*REQUIRED).fill_null(""))
    except (pa.ArrowException, pl.exceptions.PolarsError) as error:
        said = str(error).partition("\n")[0]
        raise DataError(f"{source} is no readable parquet file ({said}); write it again") from error


def _digits(numbers: pl.Expr) -> pl.Expr:
    """Write whole numbers without decimals: a column of them with gaps often comes as one of floats."""
    known = numbers.fill_nan(None)
    whole = known.cast(pl.Int64, strict=False)
    return pl.when(whole == known).then(whole.cast(pl.String)).otherwise(known.cast(pl.String))


def _find_columns(source: Path, header: list[str], wanted: tuple[str, ...]) -> dict[str, int]:
    if missing := [name for name in REQUIRED if name not in header]:
        found = f"its header is: {', '.join(header)}" if any(header) else "it is empty"
        raise DataError(f"{source} has no column {', '.join(missing)}; {found}")
    if repeated := [name for name in wanted if header.count(name) > 1]:
        raise DataError(f"{source} has more than one column {', '.join(repeated)}; keep one of each")
    return {name: header.index(name) for name in wanted if name in header}


# Tables of predictions, piece by piece. Owns their forms; knows no model.
#
# Whatever a piece costs to be put in form is done where it was predicted, so that several processes share it.


ROW_GROUP_ROWS: Final = 50_000  # of a parquet file; they wait in memory until it has as many

Form = Callable[[pl.DataFrame], Any]


class TableWriter(Protocol):
    """A table on its way to a file, which is whole when it is closed."""

    def append(self, formed: Any) -> None:
        """Add a piece, put in form."""
        ...

    def close(self) -> None:
        """Write what is left."""
        ...


def open_table(path: Path, target: Path, empty: pl.DataFrame) -> tuple[Form, TableWriter]:
    """Return how pieces are put in form, and where they are then appended to: parquet where the target says so, or CSV.

    Args:
        path: of the file to write, under whatever name.
        target: what it will be called.
        empty: a table without rows, of the columns that all pieces have.
    """
    if target.suffix.lower() == ".parquet":
        return _as_it_is, _ParquetWriter(path, empty)
    return _csv_rows, _CsvWriter(path, empty)


def _csv_rows(piece: pl.DataFrame) -> bytes:
    rows = io.BytesIO()
    piece.write_csv(rows, include_header=False, float_precision=DECIMALS)
    return rows.getvalue()


def _as_it_is(piece: pl.DataFrame) -> pl.DataFrame:
    return piece


class _CsvWriter:
    def __init__(self, path: Path, empty: pl.DataFrame) -> None:
        self._file = path.open("wb")
        empty.write_csv(self._file)

    def append(self, formed: bytes) -> None:
        self._file.write(formed)

    def close(self) -> None:
        self._file.close()


class _ParquetWriter:
    def __init__(self, path: Path, empty: pl.DataFrame) -> None:
        import pyarrow.parquet as pq  # noqa: PLC0415 - only this form needs it

        self._schema = empty.to_arrow().schema
        self._writer = pq.ParquetWriter(path, self._schema)
        self._waiting: list[pl.DataFrame] = []

    def append(self, formed: pl.DataFrame) -> None:
        self._waiting.append(formed)
        if sum(piece.height for piece in self._waiting) >= ROW_GROUP_ROWS:
            self._write()

    def close(self) -> None:
        if self._waiting:
            self._write()
        self._writer.close()

    def _write(self) -> None:
        self._writer.write_table(pl.concat(self._waiting).to_arrow().cast(self._schema))
        self._waiting.clear()


logger = logging.getLogger(__name__)

FEW_PIECES: Final = 4  # are predicted here before other processes have started


@dataclass(frozen=True)
class Choices:
    """How descriptions are classified."""

    rule: str | None = None  # as `tasks.decision.rule_formats.parse_rule` reads it; None is the stored choice
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


RECORD: Final = "predictions.json"


@dataclass
class FolderResult:
    """What became of the files of a folder."""

    rows: dict[str, int] = field(default_factory=dict)  # of those that were predicted
    unchanged: list[str] = field(default_factory=list)
    mistakes: dict[str, str] = field(default_factory=dict)  # what is wrong with those that could not be


def predict_folder(model_folder: Path, source: Directory, target: Directory, choices: Choices) -> FolderResult:
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
    with target.locked():
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


def _is_up_to_date(recorded: Any, of_file: Mapping[str, str], output: FileInfo | None) -> bool:
    """Return whether an entry of the record is of the same file, model and choices, and of the output as it is."""
    if output is None or not isinstance(recorded, dict):
        return False
    return all(recorded.get(key) == value for key, value in {**of_file, "output": output.version}.items())


def _read_record(target: Directory) -> dict[str, Any]:
    try:
        with target.reading(RECORD) as path:
            return dict(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError) as error:
        logger.warning("predict: %s/%s cannot be read (%s); all is predicted again", target.address, RECORD, error)
        return {}


def _write_record(target: Directory, record: Mapping[str, Any]) -> None:
    with target.writing(RECORD) as path:
        write_atomically(path, json.dumps(record, ensure_ascii=False, indent=1, sort_keys=True) + "\n")
