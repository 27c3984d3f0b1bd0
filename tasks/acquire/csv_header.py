"""The first check of a listing: is it a CSV with the columns that the pipeline needs? Owns that; reads no other row."""

import codecs
import csv
from pathlib import Path
from typing import Final

from tasks.errors import SourceError
from tasks.schema import RAW_COLUMNS, REQUIRED_RAW_COLUMNS

HEAD_BYTES: Final = 1 << 16  # more than any header row
_UTF16_MARKS: Final = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


def check_header(path: Path, shown_as: str) -> None:
    """Return if the file's first row names the needed columns, in any order, with any others, with or without a BOM.

    Spaces around a name do not matter. Of the columns of the Kaggle set none may be there twice.

    Args:
        path: the file.
        shown_as: how a message calls it, such as `archive.zip: action.csv`.

    Raises:
        SourceError: it is empty, unreadable, no text, or a column is missing or repeated.
    """
    try:
        with path.open("rb") as file:
            head = file.readline(HEAD_BYTES)
    except OSError as error:
        raise SourceError(f"{shown_as} cannot be read: {error.strerror}. Check its permissions.") from error
    columns = _read_names(head, shown_as)
    found = ", ".join(" ".join(name.split())[:40] for name in columns[:20]) or "nothing"
    missing = [column for column in REQUIRED_RAW_COLUMNS if column not in columns]
    if missing:
        raise SourceError(
            f"{shown_as}, line 1: no column {' or '.join(missing)} among {found}. "
            f"Expected are the columns of the Kaggle set ({', '.join(RAW_COLUMNS)}), of which "
            f"{', '.join(REQUIRED_RAW_COLUMNS)} are needed. Add the missing ones, or take the file away."
        )
    if repeated := [column for column in RAW_COLUMNS if columns.count(column) > 1]:
        raise SourceError(
            f"{shown_as}, line 1: more than one column {' and '.join(repeated)} among {found}. "
            "Keep one of each, or take the file away."
        )


def _read_names(head: bytes, shown_as: str) -> list[str]:
    if head.startswith(_UTF16_MARKS) or b"\0" in head:
        raise SourceError(
            f"{shown_as}, line 1: this is UTF-16 text, or no text. Save the file as UTF-8, or take the file away."
        )
    try:  # a name in another encoding is none of those that are looked for
        return [name.strip() for name in next(csv.reader([head.decode("utf-8-sig", "replace")]), [])]
    except csv.Error as error:  # all that the csv module does not forgive in a single line
        raise SourceError(
            f"{shown_as}, line 1: its lines end in carriage returns (CR) alone. Save the file with line ends LF or "
            "CRLF, or take the file away."
        ) from error
