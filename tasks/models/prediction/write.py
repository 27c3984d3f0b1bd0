"""Tables of predictions, piece by piece. Owns their forms; knows no model.

Whatever a piece costs to be put in form is done where it was predicted, so that several processes share it.
"""

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, Protocol

import polars as pl

from tasks.spreadsheet import DECIMALS

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
