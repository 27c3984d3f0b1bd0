"""The clean stage for a user's own table: rows in, one row a movie out. Owns the order of the steps and what an id is.

Whatever a row describes is called a movie, and its labels are its genres, as everywhere in the pipeline.
"""

import logging
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Final

import polars as pl

from tasks import schema, side_fields
from tasks.clean.fields import LIST_FIELDS, SIDE_FIELDS, parse_fields
from tasks.clean.config import CleanConfig
from tasks.clean.ledger import Ledger, apply_rules
from tasks.clean.movies import as_movies, note_text_groups, write_json, write_movies
from tasks.clean.rules import Profile
from tasks.clean.table.config import LISTING_FIELDS, TableConfig
from tasks.clean.table.labels import add_labels, drop_rare_labels
from tasks.clean.table.read import read_own_table
from tasks.clean.table.rules import table_profile
from tasks.errors import DataError
from tasks.paths import DataPaths
from tasks.stage import Stage, StageResult, config_dict, run_stage

logger = logging.getLogger(__name__)

SEPARATORS: Final = set(";|/\\+&\t")  # what people put between labels


def clean_own_table(paths: DataPaths, source: Path, table: TableConfig, config: CleanConfig) -> StageResult:
    """Clean a CSV or parquet file of the user's into `paths.clean`, unless that is up to date; the file stays as it is.

    It stands in for the clean stage under the same name, so that either's result replaces the other's. Rows that share
    id and text are one, with the labels of all.

    Returns:
        Counts: `rows_read` is the sum of `movies_kept`, `merged/same_movie` and all `dropped/<rule>`; besides
        `changed/<rule>`, `repaired/<damage>`, `unparsed/<field>`, `rare_label/<label>` (rows) and `text_groups/<what>`.

    Raises:
        SourceError: the file is missing, unreadable or without a column that the mapping names.
        DataError: an id or a label cannot be used, the labels are too few or too many, or no row is left.
        ConfigError: a rule to disable does not exist, or an option for listings is given.
    """
    profile = table_profile(config)
    stage = Stage(
        name="clean",
        folder=paths.clean,
        outputs=(paths.movies.name, paths.clean_csv.name, paths.genres_json.name, paths.dropped.name),
        inputs=(source,) if source.is_file() else (),
        config={"table": config_dict(table), **config_dict(config)},
        code=(Path(__file__),),
        packages=("numpy", "polars", "simplemma"),
    )
    return run_stage(stage, partial(_build, paths, source, (table, profile)))


def build_own_movies(source: Path, table: TableConfig, profile: Profile, ledger: Ledger) -> pl.DataFrame:
    """Return the movies of a table (`schema.MOVIES`, sorted by id) and note what became of every row."""
    rows = add_labels(read_own_table(source, table, ledger), table, source)
    rows = apply_rules(_named(rows, table), profile.row_rules, ledger).drop("is_short")
    movies = _merge_rows(rows, source, ledger).sort("movie_id")
    movies = apply_rules(movies, (*profile.movie_rules, *profile.table_rules, *profile.prune_rules), ledger)
    _check_some_are_left(movies, source, ledger)
    movies = drop_rare_labels(movies, table, source, ledger)
    movies, unparsed = parse_fields(movies)
    read_as_listed = {name for name, raw in SIDE_FIELDS.items() if raw in LISTING_FIELDS and raw in table.fields}
    ledger.counts.update({f"unparsed/{name}": count for name, count in unparsed.items() if name in read_as_listed})
    people = [side_fields.people(pl.col(name)) for name in LIST_FIELDS]
    movies = as_movies(note_text_groups(movies.with_columns(people), ledger))
    ledger.counts["movies_kept"] = movies.height
    return movies


def _build(paths: DataPaths, source: Path, how: tuple[TableConfig, Profile], folder: Path) -> Mapping[str, int]:
    (table, profile), ledger = how, Ledger()
    movies = build_own_movies(source, table, profile, ledger)
    write_movies(movies, paths, folder)
    write_json(folder / paths.dropped.name, ledger.report(profile.rules))
    if rare := sorted(key.partition("/")[2] for key in ledger.counts if key.startswith("rare_label/")):
        logger.warning(
            "clean: left out %d labels of fewer than %d rows, and %d rows that had no others: %s%s",
            *(len(rare), table.min_rows, ledger.counts["dropped/only_rare_labels"], _some(rare)),
            f". Is {table.separator!r} what separates labels?" if SEPARATORS.intersection("".join(rare)) else "",
        )
    return dict(ledger.counts)


def _named(rows: pl.DataFrame, table: TableConfig) -> pl.DataFrame:
    """Return rows with the pipeline's names of columns; fields that a listing has under those of a listing."""
    listed = [name for name in table.fields if name in LISTING_FIELDS]
    own = [side_fields.own(name, pl.col(name)) for name in table.fields if name not in LISTING_FIELDS]
    no_field = pl.lit([], pl.List(pl.String))
    return rows.select(
        pl.col(table.id).str.strip_chars().alias("movie_id"),
        (pl.lit("") if table.title is None else pl.col(table.title)).alias("movie_name"),
        pl.col(table.text).alias("description"),
        "genres",
        *[(pl.col(raw) if raw in listed else pl.lit("")).alias(raw) for raw in SIDE_FIELDS.values()],
        (pl.concat_list(own).list.drop_nulls() if own else no_field).alias("own_fields"),
        pl.lit("listing").alias("description_source"),
        pl.lit(value=False).alias("is_truncated"),
        "is_short",
    )


def _merge_rows(rows: pl.DataFrame, source: Path, ledger: Ledger) -> pl.DataFrame:
    """Return one row an id, with the labels of all its rows and the other values of the first.

    Raises:
        DataError: an id is unusable, or has several texts; or there is no row.
    """
    _check_some_are_left(rows, source, ledger)
    unusable = rows.filter(~pl.col("movie_id").str.contains(schema.MOVIE_ID_PATTERN))["movie_id"]
    if unusable.len():
        raise DataError(
            f"{source}: {unusable.len()} ids are not made of letters, digits and _.:- alone, the first is "
            f"{unusable[0][:60]!r}. Change them, or name another column as `table.id`."
        )
    by_id = rows.group_by("movie_id", maintain_order=True)
    texts = by_id.agg(pl.col("description").n_unique()).filter(pl.col("description") > 1)
    if texts.height:
        raise DataError(
            f"{source}: {texts.height} ids have several texts, the first is {texts['movie_id'][0]!r}. Name a column as "
            "`table.id` that tells rows apart."
        )
    others = [name for name in rows.columns if name not in ("movie_id", "genres")]
    merged = by_id.agg(pl.col("genres").explode().unique().sort(), pl.col(others).first())
    ledger.counts["merged/same_movie"] = rows.height - merged.height
    return merged


def _check_some_are_left(rows: pl.DataFrame, source: Path, ledger: Ledger) -> None:
    if rows.is_empty():
        dropped = ", ".join(f"{key} {count}" for key, count in ledger.counts.items() if count) or "it is empty"
        raise DataError(
            f"{source}: no row is left ({dropped}). Check the file, the columns that `table` names, and what "
            "clean.prune leaves out."
        )


def _some(names: list[str]) -> str:
    return ", ".join(names[:20]) + (f" and {len(names) - 20} more" if len(names) > 20 else "")
