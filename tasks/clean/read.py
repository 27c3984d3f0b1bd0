"""Raw CSV files as frames of strings.

A well-formed file is read by polars, which forgives damage silently: it fills short rows, may ignore surplus fields and
guesses at stray quotes. So `is_well_formed` looks at commas, quotes and line ends first, a block at a time, at a
fraction of the cost of parsing. Any other file is read leniently, row by row: after broken quotes, reading goes on at
the next line, so that a stray quote costs one row and not the rest of the file.
"""

import codecs
import csv
import itertools
import logging
import re
from collections import Counter, deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
import polars as pl

from tasks.core.errors import SourceError

logger = logging.getLogger(__name__)

# No listing field is this long (Python's csv module has the same limit): a longer record is usually an open quote.
MAX_RECORD_BYTES: Final = 131_072
BLOCK_BYTES: Final = 128 * 1024  # a block's arrays fit a processor's cache
BATCH_ROWS: Final = 50_000
_UTF16_MARKS = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
_REMEDIES = {
    "repaired/invalid_utf8": "; read as Windows-1252. Save the file as UTF-8 to be sure of its letters",
    "dropped/field_too_long": f"; a field may have {MAX_RECORD_BYTES:,} characters. Shorten it",
}
_UNDECODABLE: Final = re.compile("[\udc80-\udcff]")  # what `surrogateescape` makes of bytes that are not UTF-8
_PLAIN: Final = re.compile('[^",]+')
# Bytes that are not UTF-8 as Windows-1252, for `str.translate`; five bytes are undefined there.
WINDOWS_1252: Final = {0xDC00 + byte: bytes([byte]).decode("cp1252", "replace") for byte in range(0x80, 0x100)}


@dataclass
class Damage:
    """The damage of a file: how often each kind occurred, and the first line of each (the header is line 1)."""

    counts: Counter[str] = field(default_factory=Counter)
    first_lines: dict[str, int] = field(default_factory=dict)

    def note(self, kind: str, line: int, count: int = 1) -> None:
        """Count damage."""
        self.counts[kind] += count
        self.first_lines.setdefault(kind, line)


class Table(NamedTuple):
    """The wanted columns of a file as strings (empty where missing) with `is_short`, and what there was."""

    rows: pl.DataFrame
    n_records: int  # below the header, dropped ones included
    damage: Damage


class _Lines:
    """Lines of a file that can go back to the second line of the record being read."""

    def __init__(self, lines: Iterable[str], damage: Damage) -> None:
        self.lines, self.damage = iter(lines), damage
        self.waiting: deque[str] = deque()
        self.record: list[str] = []
        self.number = 0

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        line = self.waiting.popleft() if self.waiting else next(self.lines)
        self.number += 1
        if not line.isascii() and (count := len(_UNDECODABLE.findall(line))):
            self.damage.note("repaired/invalid_utf8", self.number, count)
            line = line.translate(WINDOWS_1252)
        self.record.append(line)
        return line

    def go_back_to_second_line(self) -> None:
        self.waiting.extendleft(reversed(self.record[1:]))
        self.number -= len(self.record) - 1


def read_leniently(path: Path, columns: dict[str, int], n_fields: int) -> Table:
    """Read the usable rows of a damaged file with a header of `n_fields` fields; `columns`: indices of wanted names.

    Bytes that are not UTF-8 are read as Windows-1252, or become U+FFFD if that has no character. A row with too few
    fields is filled with empty ones and marked; one with too many, with broken quotes or with a field that is too long
    is dropped; one with only a quote inside a field is kept. Everything is counted.
    """
    damage, n_records = Damage(), 0
    schema = {**dict.fromkeys(columns, pl.String), "is_short": pl.Boolean}
    batches = [pl.DataFrame(schema=schema)]
    with path.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as file:
        records = _records(_Lines(file, damage), n_fields, damage)
        while batch := list(itertools.islice(records, BATCH_ROWS)):
            n_records += len(batch)
            full = [([*row, *[""] * (n_fields - len(row))], len(row) < n_fields) for row in batch if row is not None]
            rows = [(*(row[index] for index in columns.values()), is_short) for row, is_short in full]
            batches.append(pl.DataFrame(rows, schema=schema, orient="row"))
    return Table(pl.concat(batches), n_records, damage)


def _records(lines: _Lines, n_fields: int, damage: Damage) -> Iterator[list[str] | None]:
    """Yield the fields of each record below the header, None for an unusable one; skip blank lines."""
    next(csv.reader(lines))  # the header, which is already known
    reader = csv.reader(lines, strict=True)
    while True:
        lines.record.clear()
        first = lines.number + 1
        try:
            row = next(reader)
        except StopIteration:
            return
        except csv.Error:
            fields, kind = _read_single_line(lines.record[0], n_fields)
            damage.note(kind, first)
            lines.go_back_to_second_line()
            yield fields
            continue
        if row and len(row) != n_fields:
            damage.note("dropped/long_row" if len(row) > n_fields else "repaired/short_row", first)
        if row:
            yield row if len(row) <= n_fields else None


def _read_single_line(line: str, n_fields: int) -> tuple[list[str] | None, str]:
    """Return the fields of a damaged line, None unless they are as many as the columns; and its damage."""
    line = line.rstrip("\r\n")
    try:
        row = next(csv.reader([line]))
    except csv.Error:  # a field longer than csv's limit
        try:
            next(csv.reader([_PLAIN.sub("x", line)], strict=True))  # shortened: are its quotes closed?
        except csv.Error:
            return None, "dropped/broken_quotes"
        return None, "dropped/field_too_long"
    return (row, "repaired/stray_quote") if len(row) == n_fields else (None, "dropped/broken_quotes")


_QUOTE, _NEWLINE, _RETURN = b'"\n\r'
_TO_MARK = bytes(byte in b',"\n\r' for byte in range(256))  # a table for `bytes.translate`
_AFTER_CLOSING = np.frombuffer(_TO_MARK, dtype=np.bool_)
_BEFORE_OPENING = _AFTER_CLOSING & (np.arange(256) != _RETURN)


def is_well_formed(path: Path, n_fields: int, block_bytes: int = BLOCK_BYTES) -> bool:
    """Return whether each record has `n_fields` fields, closed quotes around whole fields only, and ends in LF or CRLF.

    A blank line, a lone carriage return and a record of more than `MAX_RECORD_BYTES` are damage, too: parsers disagree
    about them. Invalid UTF-8 is left to the parser. Memory: a few blocks.
    """
    rest = b""
    with path.open("rb") as file:
        if file.read(len(codecs.BOM_UTF8)) != codecs.BOM_UTF8:
            file.seek(0)
        while block := file.read(block_bytes):
            data = rest + block
            end = _end_of_whole_records(data, n_fields)
            if end is None:
                return False
            rest = data[end:]
            if len(rest) > MAX_RECORD_BYTES:
                return False
    return not rest or _end_of_whole_records(rest + b"\n", n_fields) == len(rest) + 1


def _end_of_whole_records(block: bytes, n_fields: int) -> int | None:
    """Return where the last whole record of a block of records ends, or None if one before that is damaged."""
    positions = np.flatnonzero(np.frombuffer(block.translate(_TO_MARK), dtype=np.bool_))
    data = np.frombuffer(block, dtype=np.uint8)
    marks = data[positions]
    is_quote = marks == _QUOTE
    is_inside = np.bitwise_xor.accumulate(is_quote.view(np.uint8)).view(np.bool_)
    separators = np.flatnonzero(~(is_inside | is_quote))  # what stands outside of quotes
    if _RETURN in block:  # each outside of quotes belongs to a CRLF, or is the last byte of the block
        is_return = marks[separators] == _RETURN
        followers = positions[separators[is_return]] + 1
        if not (data[followers[followers < data.size]] == _NEWLINE).all():
            return None
        separators = separators[~is_return]
    ends = np.flatnonzero(marks[separators] == _NEWLINE)
    if not ends.size:
        return 0
    last = int(separators[ends[-1]])
    quotes = positions[:last][is_quote[:last]]  # each opens or closes a field, or is half of a doubled one inside
    opening, closing = quotes[::2], quotes[1::2]
    is_whole = (
        (np.diff(ends, prepend=-1) == n_fields).all()
        and np.diff(positions[separators[ends]], prepend=-1).max() <= MAX_RECORD_BYTES
        and _BEFORE_OPENING[data[opening[opening > 0] - 1]].all()
        and _AFTER_CLOSING[data[closing + 1]].all()
    )
    return int(positions[last]) + 1 if is_whole else None


def find_listings(folder: Path) -> list[Path]:
    """Return the CSV files of a folder, sorted by name; a `SourceError` if there is none."""
    listings = sorted(path for path in folder.glob("*.csv") if path.is_file())
    if not listings:
        state = "holds no CSV file" if folder.is_dir() else "does not exist"
        raise SourceError(f"{folder} {state}: put the per-genre listings there, or run the acquire stage first.")
    return listings


def read_table(path: Path, required: Sequence[str], optional: Sequence[str] = ()) -> Table:
    """Read some columns of a CSV file, in any order and with any others.

    A missing optional column is all empty. Columns of the result: `required`, `optional`, `is_short`.

    Raises:
        SourceError: the file cannot be opened, is empty or UTF-16, or its header lacks a required column or repeats
            a wanted one.
    """
    try:
        header = _read_header(path)
        columns = _find_columns(path, header, required, optional)
        table = _read_fast(path, columns, len(header)) if is_well_formed(path, len(header)) else None
        table = table or read_leniently(path, columns, len(header))
    except OSError as error:
        raise SourceError(f"{path} cannot be read: {error.strerror}. Check the file and its permissions.") from error
    for kind, count in sorted(table.damage.counts.items()):
        line, remedy = table.damage.first_lines[kind], _REMEDIES.get(kind, "")
        logger.warning("%s: %s %d times, first in line %d%s", path.name, kind, count, line, remedy)
    absent = [pl.lit("").alias(name) for name in optional if name not in columns]
    return table._replace(rows=table.rows.with_columns(absent).select(*required, *optional, "is_short"))


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
                f"{path}, line 1: the header does not end, probably because of an open quote. Close it, or download "
                "the file again."
            ) from error
    if not any(header):
        raise SourceError(f"{path}, line 1: the file is empty or starts with a blank line. Download it again.")
    return header


def _find_columns(path: Path, header: list[str], required: Sequence[str], optional: Sequence[str]) -> dict[str, int]:
    wanted = [*required, *(name for name in optional if name in header)]
    found = ", ".join(" ".join(name.split())[:40] for name in header[:30])
    if missing := [name for name in wanted if name not in header]:
        raise SourceError(
            f"{path}, line 1: no column {' or '.join(missing)} among {found}. "
            "The first line must name the columns, separated by commas."
        )
    if repeated := [name for name in wanted if header.count(name) > 1]:
        raise SourceError(f"{path}, line 1: more than one column {' and '.join(repeated)} among {found}. Keep one.")
    if absent := [name for name in optional if name not in header]:
        logger.info("%s: no column %s; left empty", path.name, ", ".join(absent))
    return {name: header.index(name) for name in wanted}


def _read_fast(path: Path, columns: dict[str, int], n_fields: int) -> Table | None:
    """Read a well-formed file, or return None if polars finds bytes that are not UTF-8."""
    names = [str(index) for index in range(n_fields)]  # unique, unlike the header's
    wanted = [pl.col(str(index)).alias(name) for name, index in columns.items()]
    lines = pl.scan_csv(path, infer_schema=False, empty_string_is_null=False, glob=False, new_columns=names)
    try:
        rows = lines.select(*wanted, is_short=pl.lit(False)).collect()
    except pl.exceptions.ComputeError as error:
        logger.info("%s: reading row by row (%s)", path.name, str(error).partition("\n")[0])
        return None
    return Table(rows, rows.height, Damage())
