"""The first check of a listing: is it a CSV with the columns that the pipeline needs? Owns that; reads no other row."""

import csv
from pathlib import Path
from typing import Final

from tasks.errors import SourceError
from tasks.schema import RAW_COLUMNS, REQUIRED_RAW_COLUMNS

HEAD_BYTES: Final = 1 << 16  # more than any header row


def check_header(path: Path, shown_as: str) -> None:
    """Return if the file's first row names the needed columns, in any order, with any others, with or without a BOM.

    Args:
        path: the file.
        shown_as: how a message calls it, such as `archive.zip: action.csv`.

    Raises:
        SourceError: it is empty, unreadable, no text, or a column is missing.
    """
    try:
        with path.open("rb") as file:
            head = file.readline(HEAD_BYTES)
    except OSError as error:
        raise SourceError(f"{shown_as} cannot be read: {error.strerror}. Check its permissions.") from error
    try:
        columns = next(csv.reader([head.decode("utf-8-sig")]), [])
    except (UnicodeDecodeError, csv.Error) as error:
        raise SourceError(
            f"{shown_as}: the first row is no CSV in UTF-8 ({error}). Export it as UTF-8 CSV, or take the file away."
        ) from error
    missing = [column for column in REQUIRED_RAW_COLUMNS if column not in columns]
    if missing:
        raise SourceError(
            f"{shown_as}: the first row lacks {', '.join(missing)}; it reads {', '.join(columns[:20]) or 'nothing'}. "
            f"Expected are the columns of the Kaggle set ({', '.join(RAW_COLUMNS)}), of which "
            f"{', '.join(REQUIRED_RAW_COLUMNS)} are needed. Add the missing ones, or take the file away."
        )
