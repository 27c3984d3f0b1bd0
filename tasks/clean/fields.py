"""Side fields out of their texts. Owns the expressions that parse them; knows no rule about movies.

A text that cannot be parsed becomes null; `parse_fields` counts them.
"""

from collections.abc import Callable
from typing import Final

import polars as pl

from tasks import schema

# The raw column of each parsed side field, by the name it has in `schema.MOVIES`.
SIDE_FIELDS: Final = {
    "year": "year",
    "certificate": "certificate",
    "runtime_min": "runtime",
    "rating": "rating",
    "votes": "votes",
    "directors": "director",
    "stars": "star",
}
# Parsed only for the movies that are kept: lists cost much more memory than their text.
LIST_FIELDS: Final = ("directors", "stars")


def year(raw: pl.Expr) -> pl.Expr:
    """Parse a year of 1800 to 2199, wherever it stands: `I`, `II` ... (which namesake) hold none."""
    return raw.str.extract(r"(?-u:\b)(1[89][0-9]{2}|2[01][0-9]{2})(?-u:\b)").cast(schema.MOVIES["year"])


def runtime_min(raw: pl.Expr) -> pl.Expr:
    """Parse minutes: `1,040 min` is 1040."""
    digits = raw.str.extract(r"^\s*([0-9][0-9,]*)\s*min\s*$").str.replace_all(",", "", literal=True)
    return digits.cast(schema.MOVIES["runtime_min"], strict=False)


def rating(raw: pl.Expr) -> pl.Expr:
    """Parse a rating from 0 to 10."""
    number = raw.str.extract(r"^\s*([0-9]{1,2}(?:\.[0-9]+)?)\s*$").cast(schema.MOVIES["rating"])
    return pl.when(number <= 10).then(number)


def votes(raw: pl.Expr) -> pl.Expr:
    """Parse a count: `1,234` and `1234.0` are 1234."""
    digits = raw.str.extract(r"^\s*([0-9][0-9,]*)(?:\.0*)?\s*$").str.replace_all(",", "", literal=True)
    return digits.cast(schema.MOVIES["votes"], strict=False)


def certificate(raw: pl.Expr) -> pl.Expr:
    """Strip a certificate; a blank one is null."""
    stripped = raw.str.strip_chars()
    return pl.when(stripped != "").then(stripped)


def people(raw: pl.Expr) -> pl.Expr:
    """Split names at a comma and line break, so that `Ann Other, Jr.` stays one name; no names, or null, are `[]`."""
    names = raw.str.split(r",\s*\n", literal=False).list.eval(pl.element().str.strip_chars())
    return names.list.filter(pl.element() != "").fill_null([])


_PARSERS: Final[dict[str, Callable[[pl.Expr], pl.Expr]]] = {
    "year": year,
    "certificate": certificate,
    "runtime_min": runtime_min,
    "rating": rating,
    "votes": votes,
}


def parse_fields(rows: pl.DataFrame) -> tuple[pl.DataFrame, dict[str, int]]:
    """Replace the raw side fields by parsed ones; the lists of people keep their text under the new name.

    Returns:
        The rows, and for each parsed field how many of them hold something but could not be parsed.
    """
    parsed = rows.select(parse(pl.col(SIDE_FIELDS[name])).alias(name) for name, parse in _PARSERS.items())
    failed = {name: rows[SIDE_FIELDS[name]].filter(parsed[name].is_null()) for name in _PARSERS}
    unparsed = {name: int(texts.str.contains(r"\S").sum()) for name, texts in failed.items()}
    raw_people = rows.select(pl.col(SIDE_FIELDS[name]).alias(name) for name in LIST_FIELDS)
    raw_people = raw_people.with_columns(pl.when(pl.all() != "").then(pl.all()))
    others = rows.drop(SIDE_FIELDS.values())
    return pl.concat([others, parsed, raw_people], how="horizontal"), unparsed
