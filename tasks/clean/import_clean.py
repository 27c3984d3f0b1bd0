"""Import of an already cleaned table as the clean stage's result.

Texts are not changed. Rows that later stages could not use are dropped and counted.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Final

import polars as pl

from tasks.clean.movies import (
    PEOPLE,
    SIDE_FIELDS,
    as_movies,
    note_text_groups,
    note_unknown_genres,
    parse_fields,
    run_clean,
    write_cleaned,
)
from tasks.clean.read import read_table
from tasks.clean.rules import Ledger
from tasks.core import schema
from tasks.core.errors import DataError, SourceError
from tasks.core.schema import parse_genres, read_genre_names
from tasks.core.settings import DataPaths
from tasks.stage import StageResult

REQUIRED: Final = ("movie_id", "description")
GENRE_COLUMNS: Final = ("genre", "genres", "encoded_genre")  # the first that is not blank counts
_UNUSABLE: Final = {
    "short_row": pl.col("is_short"),
    "no_movie_id": pl.col("movie_id") == "",
    "no_description": pl.col("description").str.strip_chars().is_in(schema.MISSING_TEXTS),
}


def import_clean_data(paths: DataPaths, csv_path: Path) -> StageResult:
    """Make a cleaned CSV, such as the earlier system's `clean_data.csv`, the cleaned table in `paths.clean`.

    Required columns are `movie_id`, `description`, and one of `genre`, `genres`, `encoded_genre` in any form that
    `parse_genres` reads; `movie_name` and the listings' side fields are used, others ignored. The order of an encoding
    is that of `paths.downloaded_genres`, or alphabetical.

    Returns:
        Counts: `rows_read` is the sum of `movies_kept` and all `dropped/<reason>`; also `repaired/<damage>`,
        `unparsed/<field>`, `unknown_genre/<name>` and `text_groups/<what>`, as in the clean stage.

    Raises:
        SourceError: the file is missing, unreadable or without a required column.
        DataError: a genre field cannot be read, or no movie is left.
    """
    if not csv_path.is_file():
        raise SourceError(f"{csv_path} does not exist. Download it first, or correct the path.")
    names_file = paths.downloaded_genres
    inputs = (csv_path, names_file) if names_file.is_file() else (csv_path,)

    def build(folder: Path) -> Mapping[str, int]:
        ledger = Ledger()
        movies = read_clean_data(csv_path, read_genre_names(names_file), ledger)
        if movies.is_empty():
            raise DataError(f"{csv_path}: no movie is left of {ledger.explain_loss()}. Check the file.")
        ledger.counts["movies_kept"] = movies.height
        note_unknown_genres(movies, ledger)
        return write_cleaned(movies, ledger, (), paths, folder)

    return run_clean(paths, inputs, {"imported": csv_path.name}, Path(__file__), build)


def read_clean_data(csv_path: Path, names: tuple[str, ...], ledger: Ledger) -> pl.DataFrame:
    """Return the movies of a cleaned CSV (`schema.MOVIES`, sorted by id), and record what happened to every row.

    Raises:
        SourceError: the file is unreadable or without a required column.
        DataError: a genre field cannot be read.
    """
    optional = ("movie_name", *GENRE_COLUMNS, *SIDE_FIELDS.values())
    table = read_table(csv_path, REQUIRED, tuple(dict.fromkeys(optional)))
    ledger.note_damage(csv_path.name, table.damage)
    ledger.counts["rows_read"] = table.n_records
    rows = table.rows.with_columns(pl.col("movie_id").str.strip_chars())
    if rows.height and not rows.select(pl.any_horizontal((pl.col(GENRE_COLUMNS) != "").any())).item():
        raise SourceError(f"{csv_path} has no genres: expected a column {' or '.join(GENRE_COLUMNS)}.")
    for reason, is_unusable in _UNUSABLE.items():
        rows = _drop(rows, is_unusable, reason, ledger)
    rows = rows.with_columns(_parse_genres(csv_path, rows, names)).drop("genre", "encoded_genre", "is_short")
    rows = _drop(rows, pl.col("genres").list.len() == 0, "no_genre", ledger)
    rows = _drop(rows, ~pl.col("movie_id").is_first_distinct(), "repeated_id", ledger)
    rows, unparsed = parse_fields(rows)
    ledger.counts.update({f"unparsed/{name}": count for name, count in unparsed.items()})
    description = pl.col("description")
    rows = note_text_groups(rows.sort("movie_id"), ledger).with_columns(
        description_source=pl.lit("import"),
        is_truncated=description.str.contains(schema.ELLIPSIS) | description.str.contains(schema.ANY_TAIL),
    )
    return as_movies(rows.with_columns(PEOPLE))


def _drop(rows: pl.DataFrame, is_unusable: pl.Expr, reason: str, ledger: Ledger) -> pl.DataFrame:
    kept = rows.filter(~is_unusable)
    ledger.counts[f"dropped/{reason}"] = rows.height - kept.height
    return kept


def _parse_genres(csv_path: Path, rows: pl.DataFrame, names: tuple[str, ...]) -> pl.Series:
    """Return the lists of genres of all rows; each distinct text is parsed once."""
    filled = pl.coalesce(pl.when(pl.col(name).str.strip_chars() != "").then(name) for name in GENRE_COLUMNS)
    texts = rows.select(filled.fill_null("").alias("genres")).to_series()
    parsed: dict[str, list[str]] = {}
    for field in texts.unique().sort():
        try:
            parsed[field] = list(parse_genres(field, names))
        except ValueError as error:
            movie_id = rows.filter(texts == field)["movie_id"][0]
            raise DataError(
                f"{csv_path}, movie {movie_id}: the genres {field[:80]!r} cannot be read: {error}. Put the genres.json "
                "that belongs to the file into the download folder, or add a column of names."
            ) from error
    dtypes = pl.Schema({"text": pl.String(), "genres": pl.List(pl.String())})
    distinct = pl.DataFrame({"text": list(parsed), "genres": list(parsed.values())}, schema=dtypes)
    return texts.to_frame("text").join(distinct, on="text", how="left", maintain_order="left")["genres"]
