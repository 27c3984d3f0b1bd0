"""CSV files that people open in a spreadsheet. Owns what keeps text in them from being run as a formula.

Source: OWASP, CSV Injection (which first characters make a formula; an apostrophe before them makes text of it).
"""

from pathlib import Path
from typing import Final

import polars as pl
from polars import selectors

_FORMULA_STARTS: Final = frozenset("=+-@\t\r\n＝＋－＠")  # noqa: RUF001 - full-width ones are formulas as well
DECIMALS: Final = 6


def safe_cell(text: str) -> str:
    """Return text as a spreadsheet shows it and never runs it: with an apostrophe where it looks like a formula.

    >>> safe_cell("=HYPERLINK(1)"), safe_cell(" @SUM(1)"), safe_cell("Se7en")
    ("'=HYPERLINK(1)", "' @SUM(1)", 'Se7en')
    """
    starts = {text[:1], text.lstrip()[:1]}
    return f"'{text}" if starts & _FORMULA_STARTS else text


def write_safe_csv(table: pl.DataFrame, path: Path) -> None:
    """Write a table for people: every text by `safe_cell` and in quotes, numbers with `DECIMALS` decimals.

    In quotes, because a spreadsheet may take another separator than the comma for its own.
    """
    texts = selectors.string()
    safe = table.with_columns(texts.map_elements(safe_cell, return_dtype=pl.String, skip_nulls=True))
    safe.write_csv(path, float_precision=DECIMALS, quote_style="non_numeric")
