"""The corpus's parquet companion. Owns its Arrow form, row groups and compression; knows no annotation."""

from pathlib import Path
from types import TracebackType
from typing import Final, Self

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from tasks import schema

ROW_GROUP: Final = 20_000  # rows; what a reader has in memory at once


def companion_schema() -> pa.Schema:
    """Return `schema.TOKENS` as an Arrow schema."""
    return pl.DataFrame(schema=schema.TOKENS).to_arrow().schema


class CompanionWriter:
    """Writes the companion to parquet. Its bytes depend on the rows, not on the pieces in which they came."""

    def __init__(self, path: Path) -> None:
        self._writer = pq.ParquetWriter(path, companion_schema(), compression="zstd")
        self._waiting = companion_schema().empty_table()

    def __enter__(self) -> Self:
        return self

    def append(self, rows: pa.Table) -> None:
        """Add rows; they are written as soon as they fill a row group."""
        self._waiting = pa.concat_tables([self._waiting, rows])
        while self._waiting.num_rows >= ROW_GROUP:
            self._write(self._waiting.slice(0, ROW_GROUP))
            self._waiting = self._waiting.slice(ROW_GROUP)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None and self._waiting.num_rows:
            self._write(self._waiting)
        self._writer.close()

    def _write(self, rows: pa.Table) -> None:
        # One piece each: the encoder begins a page anew with every piece that it is given.
        self._writer.write_table(rows.combine_chunks(), row_group_size=ROW_GROUP)
