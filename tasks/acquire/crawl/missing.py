"""Which plots the listings lack. Owns that question; asks nobody for the answer."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import polars as pl

from tasks.errors import SourceError
from tasks.placeholders import NOTHING, TRUNCATED, WHOLE, worth_of
from tasks.schema import MovieId

logger = logging.getLogger(__name__)

ID: Final = r"^tt[0-9]{7,10}$"
_WORTHS: Final = pl.Enum((NOTHING, TRUNCATED, WHOLE))  # in ascending order


@dataclass(frozen=True)
class MissingPlots:
    """The ids to ask for, those without any text first, then by id; and counts of all ids by what is known of them."""

    ids: tuple[MovieId, ...]
    truncated: frozenset[MovieId]  # of which a part is known
    counts: dict[str, int]


def find_missing(folder: Path) -> MissingPlots:
    """Return the ids in a folder of listings that have no whole description in any row of any file.

    Counts: `rows`, `malformed_ids` (rows that are left out), `ids`, and of these `whole`, `truncated` and `nothing`.

    Raises:
        SourceError: there is no listing, or one cannot be read.
    """
    files = sorted(path for path in folder.glob("*.csv") if path.is_file())
    if not files:
        raise SourceError(f"{folder} holds no listing (*.csv): run the acquire stage first")
    rows = pl.concat([read_descriptions(path) for path in files])
    named = rows.filter(pl.col("movie_id").str.contains(ID))
    worth = worth_of(pl.col("description")).cast(_WORTHS)
    movies = named.group_by("movie_id").agg(worth.max().alias("worth")).sort("worth", "movie_id")
    counts = {"rows": rows.height, "malformed_ids": rows.height - named.height, "ids": movies.height}
    counts |= {name: movies.filter(pl.col("worth") == name).height for name in (WHOLE, TRUNCATED, NOTHING)}
    missing = movies.filter(pl.col("worth") != WHOLE)
    return MissingPlots(
        ids=tuple(MovieId(movie_id) for movie_id in missing["movie_id"]),
        truncated=frozenset(missing.filter(pl.col("worth") == TRUNCATED)["movie_id"]),
        counts=counts,
    )


def read_descriptions(path: Path, wanted: Sequence[str] | None = None) -> pl.DataFrame:
    """Return `movie_id` and `description` of a CSV, for all ids or only the wanted ones, in the order of the file.

    Bytes that are no UTF-8 are replaced, and fields beyond the header ignored.

    Raises:
        SourceError: the file cannot be read, or lacks one of the two columns.
    """
    try:
        rows = pl.read_csv(path, infer_schema=False, truncate_ragged_lines=True, encoding="utf8-lossy")
    except (OSError, pl.exceptions.PolarsError) as error:
        raise SourceError(f"{path} cannot be read as CSV ({str(error).partition(chr(10))[0]}): get it again") from error
    columns = {name.strip().removeprefix("\ufeff"): name for name in rows.columns}
    if not columns.keys() >= {"movie_id", "description"}:
        raise SourceError(f"{path}: expected columns movie_id and description, found {', '.join(rows.columns[:20])}")
    pairs = rows.select(
        pl.col(columns["movie_id"]).fill_null("").str.strip_chars().alias("movie_id"),
        pl.col(columns["description"]).alias("description"),
    )
    return pairs if wanted is None else pairs.filter(pl.col("movie_id").is_in(wanted))
