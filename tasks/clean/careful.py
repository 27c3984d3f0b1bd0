"""Damaged CSV files, row by row, so that damage costs the row it is in. Owns recovery; knows no column's meaning.

A row whose quotes are broken would swallow the rows after it. Here reading goes on at the next line of the file
instead, so that one stray quote costs one row and not the file.
"""

import csv
import re
from collections import Counter, deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import polars as pl

BATCH_ROWS: Final = 50_000
_UNDECODABLE: Final = re.compile("[\udc80-\udcff]")  # what `surrogateescape` makes of bytes that are not UTF-8
_PLAIN: Final = re.compile('[^",]+')
# What these bytes most often are, for `str.translate`: characters of Windows-1252, which leaves five bytes undefined.
WINDOWS_1252: Final = {0xDC00 + byte: bytes([byte]).decode("cp1252", "replace") for byte in range(0x80, 0x100)}


@dataclass
class Damage:
    """What was wrong with a file: how often each kind of damage occurred, and the first line of each."""

    counts: Counter[str] = field(default_factory=Counter)
    first_lines: dict[str, int] = field(default_factory=dict)

    def note(self, kind: str, line: int, count: int = 1) -> None:
        """Count `count` more cases of a kind of damage, seen at a line (the header is line 1)."""
        self.counts[kind] += count
        self.first_lines.setdefault(kind, line)


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
        line = self.waiting.popleft() if self.waiting else self._decode(next(self.lines))
        self.number += 1
        self.record.append(line)
        return line

    def _decode(self, line: str) -> str:
        if line.isascii():
            return line
        count = len(_UNDECODABLE.findall(line))
        if count:
            self.damage.note("repaired/invalid_utf8", self.number + 1, count)
        return line.translate(WINDOWS_1252) if count else line

    def go_back_to_second_line(self) -> None:
        self.waiting.extendleft(reversed(self.record[1:]))
        self.number -= len(self.record) - 1


def read_carefully(path: Path, columns: dict[str, int], n_fields: int) -> tuple[pl.DataFrame, int, Damage]:
    """Read what can be read of a damaged file.

    Bytes that are not UTF-8 are read as Windows-1252, or become U+FFFD where that has no character. A row with too few
    fields is filled with empty ones and marked, one with too many, with broken quotes or with an endless field is left
    out; one whose only fault is a quote inside a field is read. All is counted.

    Args:
        path: a file with a header.
        columns: name of each wanted column and its index.
        n_fields: number of fields of the header.

    Returns:
        The wanted columns as strings, with `is_short`; how many records there were below the header, those left out
        included; what was wrong.
    """
    damage = Damage()
    n_records = 0
    batches: list[pl.DataFrame] = []
    rows: list[tuple[str | bool, ...]] = []
    indices = tuple(columns.values())
    schema = {**dict.fromkeys(columns, pl.String), "is_short": pl.Boolean}
    with path.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as file:
        for row in _records(_Lines(file, damage), n_fields, damage):
            n_records += 1
            if row is not None:
                full = [*row, *[""] * (n_fields - len(row))]
                rows.append((*(full[index] for index in indices), len(row) < n_fields))
            if len(rows) == BATCH_ROWS:
                batches.append(pl.DataFrame(rows, schema=schema, orient="row"))
                rows = []
    batches.append(pl.DataFrame(rows, schema=schema, orient="row"))
    return pl.concat(batches), n_records, damage


def _records(lines: _Lines, n_fields: int, damage: Damage) -> Iterator[Sequence[str] | None]:
    """Yield the fields of each record below the header, None for one that cannot be used; skip blank lines."""
    next(csv.reader(lines))  # the header, which is already known
    reader = csv.reader(lines, strict=True)
    while True:
        lines.record.clear()
        first = lines.number + 1
        try:
            row: Sequence[str] | None = next(reader)
        except StopIteration:
            return
        except csv.Error:
            row, kind = _read_single_line(lines.record[0], n_fields)
            damage.note(kind, first)
            lines.go_back_to_second_line()
            yield row
            continue
        if not row:
            continue
        if len(row) > n_fields:
            damage.note("dropped/long_row", first)
            yield None
            continue
        if len(row) < n_fields:
            damage.note("repaired/short_row", first)
        yield row


def _read_single_line(line: str, n_fields: int) -> tuple[Sequence[str] | None, str]:
    """Return the fields of a damaged line, if they are as many as the columns and so can be told apart; its damage."""
    line = line.rstrip("\r\n")
    try:
        row = next(csv.reader([line]))
    except csv.Error:  # a field longer than csv's limit
        return None, "dropped/field_too_long" if _has_whole_quotes(line) else "dropped/broken_quotes"
    return (row, "repaired/stray_quote") if len(row) == n_fields else (None, "dropped/broken_quotes")


def _has_whole_quotes(line: str) -> bool:
    """Tell whether each field of a line, however long, is closed; what is between commas and quotes does not matter."""
    try:
        next(csv.reader([_PLAIN.sub("x", line)], strict=True))
    except csv.Error:
        return False
    return True
