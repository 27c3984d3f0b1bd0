"""A user's table as a frame. Owns the two forms of file; knows no rule and no label."""

import logging
from pathlib import Path
from typing import Final

import polars as pl

from tasks import side_fields
from tasks.clean.ledger import Ledger
from tasks.clean.read import read_table
from tasks.clean.table.config import TableConfig
from tasks.errors import SourceError

logger = logging.getLogger(__name__)

FORMS: Final = (".csv", ".parquet")


def read_own_table(path: Path, table: TableConfig, ledger: Ledger) -> pl.DataFrame:
    """Return the columns that a mapping names, as texts (lists of texts where parquet has lists), and `is_short`.

    What is not there is an empty text. Of numbers in parquet those without a fraction are written without one.

    Raises:
        SourceError: the file is missing, of another form, unreadable, or lacks a column.
    """
    if not path.is_file() or path.suffix.lower() not in FORMS:
        state = "is no .csv or .parquet file" if path.exists() else "does not exist"
        raise SourceError(f"{path} {state}: `source` must be the file whose columns `table` names.")
    if path.suffix.lower() == ".csv":
        read = read_table(path, table.columns)
        ledger.note_damage(path.name, read.damage)
        ledger.counts["rows_read"] = read.n_records
        return read.rows
    rows = _read_parquet(path, table)
    ledger.counts["rows_read"] = rows.height
    return rows.with_columns(is_short=pl.lit(value=False))


def _read_parquet(path: Path, table: TableConfig) -> pl.DataFrame:
    try:
        found = pl.read_parquet_schema(path)
        if missing := [name for name in table.columns if name not in found]:
            names = ", ".join(found) or "none"
            raise SourceError(f"{path}: no column {' or '.join(missing)} among {names}. Correct `table`.")
        rows = pl.read_parquet(path, columns=list(table.columns), glob=False)
    except (pl.exceptions.PolarsError, OSError) as error:
        raise SourceError(f"{path} cannot be read as parquet ({_first_line(error)}). Check the file.") from error
    lists = [name for name in rows.columns if isinstance(rows.schema[name], pl.List | pl.Array)]
    if odd := [name for name in lists if (name,) != table.labels]:
        raise SourceError(f"{path}: the column {odd[0]} holds lists, as the one column of labels alone may. Join them.")
    try:
        return rows.select(_as_text(rows, name) for name in table.columns)
    except pl.exceptions.PolarsError as error:
        raise SourceError(f"{path}: a column cannot be written as text ({_first_line(error)}). Convert it.") from error


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0]  # polars adds the whole query


def _as_text(rows: pl.DataFrame, name: str) -> pl.Expr:
    kind, column = rows.schema[name], pl.col(name)
    if isinstance(kind, pl.Array):
        column, kind = column.arr.to_list(), pl.List(kind.inner)
    if isinstance(kind, pl.List):
        return column.fill_null([]).list.eval(side_fields.as_text(kind.inner, pl.element())).cast(pl.List(pl.String))
    return side_fields.as_text(kind, column).fill_null("")
