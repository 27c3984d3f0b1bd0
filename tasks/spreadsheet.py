"""CSV files that people open in a spreadsheet. Owns what keeps text in them from being run as a formula.

Source: OWASP, CSV Injection (which first characters make a formula; an apostrophe before them makes text of it).
"""

import re
from pathlib import Path
from typing import Final

import polars as pl
from polars import selectors

# Behind what no one sees, too; full-width signs make formulas as well.
_FORMULA: Final = re.compile(
    "[\\s\x00-\x1f\x7f-\x9f\u00ad\u200b-\u200f\u2060-\u2064\ufeff]*[-=+@\uff1d\uff0b\uff0d\uff20]|[\t\r\n]"
)
DECIMALS: Final = 6


def safe_cell(text: str) -> str:
    """Return text as a spreadsheet shows it and never runs it: with an apostrophe where it looks like a formula.

    >>> safe_cell("=HYPERLINK(1)"), safe_cell(" @SUM(1)"), safe_cell("Se7en")
    ("'=HYPERLINK(1)", "' @SUM(1)", 'Se7en')
    """
    return f"'{text}" if _FORMULA.match(text) else text


def write_safe_csv(table: pl.DataFrame, path: Path) -> None:
    """Write a table for people: every text by `safe_cell` and in quotes, numbers with `DECIMALS` decimals.

    In quotes, because a spreadsheet may take another separator than the comma for its own.
    """
    texts = selectors.string()
    safe = table.with_columns(texts.map_elements(safe_cell, return_dtype=pl.String, skip_nulls=True))
    safe.write_csv(path, float_precision=DECIMALS, quote_style="non_numeric")
