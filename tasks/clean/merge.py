"""Rows of several files as movies. Owns row rules, merging and the join of crawled texts; knows no output file."""

import logging
from pathlib import Path
from typing import Final

import polars as pl

from tasks import schema
from tasks.clean import fields
from tasks.clean.genres import GenreCoder
from tasks.clean.ledger import Ledger, apply_rules
from tasks.clean.read import read_table
from tasks.clean.rules import Profile
from tasks.placeholders import WORDS_FOR_NOTHING

logger = logging.getLogger(__name__)

PART_ROWS: Final = 500_000
_MAX_ROWS: Final = 2**32  # what a polars row index can count


def read_rows(path: Path, profile: Profile, ledger: Ledger) -> pl.DataFrame:
    """Return the rows of a listing that pass the row rules: id, name, genre text, description and side fields."""
    table = read_table(path, schema.REQUIRED_RAW_COLUMNS, tuple(fields.SIDE_FIELDS.values()))
    ledger.note_damage(path.name, table.damage)
    ledger.counts["rows_read"] += table.n_records
    rows = apply_rules(table.rows, profile.row_rules, ledger).drop("is_short")
    rows, unparsed = fields.parse_fields(rows)
    for name, count in unparsed.items():
        ledger.counts[f"unparsed/{name}"] += count
    logger.info("clean: %s: %d rows, %d of them usable", path.name, table.n_records, rows.height)
    return rows


def merge_rows(tables: list[pl.DataFrame], profile: Profile) -> pl.DataFrame:
    """Merge the rows of each movie, some movies at a time, so that the working memory does not grow with the rows.

    Args:
        tables: what `read_rows` returned of each listing, in their order; the list is emptied on the way.
        profile: what makes rows one movie, and which of them is preferred.

    Returns:
        `movie_id`, `movie_name`, `genres` (sorted list), `description` and the side fields, in no particular order.
    """
    coder = GenreCoder(pl.concat([table["genre"] for table in tables]))
    n_parts = -(-sum(table.height for table in tables) // PART_ROWS) or 1
    parts: list[list[pl.DataFrame]] = [[] for _ in range(n_parts)]
    while tables:
        table = tables.pop(0)
        number_of_part = table["movie_id"].hash(seed=0) % n_parts  # all rows of a movie are in one part
        for number, part in enumerate(parts):
            part.append(table.filter(number_of_part == number) if n_parts > 1 else table)
    merged = []
    while parts:
        merged.append(_merge_part(pl.concat(parts.pop()), profile, coder))
    return pl.concat(merged, rechunk=True)  # lists in several chunks take four times their memory to sort


def _merge_part(rows: pl.DataFrame, profile: Profile, coder: GenreCoder) -> pl.DataFrame:
    rows = coder.encode(rows)
    is_alone = ~rows.select(profile.identity).is_duplicated()
    several = rows.filter(~is_alone).with_row_index("row")
    # One integer that is greatest for the preferred row and, among equals, for the first.
    rank = profile.preference.cast(pl.Int64) * _MAX_ROWS + (_MAX_ROWS - 1 - pl.col("row").cast(pl.Int64))
    firsts = [name for name in ("movie_name", *fields.SIDE_FIELDS) if name not in profile.identity]
    merged = several.group_by(profile.identity).agg(
        pl.col(firsts).first(ignore_nulls=True),
        pl.col(coder.columns).bitwise_or(),
        rank.max().alias("rank"),
    )
    preferred = _MAX_ROWS - 1 - merged["rank"] % _MAX_ROWS
    merged = merged.with_columns(several["description"].gather(preferred))
    return coder.decode(pl.concat([merged.select(rows.columns), rows.filter(is_alone)]))


def join_crawled(movies: pl.DataFrame, path: Path | None, ledger: Ledger) -> pl.DataFrame:
    """Add the column `crawled`: the first crawled text of each movie that is not empty, else null."""
    if path is None:
        return movies.with_columns(crawled=pl.lit(None, pl.String))
    table = read_table(path, ("movie_id", "description"))
    ledger.note_damage(path.name, table.damage, prefix="crawl/")
    filled = table.rows.filter(pl.col("description").is_in(WORDS_FOR_NOTHING).not_())
    first = filled.unique("movie_id", keep="first", maintain_order=True)
    joined = movies.join(
        first.select("movie_id", crawled="description"), on="movie_id", how="left", maintain_order="left"
    )
    ledger.counts["crawl/rows_read"] = table.n_records
    ledger.counts["crawl/empty"] = table.rows.height - filled.height
    ledger.counts["crawl/repeated_id"] = filled.height - first.height
    ledger.counts["crawl/unknown_id"] = first.join(movies, on="movie_id", how="anti").height
    return joined
