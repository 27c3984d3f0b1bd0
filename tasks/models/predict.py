"""Prediction of files and folders, in pieces, so that memory is bounded for any number of rows.

The pieces of a file are always the same, so its predictions have the same bytes for any number of workers.
"""

import csv
import io
import itertools
import json
import logging
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path, PurePath
from typing import Any, Final

import polars as pl
from polars import selectors as cs

from tasks.core import schema
from tasks.core.errors import DataError, name_some
from tasks.core.files import HASHES_FILE, check_hashes, hash_file, hash_files, is_same_file
from tasks.core.logs import Progress
from tasks.core.parallel import stream_in_order
from tasks.core.storage import Directory
from tasks.models.genre_classifier import GenreClassifier
from tasks.models.spec import Precision
from tasks.stage import unfinished_file, write_atomically

logger = logging.getLogger(__name__)

REQUIRED: Final = ("movie_id", "description")
# The columns of a listing and of the clean table.
READ_COLUMNS: Final = (
    *REQUIRED, "movie_name", "year", "certificate", "runtime", "runtime_min", "director", "directors", "star", "stars",
    "own_fields",
)  # fmt: skip
MAY_BE_LISTS: Final = ("director", "directors", "star", "stars", "own_fields")
LISTS: Final = cs.by_name(*MAY_BE_LISTS, require_all=False) & cs.list(cs.string())
SUFFIXES: Final = (".csv", ".parquet")  # a file with any other suffix is read as CSV
PIECE_ROWS: Final = 2_000
PIECE_CHARACTERS: Final = 4_000_000  # limits pieces of unusually long rows
FEW_PIECES: Final = 4  # predicted in this process before others would have started
ROW_GROUP_ROWS: Final = 50_000  # of a parquet file, held in memory until written
RECORD: Final = "predictions.json"
UNFINISHED: Final = "unfinished"  # recorded before an output is written


def read_pieces(source: Path, own_fields: tuple[str, ...] = ()) -> Iterator[pl.DataFrame]:
    """Yield the rows of a CSV or (by its ending) parquet file in pieces, with `READ_COLUMNS` and own fields.

    A CSV must be UTF-8, with or without a BOM, have a header and no field of more than 131,072 characters; line breaks
    in quotes are fine, blank lines are skipped, and all columns are texts. Columns of a parquet file are converted to
    texts; null becomes empty in the required columns; directors, stars and own fields may be lists of texts.

    A DataError if the file is missing or damaged, or lacks a column; for a CSV it names the line.
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
    """Return the approximate number of rows of a file, for a progress bar; None if it cannot be read."""
    scan = pl.scan_parquet(source) if source.suffix.lower() == ".parquet" else pl.scan_csv(source, infer_schema=False)
    try:
        return int(scan.select(pl.len()).collect(engine="streaming").item())
    except (OSError, pl.exceptions.PolarsError):
        return None


def read_first_rows(source: Path, n_rows: int, own_fields: tuple[str, ...] = ()) -> pl.DataFrame:
    """Return the first rows of a file as `read_pieces` reads them; a file without rows has the `REQUIRED` columns."""
    rows = pl.DataFrame(schema=dict.fromkeys(REQUIRED, pl.String))
    for piece in read_pieces(source, own_fields):
        rows = pl.concat([rows, piece.head(n_rows - rows.height)], how="diagonal")
        if rows.height == n_rows:
            break
    return rows


def _csv_pieces(source: Path, wanted: tuple[str, ...]) -> Iterator[pl.DataFrame]:
    def as_frame(piece: list[list[str]]) -> pl.DataFrame:
        columns = {name: [row[column] for row in piece] for name, column in column_of.items()}
        return pl.DataFrame(columns, schema=dict.fromkeys(columns, pl.String))

    piece: list[list[str]] = []
    n_characters = 0
    with source.open(encoding="utf-8-sig", newline="") as file:
        rows = csv.reader(file, strict=True)
        try:
            header = next(rows, [])
            column_of = _find_columns(source, header, wanted)
            for row in filter(None, rows):  # without blank lines
                if len(row) != len(header):
                    raise DataError(f"{source}, line {rows.line_num}: {len(row)} fields, expected {len(header)}")
                piece.append(row)
                n_characters += sum(map(len, row))
                if len(piece) == PIECE_ROWS or n_characters >= PIECE_CHARACTERS:
                    yield as_frame(piece)
                    piece, n_characters = [], 0
        except (UnicodeDecodeError, csv.Error) as error:
            raise DataError(
                f"{source}, line {rows.line_num} or soon after: not a CSV in UTF-8 ({error}); save it as one, or as a "
                "parquet file"
            ) from error
    if piece:
        yield as_frame(piece)


def _parquet_pieces(source: Path, wanted: tuple[str, ...]) -> Iterator[pl.DataFrame]:
    import pyarrow as pa  # noqa: PLC0415 - only parquet needs it
    import pyarrow.parquet as pq  # noqa: PLC0415

    try:
        with pq.ParquetFile(source) as file:
            names = list(_find_columns(source, file.schema_arrow.names, wanted))
        scanned = pl.scan_parquet(source, glob=False).select(names)  # its texts are views: a bomb stays small
        for number, batch in enumerate(scanned.collect_batches(chunk_size=PIECE_ROWS, maintain_order=True)):
            first = number * PIECE_ROWS
            schema.check_lengths(batch, f"{source}, rows {first + 1:,} to {first + batch.height:,}")
            rows = batch.with_columns(schema.as_text(pl.Float64, cs.float()))
            rows = rows.with_columns((cs.all() - LISTS).cast(pl.String))
            yield rows.with_columns(pl.col(*REQUIRED).fill_null(""))
    except (pa.ArrowException, pl.exceptions.PolarsError) as error:
        said = str(error).partition("\n")[0]
        raise DataError(f"{source} is not a readable parquet file ({said}); write it again") from error


def _find_columns(source: Path, header: list[str], wanted: tuple[str, ...]) -> dict[str, int]:
    if missing := [name for name in REQUIRED if name not in header]:
        found = f"its header is: {name_some(header)}" if any(header) else "it is empty"
        raise DataError(f"{source} has no column {', '.join(missing)}; {found}")
    if repeated := [name for name in wanted if header.count(name) > 1]:
        raise DataError(f"{source} has more than one column {', '.join(repeated)}; keep one of each")
    return {name: header.index(name) for name in wanted if name in header}


@contextmanager
def _open_table(path: Path, is_csv: bool, empty: pl.DataFrame) -> Iterator[Callable[[Any], object]]:
    """Open a file to write; yield a function that appends a piece as from `_predict`."""
    if is_csv:
        with path.open("wb") as file:
            empty.write_csv(file)
            yield file.write
        return
    import pyarrow.parquet as pq  # noqa: PLC0415 - only parquet needs it

    schema = empty.to_arrow().schema
    waiting: list[pl.DataFrame] = []
    with pq.ParquetWriter(path, schema) as writer:

        def append(piece: pl.DataFrame, fewest: int = ROW_GROUP_ROWS) -> None:
            waiting.append(piece)
            if sum(each.height for each in waiting) >= fewest:
                writer.write_table(pl.concat(waiting).to_arrow().cast(schema))
                waiting.clear()

        yield append
        append(empty, fewest=1)  # what still waits


@dataclass(frozen=True)
class Choices:
    """Options of a prediction."""

    rule: str | None = None  # see `tasks.decision.rules.parse_rule`; None: the model's own
    precision: Precision = "float32"  # of fine-tuned encoders; int8 is several times faster but not exactly equal
    workers: int = 1  # processes that share long files
    dask_address: str | None = None  # of a Dask scheduler with workers to share long files instead
    overwrite: bool = False  # in a folder, also files that are not predictions of ours


class Predictor:
    """Predicts files by one stored classifier, loaded once."""

    def __init__(self, model_folder: Path, choices: Choices) -> None:
        """Load the classifier; a ModelError if its folder is damaged, a ConfigError if it has no such rule."""
        self.model_folder, self.choices = model_folder, choices
        manifest = model_folder / HASHES_FILE
        self.digest = hash_file(manifest) if manifest.is_file() else None  # of a logged model, which was checked
        self.classifier = GenreClassifier.load(model_folder, choices.precision)
        nothing = pl.DataFrame(schema=dict.fromkeys(REQUIRED, pl.String))
        self.empty = _predict(self.classifier, choices.rule, False, nothing)[1]  # raises for a wrong rule

    def predict_file(self, source: Path, target: Path) -> int:
        """Write `movie_id`, `genres` (joined by ", ") and scores, `score_<Genre>`, for every row; return their number.

        The source is read by `read_pieces`. The target is written atomically, in the same order; parquet if its name
        ends in `.parquet`, else CSV with six decimals. Errors as `read_pieces`, a DataError if the target is the source
        or cannot be written, a WorkerError if a worker process died.
        """
        if is_same_file(source, target):
            raise DataError(f"{source} is both input and output; choose another output file")
        is_csv = target.suffix.lower() != ".parquet"
        progress = Progress(f"predict {source.name}", count_rows(source))
        try:
            with (
                unfinished_file(target) as path,
                _open_table(path, is_csv, self.empty) as append,
                closing(self._predicted(source, is_csv)) as predicted,
            ):
                for height, piece in predicted:
                    append(piece)
                    progress.advance(height)
        except OSError as error:
            said = f"{error.filename or target} cannot be written: {error.strerror or error}"
            raise DataError(f"{said}; free space or fix the permissions") from error
        progress.finish()
        return progress.done

    def _predicted(self, source: Path, is_csv: bool) -> Generator[tuple[int, Any], None, None]:
        pieces = _warn_of_empty_texts(read_pieces(source, self.classifier.model.own_fields), source.name)
        first = list(itertools.islice(pieces, FEW_PIECES))
        all_pieces, choices = itertools.chain(first, pieces), self.choices
        if (choices.workers == 1 and choices.dask_address is None) or len(first) < FEW_PIECES:
            yield from map(partial(_predict, self.classifier, choices.rule, is_csv), all_pieces)
            return
        prepare = partial(_load_and_predict, self.model_folder, self.digest, choices, is_csv)
        address = choices.dask_address
        who = f"{choices.workers} processes" if address is None else f"the workers of {address}"
        logger.info("predict: %s share the work", who)
        with closing(stream_in_order(prepare, all_pieces, choices.workers, address)) as predicted:
            yield from predicted


def _warn_of_empty_texts(pieces: Iterator[pl.DataFrame], name: str) -> Iterator[pl.DataFrame]:
    """Yield the pieces of a file, then log the number of rows without a description."""
    without, rows = 0, 0
    for piece in pieces:
        rows += piece.height
        without += piece.select(pl.col("description").fill_null("").str.strip_chars().eq("").sum()).item()
        yield piece
    if without:
        logger.warning("%s: %d of %d rows have no description; only other fields are used", name, without, rows)


def predict_file(model_folder: Path, source: Path, target: Path, choices: Choices = Choices()) -> int:
    """Predict one file by a stored classifier; see `Predictor`."""
    return Predictor(model_folder, choices).predict_file(source, target)


def _load_and_predict(
    model_folder: Path, digest: str | None, choices: Choices, is_csv: bool
) -> Callable[[pl.DataFrame], tuple[int, bytes | pl.DataFrame]]:
    if digest is not None:  # the files could have been changed since this process's parent checked them
        check_hashes(model_folder, digest)
    return partial(_predict, GenreClassifier.load(model_folder, choices.precision), choices.rule, is_csv)


def _predict(classifier: GenreClassifier, rule: str | None, is_csv: bool, movies: pl.DataFrame) -> tuple[int, Any]:
    """Return the number of rows and their predictions: CSV lines, so that workers format them, or a frame."""
    predicted = classifier.predict(movies, rule).insert_column(0, movies.get_column("movie_id"))
    if not is_csv:
        return movies.height, predicted
    lines = io.BytesIO()
    predicted.write_csv(lines, include_header=False, float_precision=schema.DECIMALS)
    return movies.height, lines.getvalue()


@dataclass
class FolderResult:
    """The outcome for each file of a folder, by name."""

    rows: dict[str, int] = field(default_factory=dict)  # of predicted files
    unchanged: list[str] = field(default_factory=list)
    errors: dict[str, str] = field(default_factory=dict)  # of files that could not be predicted


def predict_folder(model_folder: Path, source: Directory, target: Directory, choices: Choices) -> FolderResult:
    """Predict each new or changed CSV and parquet file of a folder, into a file of the same name.

    A file is up to date if it, the model, the choices and the output are as recorded in `predictions.json` in the
    target folder, which is written before and after each file. Files that cannot be read are skipped with a warning,
    and so are those whose output is not what was recorded, and may be the user's own. Predictions of files that no
    longer exist are kept.

    Raises:
        DataError: there is no file to predict, source and target are the same, or the record is damaged.
        ModelError, ConfigError, WorkerError: as `predict_file`.
    """
    if source == target:
        raise DataError(f"{source.address} is both input and output; choose another output folder")
    files = source.files()
    wanted = {name: found for name, found in files.items() if PurePath(name).suffix.lower() in SUFFIXES}
    if not wanted:
        raise DataError(f"{source.address} has no {' or '.join(f'*{suffix}' for suffix in SUFFIXES)} files; add some")
    if len(files) > len(wanted):
        logger.info("predict: %d files of %s are neither CSV nor parquet", len(files) - len(wanted), source.address)
    predictor, result = Predictor(model_folder, choices), FolderResult()
    fingerprint = hash_files([path for path in model_folder.rglob("*") if path.is_file()])
    made_by = {"model": fingerprint, "rule": choices.rule or "", "precision": choices.precision}
    with target.locked():
        present = target.files()
        record = _read_record(target) if RECORD in present else {}
        for name, found in wanted.items():
            of_file, recorded = {"input": found.version, **made_by}, record.get(name, {})
            if name in present and {**of_file, "output": present[name].version}.items() <= recorded.items():
                result.unchanged.append(name)
                logger.info("predict: %s is up to date", name)
                continue
            try:
                if name in present and not choices.overwrite:
                    _check_is_ours(target, name, recorded)
                _write_record(target, record | {name: {**of_file, "output": UNFINISHED}})
                with source.reading(name) as read, target.writing(name) as written:
                    result.rows[name] = predictor.predict_file(read, written)
            except DataError as error:
                result.errors[name] = str(error)
                _write_record(target, record)
                logger.warning("predict: skipped %s: %s", name, error)
                continue
            with target.reading(name) as path:
                content = hash_file(path)
            outcome = {"output": target.find(name).version, "sha256": content, "rows": result.rows[name]}
            record[name] = {**of_file, **outcome}
            _write_record(target, record)
    return result


def _read_record(target: Directory) -> dict[str, dict[str, Any]]:
    try:
        with target.reading(RECORD) as path:
            record = json.loads(path.read_text(encoding="utf-8"))
        return {name: dict(entry) for name, entry in dict(record).items()}
    except (OSError, ValueError, TypeError) as error:
        raise DataError(
            f"{target.address}/{RECORD} is not the record of earlier predictions ({error}); move it, or give another "
            "--output"
        ) from error


def _check_is_ours(target: Directory, name: str, recorded: Mapping[str, Any]) -> None:
    """Refuse to replace a file that is not recorded, or was changed since; one that was only touched or copied is."""
    if recorded.get("output") in (UNFINISHED, target.find(name).version):
        return
    with target.reading(name) as path:
        if hash_file(path) != recorded.get("sha256"):
            raise DataError(
                f"{target.address} has a file {name} that genreflow did not write, or that was changed since; move it, "
                "give another --output, or replace it with --overwrite"
            )


def _write_record(target: Directory, record: Mapping[str, Any]) -> None:
    with target.writing(RECORD) as path:
        write_atomically(path, json.dumps(record, ensure_ascii=False, indent=1, sort_keys=True) + "\n")
