"""The side fields of a listing as typed columns. Owns which there are and what could not be parsed; knows no rule.

A text that cannot be parsed becomes null; `parse_fields` counts them.
"""

from collections.abc import Callable
from typing import Final

import polars as pl

from tasks import schema, side_fields

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


def rating(raw: pl.Expr) -> pl.Expr:
    """Parse a rating from 0 to 10."""
    number = raw.str.extract(r"^\s*([0-9]{1,2}(?:\.[0-9]+)?)\s*$").cast(schema.MOVIES["rating"])
    return pl.when(number <= 10).then(number)


def votes(raw: pl.Expr) -> pl.Expr:
    """Parse a count: `1,234` and `1234.0` are 1234."""
    digits = raw.str.extract(r"^\s*([0-9][0-9,]*)(?:\.0*)?\s*$").str.replace_all(",", "", literal=True)
    return digits.cast(schema.MOVIES["votes"], strict=False)


_PARSERS: Final[dict[str, Callable[[pl.Expr], pl.Expr]]] = {
    "year": side_fields.year,
    "certificate": side_fields.certificate,
    "runtime_min": side_fields.runtime_min,
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
