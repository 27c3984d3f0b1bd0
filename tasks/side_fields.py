"""Side fields out of their texts. Owns the expressions that parse them; knows no file and no model.

A foundation: cleaning parses whole listings, models parse what they are given to classify, in the same way. A text
that cannot be parsed becomes null.
"""

from typing import Final

import polars as pl

# The first of several; but none in a text that begins with a minus.
_YEAR: Final = r"(?s)^\s*(?:[^\s\-−].*?)??(?-u:\b)(1[89][0-9]{2}|2[01][0-9]{2})(?-u:\b)"
# Two patterns, of which the first has them nearly all: one for both takes several times as long.
_MINUTES: Final = r"^\s*([0-9][0-9,]*)\s*mins?\s*$"
_HOURS: Final = r"^\s*([0-9]{1,4})\s*h\s*(?:([0-9][0-9,]*)\s*mins?\s*)?$"


def year(raw: pl.Expr) -> pl.Expr:
    """Parse a year of 1800 to 2199, wherever it stands: `I`, `II` ... (which namesake) hold none, nor does `-2000`."""
    return raw.str.extract(_YEAR).cast(pl.Int32)


def runtime_min(raw: pl.Expr) -> pl.Expr:
    """Parse minutes: `1,040 min` is 1040, `90 mins` is 90, and so is `1 h 30 min`; `0 min` says nothing."""
    hours = raw.str.extract(_HOURS, 1).cast(pl.Int32)
    besides = _count(raw.str.extract(_HOURS, 2)).fill_null(0)
    total = pl.coalesce(_count(raw.str.extract(_MINUTES)), 60 * hours + besides)
    return total.cast(pl.Int32, strict=False).replace(0, None)


def own(name: str, raw: pl.Expr) -> pl.Expr:
    """Write a column of a user's own table as `name=value`, spaces made single; a blank value is null.

    `5.0` is `5`: of the same numbers one program writes the one, another the other.
    """
    value = raw.str.replace_all(r"\s+", " ").str.strip_chars(" ").str.replace(r"^(-?[0-9]+)\.0+$", "$1")
    return pl.when(value != "").then(pl.concat_str(pl.lit(f"{name}="), value))


def as_text(kind: object, value: pl.Expr) -> pl.Expr:
    """Write a value of a polars type as a text, as most CSVs would: a whole number without a fraction, NaN as null."""
    if kind not in (pl.Float32, pl.Float64):
        return value.cast(pl.String)
    is_whole = (value == value.round()) & (value.abs() < 2**53)  # beyond, not every whole number is a float
    text = pl.when(is_whole).then(value.cast(pl.Int64, strict=False).cast(pl.String)).otherwise(value.cast(pl.String))
    return pl.when(value.is_not_nan()).then(text)


def _count(digits: pl.Expr) -> pl.Expr:
    return digits.str.replace_all(",", "", literal=True).cast(pl.Int64, strict=False)


def certificate(raw: pl.Expr) -> pl.Expr:
    """Strip a certificate; a blank one is null."""
    stripped = raw.str.strip_chars()
    return pl.when(stripped != "").then(stripped)


def people(raw: pl.Expr) -> pl.Expr:
    """Split names at a comma and line break, so that `Ann Other, Jr.` stays one name; no names, or null, are `[]`."""
    names = raw.str.split(r",\s*\n", literal=False).list.eval(pl.element().str.strip_chars())
    return names.list.filter(pl.element() != "").fill_null([])
