"""Raw listings and clean movies as tables to look at. Owns lenient reading; judges and repairs nothing.

Listings: `file`, `movie_id`, `movie_name`, `year` (Int32), `genres` (sorted list), `description`, `kind`.
Movies: the same without `file` and `kind`, one row a movie, and no placeholder among the descriptions.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from tasks.errors import DataError
from tasks.explore.descriptions import is_text, kind_of_description, without_tail

logger = logging.getLogger(__name__)

COLUMNS = ("movie_id", "movie_name", "year", "genre", "description")
MOVIE_COLUMNS = ("movie_id", "movie_name", "year", "genres", "description", "text_group")


@dataclass(frozen=True)
class Listings:
    """The rows of all readable files, and why files or rows are missing."""

    rows: pl.DataFrame
    unreadable_files: tuple[str, ...]
    rows_without_id: int


def raw_files(folder: Path) -> tuple[Path, ...]:
    """Return the listings in a folder, by name.

    Raises:
        DataError: there is none.
    """
    files = tuple(sorted(path for path in folder.glob("*.csv") if path.is_file()))
    if not files:
        raise DataError(f"{folder}: expected per-genre listings (*.csv), found none; run the acquire stage first")
    return files


def read_listings(files: Sequence[Path]) -> Listings:
    """Read per-genre CSVs as they are; damaged bytes are replaced, extra fields ignored, absent columns left empty.

    Raises:
        DataError: no file can be read, or no row has an id.
    """
    frames, unreadable = [], []
    for path in files:
        frame = _read_csv(path)
        if frame is None:
            unreadable.append(path.name)
        else:
            frames.append(_select_columns(path, frame))
    if not frames:
        raise DataError(f"{files[0].parent}: none of {len(files)} listings can be read; look at the warnings above")
    everything = pl.concat(frames).with_columns(_strip("movie_id"), _strip("movie_name"))
    rows = everything.filter(pl.col("movie_id").is_not_null()).with_columns(
        pl.col("year").str.extract(r"\b([0-9]{4})\b").cast(pl.Int32),
        genres=pl.col("genre")
        .fill_null("")
        .str.split(",")
        .list.eval(_strip(""))
        .list.drop_nulls()
        .list.unique()
        .list.sort(),
        kind=kind_of_description(),
    )
    if rows.is_empty():
        raise DataError(f"{files[0].parent}: no row has a movie_id; are these listings in the Kaggle form?")
    return Listings(rows, tuple(unreadable), everything.height - rows.height)


def movies_of_listings(rows: pl.DataFrame) -> pl.DataFrame:
    """Gather listings into one row a movie, by id: all its genres, its longest description, its first name and year.

    Placeholders are no description, and what says that a description is cut off is no part of it.
    """
    text = pl.when(is_text()).then(without_tail(pl.col("description")))
    return (
        rows.group_by("movie_id")
        .agg(
            pl.col("movie_name").drop_nulls().first(),
            pl.col("year").drop_nulls().first(),
            pl.col("genres").explode().drop_nulls().unique().sort(),
            text.sort_by(text.str.len_chars(), descending=True, nulls_last=True, maintain_order=True)
            .first()
            .alias("description"),
        )
        .sort("movie_id")
    )


def read_movies(path: Path) -> pl.DataFrame:
    """Read the cleaned table.

    Raises:
        DataError: the file is no parquet file, lacks a column of `MOVIE_COLUMNS`, or is empty.
    """
    try:
        movies = pl.read_parquet(path, columns=list(MOVIE_COLUMNS))
    except pl.exceptions.PolarsError as error:
        reason = str(error).partition("\n")[0]
        raise DataError(
            f"{path}: expected parquet with {', '.join(MOVIE_COLUMNS)} ({reason}); run the clean stage again"
        ) from error
    if movies.is_empty():
        raise DataError(f"{path}: no movies in it; look at what the clean stage dropped, then run it again")
    return movies


def _strip(column: str) -> pl.Expr:
    """Return a text column with spaces and line breaks made single, and null where nothing is left."""
    text = pl.col(column) if column else pl.element()
    text = text.str.replace_all(r"\s+", " ").str.strip_chars()
    return pl.when(text != "").then(text)


def _read_csv(path: Path) -> pl.DataFrame | None:
    try:
        return pl.read_csv(path, infer_schema=False, truncate_ragged_lines=True, encoding="utf8-lossy")
    except pl.exceptions.PolarsError as error:
        reason = str(error).partition("\n")[0]
        logger.warning("%s: not explored, it cannot be read (%s)", path, reason)
        return None


def _select_columns(path: Path, frame: pl.DataFrame) -> pl.DataFrame:
    named = {name.strip().removeprefix("\ufeff"): name for name in frame.columns}
    absent = [name for name in COLUMNS if name not in named]
    if absent:
        logger.warning("%s: without %s, left empty", path, ", ".join(absent))
    present = [pl.col(named[name]).alias(name) for name in COLUMNS if name in named]
    empty = [pl.lit(None, pl.String).alias(name) for name in absent]
    return frame.with_columns(pl.lit(path.name).alias("file"), *present, *empty).select("file", *COLUMNS)
