"""Fields of a user's own table, as models read them. Owns which columns they are and the ranges of numbers.

The clean table holds them as texts `name=value` in one column; a table to classify has them in columns of their own.
"""

from bisect import bisect_right
from functools import lru_cache
from itertools import chain
from typing import Final

import polars as pl

from tasks import side_fields

COLUMN: Final = "own_fields"
KIND: Final = pl.List(pl.String)
# 1, 2, 5, 10, 20, ... and their negatives: fixed, so that a range means the same whatever data it was met in.
_POSITIVE: Final = tuple(float(f"{digit}e{power}") for power in range(-3, 10) for digit in (1, 2, 5))
BOUNDS: Final = (*(-bound for bound in reversed(_POSITIVE)), 0.0, *_POSITIVE)


def names_of(movies: pl.DataFrame) -> tuple[str, ...]:
    """Return the names of the own fields that movies of the clean table have, sorted."""
    if movies.schema.get(COLUMN) != KIND:
        return ()
    lines = movies.get_column(COLUMN).explode().drop_nulls().unique()
    return tuple(sorted({line.partition("=")[0] for line in lines}))


def gather(movies: pl.DataFrame, names: tuple[str, ...]) -> pl.DataFrame:
    """Add the column `own_fields` of the columns that a model knows by name, unless it is there as in the clean table.

    Columns that are missing have no value.
    """
    known = [name for name in names if name in movies.columns]
    if not known or movies.schema.get(COLUMN) == KIND:
        return movies
    values = [side_fields.own(name, side_fields.as_text(movies.schema[name], pl.col(name))) for name in known]
    return movies.with_columns(pl.concat_list(values).list.drop_nulls().alias(COLUMN))


def read_own(movies: pl.DataFrame) -> list[list[str]]:
    """Return the own fields of each movie as `name=value`; none where there is no such column."""
    if movies.schema.get(COLUMN) != KIND:
        return [[] for _ in range(movies.height)]
    return [lines or [] for lines in movies.get_column(COLUMN).to_list()]


def read_lines(movies: pl.DataFrame) -> list[list[str]]:
    """Return what models read of the own fields: each as it is, and where it is a number the range that it is in, too.

    A number is so both a category, such as a code, and a size; which of them says something is for the model to learn.
    """
    return [list(chain.from_iterable(map(_lines, own))) for own in read_own(movies)]


@lru_cache(maxsize=100_000)
def _lines(line: str) -> tuple[str, ...]:
    name, _, value = line.partition("=")
    try:
        number = float(value)
    except ValueError:
        return (line,)
    return (line, f"{name}={range_of(number)}") if abs(number) < float("inf") else (line,)


def range_of(number: float) -> str:
    """Return the range that a number is in: its lower bound belongs to it, its upper one does not.

    >>> range_of(3.5), range_of(5), range_of(0), range_of(-3.5), range_of(1e12)
    ('2 to 5', '5 to 10', '0 to 0.001', '-5 to -2', '5,000,000,000 or more')
    """
    place = bisect_right(BOUNDS, number)
    if place == 0:
        return f"below {_written(BOUNDS[0])}"
    if place == len(BOUNDS):
        return f"{_written(BOUNDS[-1])} or more"
    return f"{_written(BOUNDS[place - 1])} to {_written(BOUNDS[place])}"


def _written(bound: float) -> str:
    return f"{bound:,.0f}" if bound == round(bound) else f"{bound:g}"
