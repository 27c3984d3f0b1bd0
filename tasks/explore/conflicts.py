"""Rows that should agree and do not: one id or one name with several genres, names or descriptions.

Owns the search and the tables for people; decides nothing about which value is right.
"""

from typing import Final

import polars as pl

from tasks.explore.descriptions import is_text

KEYS: Final = ("id", "name")
VALUES: Final = ("genres", "names", "descriptions")
CONFLICTS: Final = tuple((key, value) for key in KEYS for value in VALUES)
BETWEEN: Final = " | "


def conflict_file(key: str, value: str) -> str:
    """Return the name of the table of one kind of conflict.

    >>> conflict_file("id", "genres")
    'same_id_different_genres.csv'
    """
    return f"same_{key}_different_{value}.csv"


def find_conflicts(rows: pl.DataFrame, key: str, value: str) -> pl.DataFrame:
    """Find the keys that come with more than one value.

    As keys, names are the same whatever their case; as values, only as they are written. Spaces around them do not
    count. Placeholders and empty fields are no values.

    Args:
        rows: `movie_id`, `movie_name`, `genres`, `description`, optionally `file` and `kind`.
        key: one of `KEYS`.
        value: one of `VALUES`.

    Returns:
        `key`, `rows`, `different` (how many values), `values`, `movie_ids`, and `files` if `rows` has them; several
        values are joined by ` | `. The key with the most values comes first.
    """
    text = pl.when(is_text()).then("description") if "kind" in rows.columns else pl.col("description")
    values = {
        "genres": pl.col("genres").list.sort().list.join(", "),
        "names": pl.col("movie_name").str.strip_chars(),
        "descriptions": text.str.strip_chars(),
    }
    keys = {"id": pl.col("movie_id"), "name": pl.col("movie_name").str.to_lowercase().str.strip_chars()}
    files = [_joined("file").alias("files")] if "file" in rows.columns else []
    named = rows.with_columns(key=keys[key], value=values[value])
    present = named.filter((pl.col("key") != "") & (pl.col("value") != ""))
    several = present.group_by("key").agg(pl.col("value").n_unique().alias("different")).filter(pl.col("different") > 1)
    return (
        present.join(several, on="key", how="semi")
        .group_by("key")
        .agg(
            pl.len().cast(pl.Int64).alias("rows"),
            pl.col("value").n_unique().cast(pl.Int64).alias("different"),
            _joined("value").alias("values"),
            _joined("movie_id").alias("movie_ids"),
            *files,
        )
        .sort("different", "rows", "key", descending=[True, True, False])
    )


def _joined(column: str) -> pl.Expr:
    return pl.col(column).drop_nulls().unique().sort().str.join(BETWEEN)
