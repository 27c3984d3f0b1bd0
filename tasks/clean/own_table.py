"""Cleaning of tables that are not listings: a user's own, with rows (movies) and labels (genres), or a cleaned one."""

import logging
from pathlib import Path
from typing import Final, Self

import polars as pl
from pydantic import BaseModel, Field, model_validator

from tasks.clean.movies import (
    MAX_LABELS,
    PEOPLE,
    SIDE_FIELDS,
    as_movies,
    note_text_groups,
    note_unknown_genres,
    parse_fields,
    run_clean,
)
from tasks.clean.profiles import CleanConfig, table_profile
from tasks.clean.read import read_table
from tasks.clean.rules import Ledger, Profile, apply_rules
from tasks.core import schema
from tasks.core.errors import DataError, SourceError, name_some
from tasks.core.settings import DataPaths
from tasks.stage import StageResult, config_dict

logger = logging.getLogger(__name__)

# Columns with these names are read as in a listing: years also as decades, runtimes as ranges, people as lists.
LISTING_FIELDS: Final = ("year", "certificate", "runtime", "director", "star")
# Names that the pipeline uses for something else.
RESERVED: Final = frozenset(
    {"movie_id", "movie_name", "title", "description", "genres", "lemmas"}
    | {"decade", "runtime_min", "directors", "stars", "own", "own_fields", "rest"}
)


class TableConfig(BaseModel, frozen=True, extra="forbid"):
    """The meaning of the columns of a user's own table, the CSV or parquet file given as `source`."""

    id: str = Field(min_length=1, description="Column of ids: letters, digits and _.:- only.")
    text: str = Field(min_length=1, description="Column of the text to classify.")
    labels: tuple[str, ...] = Field(
        min_length=1,
        description="Column of labels, separated or (parquet) as lists; or several columns of 0 and 1, one per label.",
    )
    title: str | None = Field(None, description="Column of titles.")
    separator: str = Field("|", min_length=1, description="Separator between labels in a text column.")
    fields: tuple[str, ...] = Field((), description="Other columns, of categories or numbers, for models of fields.")
    min_rows: int = Field(10, ge=1, description="Drop labels with fewer rows, and rows without other labels.")

    @model_validator(mode="before")
    @classmethod
    def _take_one_column_of_labels(cls, given: object) -> object:
        if isinstance(given, dict) and isinstance(given.get("labels"), str):
            return {**given, "labels": (given["labels"],)}
        return given

    @model_validator(mode="after")
    def _each_column_is_named_once(self) -> Self:
        if repeated := sorted({name for name in self.columns if self.columns.count(name) > 1}):
            raise ValueError(f"the column {', '.join(repeated)} is named twice; name each column once")
        if taken := sorted(RESERVED.intersection(self.fields)):
            raise ValueError(f"a field cannot be called {', '.join(taken)}; rename the column")
        if odd := [name for name in self.fields if "=" in name or name != " ".join(name.split())]:
            raise ValueError(f"the field {odd[0]!r} has an = or odd spaces in its name; rename the column")
        return self

    @property
    def columns(self) -> tuple[str, ...]:
        """All columns to read."""
        title = (self.title,) if self.title is not None else ()
        return (self.id, self.text, *title, *self.labels, *self.fields)


def clean_own_table(paths: DataPaths, source: Path, table: TableConfig, config: CleanConfig) -> StageResult:
    """Clean a user's CSV or parquet file into `paths.clean`; rows with the same id and text become one.

    Returns:
        Counts as of `clean_movies`, and `rare_label/<label>` (rows).

    Raises:
        SourceError: the file is missing, unreadable or without a mapped column.
        DataError: an id or a label cannot be used, the labels are too few or too many, or no row is left.
        ConfigError: a rule to disable does not exist, or an option for listings is given.
    """
    profile, inputs = table_profile(config), (source,) if source.is_file() else ()

    def build(ledger: Ledger) -> pl.DataFrame:
        return build_own_movies(source, table, profile, ledger)

    return run_clean(paths, inputs, {"table": config_dict(table), **config_dict(config)}, profile.rules, build)


def build_own_movies(source: Path, table: TableConfig, profile: Profile, ledger: Ledger) -> pl.DataFrame:
    """Return the movies of a table (`schema.MOVIES`, sorted by id), and record what happened to every row."""
    rows = _add_labels(_read_own_table(source, table, ledger), table, source)
    rows = apply_rules(_rename(rows, table), profile.row_rules, ledger).drop("is_short")
    movies = _merge_rows(rows, source, ledger).sort("movie_id")
    movies = apply_rules(movies, (*profile.movie_rules, *profile.table_rules, *profile.prune_rules), ledger)
    _check_some_are_left(movies, source, ledger)
    movies = _drop_rare_labels(movies, table, source, ledger)
    movies, unparsed = parse_fields(movies)
    read_as_listed = {name for name, raw in SIDE_FIELDS.items() if raw in LISTING_FIELDS and raw in table.fields}
    ledger.counts.update({f"unparsed/{name}": count for name, count in unparsed.items() if name in read_as_listed})
    movies = as_movies(note_text_groups(movies.with_columns(PEOPLE), ledger))
    ledger.counts["movies_kept"] = movies.height
    return movies


def _read_own_table(path: Path, table: TableConfig, ledger: Ledger) -> pl.DataFrame:
    """Return the mapped columns as texts (lists of texts if parquet has lists), empty if missing, and `is_short`."""
    if not path.is_file() or path.suffix.lower() not in (".csv", ".parquet"):
        state = "is not a .csv or .parquet file" if path.exists() else "does not exist"
        raise SourceError(f"{path} {state}: `source` must be the file that `table` describes.")
    if path.suffix.lower() == ".parquet":
        rows = _read_parquet(path, table).with_columns(is_short=pl.lit(value=False))
        ledger.counts["rows_read"] = rows.height
        return rows
    read = read_table(path, table.columns)
    ledger.note_damage(path.name, read.damage)
    ledger.counts["rows_read"] = read.n_records
    return read.rows


def _read_parquet(path: Path, table: TableConfig) -> pl.DataFrame:
    try:
        found = pl.read_parquet_schema(path)
        if missing := [name for name in table.columns if name not in found]:
            names = name_some(found) or "none"
            raise SourceError(f"{path}: no column {' or '.join(missing)} among {names}. Correct `table`.")
        rows = pl.read_parquet(path, columns=list(table.columns), glob=False)
    except (pl.exceptions.PolarsError, OSError) as error:
        raise SourceError(f"{path} cannot be read as parquet ({_first_line(error)}). Check the file.") from error
    schema.check_lengths(rows, str(path))
    rows = rows.with_columns(pl.col(name).arr.to_list() for name, kind in rows.schema.items() if kind == pl.Array)
    texts = []
    for name in table.columns:
        kind, column = rows.schema[name], pl.col(name)
        if not isinstance(kind, pl.List):
            texts.append(schema.as_text(kind, column).fill_null(""))
        elif (name,) == table.labels:
            as_text = schema.as_text(kind.inner, pl.element())
            texts.append(column.fill_null([]).list.eval(as_text).cast(pl.List(pl.String)))
        else:
            raise SourceError(f"{path}: the column {name} holds lists; only a single column of labels may. Join them.")
    try:
        return rows.select(texts)
    except pl.exceptions.PolarsError as error:
        raise SourceError(f"{path}: a column cannot be written as text ({_first_line(error)}). Convert it.") from error


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0]  # polars adds the whole query


MAX_CHARACTERS: Final = 100  # of a label, which is in the names of metrics
SEPARATORS: Final = set(";|/\\+&\t")  # what people put between labels
_YES: Final = ("1", "1.0", "true")
_NO: Final = ("0", "0.0", "false", "")


def _add_labels(rows: pl.DataFrame, table: TableConfig, path: Path) -> pl.DataFrame:
    """Replace the columns of labels by `genres`, sorted lists of distinct labels, perhaps empty.

    One column holds separated labels or lists of labels; each of several columns is a label, and holds 0 or 1 (also
    true, false or nothing).
    """
    labels = rows[table.labels[0]] if len(table.labels) == 1 else _of_indicators(rows, table, path)
    labels = labels.str.split(table.separator) if labels.dtype == pl.String else labels
    tidy = pl.element().str.replace_all(r"\s+", " ").str.strip_chars(" ")
    labels = labels.list.eval(tidy.filter(tidy != "").unique().sort()).alias("genres")
    distinct = labels.explode().unique().drop_nulls().sort()
    odd = distinct.filter(distinct.str.contains("[,=]") | (distinct.str.len_chars() > MAX_CHARACTERS))
    if odd.len():
        raise DataError(
            f"{path}: the label {odd[0][:60]!r} of the row {rows.filter(labels.list.contains(odd[0]))[table.id][0]} "
            "has a comma or an equals sign, which separate labels in outputs, or more than "
            f"{MAX_CHARACTERS} characters. Rename it, or check `table.separator`, which is {table.separator!r}."
        )
    return rows.drop(table.labels).hstack([labels])


def _of_indicators(rows: pl.DataFrame, table: TableConfig, path: Path) -> pl.Series:
    cells = rows.select(pl.col(table.labels).str.strip_chars().str.to_lowercase())
    for name in table.labels:
        odd = rows.filter(~cells[name].is_in([*_YES, *_NO]))
        if odd.height:
            raise DataError(
                f"{path}: the column {name} of the row {odd[table.id][0]} holds {odd[name][0][:40]!r}. If labels have "
                "a column each, it must hold 0 or 1; if one column lists the labels, give only that as `table.labels`."
            )
    named = [pl.when(pl.col(name).is_in(_YES)).then(pl.lit(name)) for name in table.labels]
    return cells.select(pl.concat_list(named).list.drop_nulls()).to_series()


def _drop_rare_labels(movies: pl.DataFrame, table: TableConfig, path: Path, ledger: Ledger) -> pl.DataFrame:
    """Remove labels with fewer than `min_rows` rows, and rows that had no others; count both."""
    counts = movies["genres"].explode().value_counts().sort("genres")
    kept = counts.filter(pl.col("count") >= table.min_rows)["genres"]
    rare = counts.filter(pl.col("count") < table.min_rows)
    ledger.counts.update({f"rare_label/{label}": count for label, count in rare.iter_rows()})
    if kept.len() > MAX_LABELS:
        enough = counts["count"].sort(descending=True)[MAX_LABELS] + 1
        raise DataError(
            f"{path} has {kept.len():,} labels of at least {table.min_rows} rows, more than the maximum of "
            f"{MAX_LABELS}. Leave rare ones out with --table.min-rows {enough}, or name another column of labels."
        )
    if kept.len() < 2:
        found = ", ".join(f"{label} ({count})" for label, count in counts.head(20).iter_rows())
        raise DataError(
            f"{path}: {kept.len()} label has at least {table.min_rows} rows, of {counts.height} in all ({found}); a "
            f"classifier needs two. Are labels separated by {table.separator!r}? Or lower --table.min-rows."
        )
    left = movies.with_columns(pl.col("genres").list.set_intersection(kept.to_list()).list.sort())
    left = left.filter(pl.col("genres").list.len() > 0)
    ledger.counts["dropped/only_rare_labels"] = movies.height - left.height
    if names := rare["genres"].to_list():
        logger.warning(
            "clean: left out %d labels of fewer than %d rows, and %d rows that had no others: %s%s%s",
            *(len(names), table.min_rows, movies.height - left.height, ", ".join(names[:20])),
            f" and {len(names) - 20} more" if len(names) > 20 else "",
            f". Are labels separated by {table.separator!r}?" if SEPARATORS.intersection("".join(names)) else "",
        )
    return left


def _rename(rows: pl.DataFrame, table: TableConfig) -> pl.DataFrame:
    """Return rows with the pipeline's column names; fields that listings also have keep their names."""
    listed = [name for name in table.fields if name in LISTING_FIELDS]
    own = [schema.own(name, pl.col(name)) for name in table.fields if name not in LISTING_FIELDS]
    return rows.select(
        pl.col(table.id).str.strip_chars().alias("movie_id"),
        (pl.lit("") if table.title is None else pl.col(table.title)).alias("movie_name"),
        pl.col(table.text).alias("description"),
        "genres",
        *[(pl.col(raw) if raw in listed else pl.lit("")).alias(raw) for raw in SIDE_FIELDS.values()],
        (pl.concat_list(own).list.drop_nulls() if own else pl.lit([], pl.List(pl.String))).alias("own_fields"),
        pl.lit("listing").alias("description_source"),
        pl.lit(value=False).alias("is_truncated"),
        "is_short",
    )


def _merge_rows(rows: pl.DataFrame, source: Path, ledger: Ledger) -> pl.DataFrame:
    """Return one row per id, with the labels of all its rows and the other values of the first."""
    _check_some_are_left(rows, source, ledger)
    unusable = rows.filter(~pl.col("movie_id").str.contains(schema.MOVIE_ID_PATTERN))["movie_id"]
    if unusable.len():
        raise DataError(
            f"{source}: {unusable.len()} ids have other characters than letters, digits and _.:-, the first is "
            f"{unusable[0][:60]!r}. Change them, or name another column as `table.id`."
        )
    by_id = rows.group_by("movie_id", maintain_order=True)
    texts = by_id.agg(pl.col("description").n_unique()).filter(pl.col("description") > 1)
    if not texts.is_empty():
        raise DataError(
            f"{source}: {texts.height} ids have several texts, the first is {texts['movie_id'][0]!r}. Name a column as "
            "`table.id` that is unique."
        )
    merged = by_id.agg(pl.col("genres").explode().unique().sort(), pl.exclude("movie_id", "genres").first())
    ledger.counts["merged/same_movie"] = rows.height - merged.height
    return merged


def _check_some_are_left(rows: pl.DataFrame, source: Path, ledger: Ledger) -> None:
    if rows.is_empty():
        raise DataError(
            f"{source}: no row is left of {ledger.explain_loss()}. Check the file, the columns that `table` names, and "
            "the options of clean.prune."
        )


GENRE_COLUMNS: Final = ("genre", "genres", "encoded_genre")  # the first that is not blank counts


def import_clean_data(paths: DataPaths, csv_path: Path) -> StageResult:
    """Make a cleaned CSV, such as the earlier system's `clean_data.csv`, the cleaned table in `paths.clean`.

    Required columns are `movie_id`, `description`, and one of `genre`, `genres`, `encoded_genre` in any form that
    `parse_genres` reads; `movie_name` and the listings' side fields are used, others ignored. The order of an encoding
    is that of `paths.downloaded_genres`, or alphabetical. Texts are not changed; rows that later stages could not use
    are dropped.
    """
    if not csv_path.is_file():
        raise SourceError(f"{csv_path} does not exist. Download it first, or correct the path.")
    names_file = paths.downloaded_genres
    inputs = (csv_path, names_file) if names_file.is_file() else (csv_path,)

    def build(ledger: Ledger) -> pl.DataFrame:
        return _read_clean_data(csv_path, names_file, ledger)

    return run_clean(paths, inputs, {"imported": csv_path.name}, (), build)


def _read_clean_data(csv_path: Path, names_file: Path, ledger: Ledger) -> pl.DataFrame:
    optional = ("movie_name", *GENRE_COLUMNS, *SIDE_FIELDS.values())
    table = read_table(csv_path, ("movie_id", "description"), optional)
    ledger.note_damage(csv_path.name, table.damage)
    ledger.counts["rows_read"] = table.n_records
    rows = table.rows.with_columns(pl.col("movie_id").str.strip_chars())

    def drop(reason: str, is_unusable: pl.Expr) -> pl.DataFrame:
        kept = rows.filter(~is_unusable)
        ledger.counts[f"dropped/{reason}"] = rows.height - kept.height
        return kept

    if rows.height and not rows.select(pl.any_horizontal((pl.col(GENRE_COLUMNS) != "").any())).item():
        raise SourceError(f"{csv_path} has no genres: expected a column {' or '.join(GENRE_COLUMNS)}.")
    rows = drop("short_row", pl.col("is_short"))
    rows = drop("no_movie_id", pl.col("movie_id") == "")
    rows = drop("no_description", pl.col("description").str.strip_chars().is_in(schema.MISSING_TEXTS))
    rows = rows.with_columns(_parse_genres(csv_path, rows, names_file)).drop("genre", "encoded_genre", "is_short")
    rows = drop("no_genre", pl.col("genres").list.len() == 0)
    rows = drop("repeated_id", ~pl.col("movie_id").is_first_distinct())
    rows, unparsed = parse_fields(rows)
    ledger.counts.update({f"unparsed/{name}": count for name, count in unparsed.items()})
    description = pl.col("description").str
    rows = note_text_groups(rows.sort("movie_id"), ledger).with_columns(
        *PEOPLE,
        description_source=pl.lit("import"),
        is_truncated=description.contains(schema.ELLIPSIS) | description.contains(schema.ANY_TAIL),
    )
    if rows.is_empty():
        raise DataError(f"{csv_path}: no movie is left of {ledger.explain_loss()}. Check the file.")
    ledger.counts["movies_kept"] = rows.height
    note_unknown_genres(rows, ledger)
    return as_movies(rows)


def _parse_genres(csv_path: Path, rows: pl.DataFrame, names_file: Path) -> pl.Series:
    """Return the lists of genres of all rows; each distinct text is parsed once."""
    names = schema.read_genre_names(names_file)
    filled = pl.coalesce(pl.when(pl.col(name).str.strip_chars() != "").then(name) for name in GENRE_COLUMNS)
    texts = rows.select(filled.fill_null("").alias("genres")).to_series()
    parsed: dict[str, list[str]] = {}
    for field in texts.unique().sort():
        try:
            parsed[field] = list(schema.parse_genres(field, names))
        except ValueError as error:
            movie_id = rows.filter(texts == field)["movie_id"][0]
            raise DataError(
                f"{csv_path}, movie {movie_id}: the genres {field[:80]!r} cannot be read: {error}. Put the genres.json "
                "that belongs to the file into the download folder, or add a column of names."
            ) from error
    lists = pl.Series("genres", list(parsed.values()), pl.List(pl.String))
    distinct = pl.DataFrame([pl.Series("text", list(parsed), pl.String), lists])
    return texts.to_frame("text").join(distinct, on="text", how="left", maintain_order="left")["genres"]
