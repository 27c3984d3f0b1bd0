"""Raw CSV files as frames of strings. Owns headers, encodings and damage; knows no rule and parses no value.

A well-formed file is read by polars, any other by `tasks.clean.careful`. Both give the same table for a well-formed
file; only the careful way says where the damage is.
"""

import codecs
import csv
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from tasks.clean.careful import WINDOWS_1252, Damage, read_carefully
from tasks.clean.structure import MAX_RECORD_BYTES, is_well_formed
from tasks.errors import SourceError

logger = logging.getLogger(__name__)

_UTF16_MARKS = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
_REMEDIES = {
    "repaired/invalid_utf8": "; read as Windows-1252. Save the file as UTF-8 to be sure of its letters",
    "dropped/field_too_long": f"; a field may have {MAX_RECORD_BYTES:,} characters. Shorten it",
}


@dataclass(frozen=True)
class Table:
    """A file's wanted columns as strings (empty where nothing is) with `is_short`, its size, and its damage."""

    path: Path
    rows: pl.DataFrame
    n_records: int  # below the header, those left out included
    damage: Damage


def find_listings(folder: Path) -> list[Path]:
    """Return the CSV files of a folder in the order of their names.

    Raises:
        SourceError: the folder is not there, or no CSV is in it.
    """
    listings = sorted(path for path in folder.glob("*.csv") if path.is_file())
    if not listings:
        state = "holds no CSV file" if folder.is_dir() else "does not exist"
        raise SourceError(f"{folder} {state}: put the per-genre listings there, or run the acquire stage first.")
    return listings


def read_table(path: Path, required: Sequence[str], optional: Sequence[str] = ()) -> Table:
    """Read some columns of a CSV file, whatever their order and whatever else is in it.

    An optional column that the file lacks is all empty. Columns of the result: `required`, `optional`, `is_short`.

    Raises:
        SourceError: the file cannot be opened, is empty or UTF-16, or its header lacks a required column or repeats a
            wanted one.
    """
    try:
        header = _read_header(path)
        columns = _find_columns(path, header, required, optional)
        table = _read_fast(path, columns, len(header)) if is_well_formed(path, len(header)) else None
        if table is None:
            table = Table(path, *read_carefully(path, columns, len(header)))
            _warn(table)
    except OSError as error:
        raise SourceError(f"{path} cannot be read: {error.strerror}. Check the file and its permissions.") from error
    absent = [pl.lit("").alias(name) for name in optional if name not in columns]
    rows = table.rows.with_columns(absent).select(*required, *optional, "is_short")
    return Table(path, rows, table.n_records, table.damage)


def _read_header(path: Path) -> list[str]:
    with path.open("rb") as file:
        start = file.read(2)
    if start in _UTF16_MARKS:
        raise SourceError(f"{path}, line 1: this is UTF-16 text. Save the file as UTF-8.")
    with path.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as lines:
        try:
            header = [name.translate(WINDOWS_1252).strip() for name in next(csv.reader(lines), [])]
        except csv.Error as error:  # a field longer than csv's limit
            raise SourceError(
                f"{path}, line 1: the header does not end, most likely for a quote that is not closed. Close it, or "
                "download the file again."
            ) from error
    if not any(header):
        raise SourceError(
            f"{path}, line 1: the file is empty or begins with a blank line. Download it again, or remove it."
        )
    return header


def _find_columns(path: Path, header: list[str], required: Sequence[str], optional: Sequence[str]) -> dict[str, int]:
    wanted = [*required, *(name for name in optional if name in header)]
    missing = [name for name in wanted if name not in header]
    found = ", ".join(" ".join(name.split())[:40] for name in header[:30])
    if missing:
        raise SourceError(
            f"{path}, line 1: no column {' or '.join(missing)} among {found}. "
            "The first line must name the columns, with commas between them."
        )
    if repeated := [name for name in wanted if header.count(name) > 1]:
        raise SourceError(f"{path}, line 1: more than one column {' and '.join(repeated)} among {found}. Keep one.")
    absent = [name for name in optional if name not in header]
    if absent:
        logger.info("%s: no column %s; left empty", path.name, ", ".join(absent))
    return {name: header.index(name) for name in wanted}


def _read_fast(path: Path, columns: dict[str, int], n_fields: int) -> Table | None:
    """Read a well-formed file, or return None where polars finds bytes that are not UTF-8."""
    names = [str(index) for index in range(n_fields)]  # whatever the header says, names are unique
    wanted = [pl.col(str(index)).alias(name) for name, index in columns.items()]
    lines = pl.scan_csv(path, infer_schema=False, empty_string_is_null=False, glob=False, new_columns=names)
    try:
        rows = lines.select(*wanted, is_short=pl.lit(False)).collect()
    except pl.exceptions.ComputeError as error:
        logger.info("%s: read row by row, because of: %s", path.name, str(error).partition("\n")[0])
        return None
    return Table(path, rows, rows.height, Damage())


def _warn(table: Table) -> None:
    for kind, count in sorted(table.damage.counts.items()):
        line, remedy = table.damage.first_lines[kind], _REMEDIES.get(kind, "")
        logger.warning("%s: %s %d times, first in line %d%s", table.path.name, kind, count, line, remedy)
