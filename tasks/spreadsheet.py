"""Tables that people open in a spreadsheet. Owns what makes that safe; knows no stage's data.

A foundation: several rooms write such tables.
"""

from pathlib import Path
from typing import Final

import polars as pl

_FORMULA_START: Final = r"^[\s\p{Cc}\p{Cf}]*[=+\-@\t\r]"  # behind what no one sees, too


def write_for_people(table: pl.DataFrame, path: Path) -> None:
    """Write a CSV for spreadsheets: no text runs as a formula, and no separator they may prefer cuts a cell in two."""
    neutralise_formulas(table).write_csv(path, quote_style="non_numeric", float_precision=6)


def neutralise_formulas(table: pl.DataFrame) -> pl.DataFrame:
    """Put an apostrophe before every text that a spreadsheet would run as a formula."""
    text = pl.col(pl.String)
    return table.with_columns(pl.when(text.str.contains(_FORMULA_START)).then("'" + text).otherwise(text).name.keep())
