"""Files to classify, piece by piece. Owns their forms and the checks of what is in them; knows no model.

A piece is so small that any number of rows is read in bounded memory, and always the same for the same file.
"""

import csv
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import polars as pl
from polars import selectors as cs

from tasks.errors import DataError

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
