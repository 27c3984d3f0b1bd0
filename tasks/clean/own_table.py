"""The clean stage for a user's own table: rows (here movies) with labels (here genres) in, one row per id out."""

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import polars as pl

from tasks.clean.config import LISTING_FIELDS, CleanConfig, TableConfig
from tasks.clean.movies import PEOPLE, SIDE_FIELDS, as_movies, note_text_groups, parse_fields, run_clean, write_cleaned
from tasks.clean.profiles import table_profile
from tasks.clean.read import read_table
from tasks.clean.rules import Ledger, Profile, apply_rules
from tasks.core import schema
from tasks.core.errors import DataError, SourceError
from tasks.core.settings import DataPaths
from tasks.stage import StageResult, config_dict

logger = logging.getLogger(__name__)

FORMS: Final = (".csv", ".parquet")


def read_own_table(path: Path, table: TableConfig, ledger: Ledger) -> pl.DataFrame:
    """Return the mapped columns as texts (lists of texts if parquet has lists), and `is_short`.

    Missing values are empty texts. Whole numbers in parquet are written without a fraction.

    Raises:
        SourceError: the file is missing, of another type, unreadable, or lacks a column.
    """
    if not path.is_file() or path.suffix.lower() not in FORMS:
        state = "is not a .csv or .parquet file" if path.exists() else "does not exist"
        raise SourceError(f"{path} {state}: `source` must be the file that `table` describes.")
    if path.suffix.lower() == ".csv":
        read = read_table(path, table.columns)
        ledger.note_damage(path.name, read.damage)
        ledger.counts["rows_read"] = read.n_records
        return read.rows
    rows = _read_parquet(path, table)
    ledger.counts["rows_read"] = rows.height
    return rows.with_columns(is_short=pl.lit(value=False))


def _read_parquet(path: Path, table: TableConfig) -> pl.DataFrame:
    try:
        found = pl.read_parquet_schema(path)
        if missing := [name for name in table.columns if name not in found]:
            names = ", ".join(found) or "none"
            raise SourceError(f"{path}: no column {' or '.join(missing)} among {names}. Correct `table`.")
        rows = pl.read_parquet(path, columns=list(table.columns), glob=False)
    except (pl.exceptions.PolarsError, OSError) as error:
        raise SourceError(f"{path} cannot be read as parquet ({_first_line(error)}). Check the file.") from error
    lists = [name for name in rows.columns if isinstance(rows.schema[name], pl.List | pl.Array)]
    if odd := [name for name in lists if (name,) != table.labels]:
        raise SourceError(f"{path}: the column {odd[0]} holds lists; only a single column of labels may. Join them.")
    try:
        return rows.select(_as_text(rows, name) for name in table.columns)
    except pl.exceptions.PolarsError as error:
        raise SourceError(f"{path}: a column cannot be written as text ({_first_line(error)}). Convert it.") from error


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0]  # polars adds the whole query


def _as_text(rows: pl.DataFrame, name: str) -> pl.Expr:
    kind, column = rows.schema[name], pl.col(name)
    if isinstance(kind, pl.Array):
        column, kind = column.arr.to_list(), pl.List(kind.inner)
    if isinstance(kind, pl.List):
        return column.fill_null([]).list.eval(schema.as_text(kind.inner, pl.element())).cast(pl.List(pl.String))
    return schema.as_text(kind, column).fill_null("")


MAX_LABELS: Final = 200  # beyond, pictures and decision rules are useless
MAX_CHARACTERS: Final = 100  # of a label, which is in the names of metrics
_SEPARATES: Final = ",="  # labels in outputs and decision rules
_YES: Final = ("1", "1.0", "true")
_NO: Final = ("0", "0.0", "false", "")


def add_labels(rows: pl.DataFrame, table: TableConfig, path: Path) -> pl.DataFrame:
    """Replace the columns of labels by `genres`, sorted lists of distinct labels, perhaps empty.

    One column holds separated labels or lists of labels; each of several columns is a label, and holds 0 or 1 (also
    true, false or nothing). Spaces around labels are ignored.

    Raises:
        DataError: a cell is neither 0 nor 1, or a label holds a comma or an equals sign or is too long.
    """
    if len(table.labels) > 1:
        labels = _of_indicators(rows, table, path)
    elif rows.schema[table.labels[0]] == pl.String:
        labels = rows[table.labels[0]].str.split(table.separator)
    else:
        labels = rows[table.labels[0]]
    tidy = pl.element().str.replace_all(r"\s+", " ").str.strip_chars(" ")
    labels = labels.list.eval(tidy.filter(tidy != "").unique().sort()).alias("genres")
    _check(rows, labels, table, path)
    return rows.drop(table.labels).hstack([labels])


def _of_indicators(rows: pl.DataFrame, table: TableConfig, path: Path) -> pl.Series:
    cells = rows.select(pl.col(table.labels).str.strip_chars().str.to_lowercase())
    for name in table.labels:
        odd = rows.filter(~cells[name].is_in([*_YES, *_NO]))
        if odd.height:
            value, row_id = odd[name][0], odd[table.id][0]
            raise DataError(
                f"{path}: the column {name} of the row {row_id} holds {value[:40]!r}. If labels have a column each, it "
                "must hold 0 or 1; if one column lists the labels, give only that as `table.labels`."
            )
    named = [pl.when(pl.col(name).is_in(_YES)).then(pl.lit(name)) for name in table.labels]
    return cells.select(pl.concat_list(named).list.drop_nulls()).to_series()


def _check(rows: pl.DataFrame, labels: pl.Series, table: TableConfig, path: Path) -> None:
    different = labels.explode().unique().drop_nulls().sort()
    odd = different.filter(different.str.contains(f"[{_SEPARATES}]") | (different.str.len_chars() > MAX_CHARACTERS))
    if odd.len():
        label = odd[0]
        row_id = rows.filter(labels.list.contains(label))[table.id][0]
        raise DataError(
            f"{path}: the label {label[:60]!r} of the row {row_id} has a comma or an equals sign, which separate labels"
            f" in outputs, or more than {MAX_CHARACTERS} characters. Rename it, or check `table.separator`, which is "
            f"{table.separator!r}."
        )


def drop_rare_labels(movies: pl.DataFrame, table: TableConfig, path: Path, ledger: Ledger) -> pl.DataFrame:
    """Remove labels with fewer than `min_rows` rows, and rows that had no others; count both.

    Raises:
        DataError: fewer than two labels are left, or more than `MAX_LABELS`.
    """
    counts = movies.select(pl.col("genres").explode()).to_series().value_counts().sort("genres")
    kept = counts.filter(pl.col("count") >= table.min_rows)["genres"]
    for label, count in counts.filter(pl.col("count") < table.min_rows).iter_rows():
        ledger.counts[f"rare_label/{label}"] = count
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
    has_label = left["genres"].list.len() > 0
    ledger.counts["dropped/only_rare_labels"] = int((~has_label).sum())
    return left.filter(has_label)


SEPARATORS: Final = set(";|/\\+&\t")  # what people put between labels


def clean_own_table(paths: DataPaths, source: Path, table: TableConfig, config: CleanConfig) -> StageResult:
    """Clean a user's CSV or parquet file into `paths.clean`, unless that is up to date; the file is not changed.

    Rows with the same id and text become one, with the labels of all.

    Returns:
        Counts: `rows_read` is the sum of `movies_kept`, `merged/same_movie` and all `dropped/<rule>`; also
        `changed/<rule>`, `repaired/<damage>`, `unparsed/<field>`, `rare_label/<label>` (rows) and
        `text_groups/<what>`.

    Raises:
        SourceError: the file is missing, unreadable or without a mapped column.
        DataError: an id or a label cannot be used, the labels are too few or too many, or no row is left.
        ConfigError: a rule to disable does not exist, or an option for listings is given.
    """
    profile = table_profile(config)
    inputs = (source,) if source.is_file() else ()

    def build(folder: Path) -> Mapping[str, int]:
        ledger = Ledger()
        movies = build_own_movies(source, table, profile, ledger)
        if rare := sorted(key.partition("/")[2] for key in ledger.counts if key.startswith("rare_label/")):
            logger.warning(
                "clean: left out %d labels of fewer than %d rows, and %d rows that had no others: %s%s",
                *(len(rare), table.min_rows, ledger.counts["dropped/only_rare_labels"], _some(rare)),
                f". Are labels separated by {table.separator!r}?" if SEPARATORS.intersection("".join(rare)) else "",
            )
        return write_cleaned(movies, ledger, profile.rules, paths, folder)

    return run_clean(paths, inputs, {"table": config_dict(table), **config_dict(config)}, Path(__file__), build)


def build_own_movies(source: Path, table: TableConfig, profile: Profile, ledger: Ledger) -> pl.DataFrame:
    """Return the movies of a table (`schema.MOVIES`, sorted by id), and record what happened to every row."""
    rows = add_labels(read_own_table(source, table, ledger), table, source)
    rows = apply_rules(_named(rows, table), profile.row_rules, ledger).drop("is_short")
    movies = _merge_rows(rows, source, ledger).sort("movie_id")
    movies = apply_rules(movies, (*profile.movie_rules, *profile.table_rules, *profile.prune_rules), ledger)
    _check_some_are_left(movies, source, ledger)
    movies = drop_rare_labels(movies, table, source, ledger)
    movies, unparsed = parse_fields(movies)
    read_as_listed = {name for name, raw in SIDE_FIELDS.items() if raw in LISTING_FIELDS and raw in table.fields}
    ledger.counts.update({f"unparsed/{name}": count for name, count in unparsed.items() if name in read_as_listed})
    movies = as_movies(note_text_groups(movies.with_columns(PEOPLE), ledger))
    ledger.counts["movies_kept"] = movies.height
    return movies


def _named(rows: pl.DataFrame, table: TableConfig) -> pl.DataFrame:
    """Return rows with the pipeline's column names; fields that listings also have keep their names."""
    listed = [name for name in table.fields if name in LISTING_FIELDS]
    own = [schema.own(name, pl.col(name)) for name in table.fields if name not in LISTING_FIELDS]
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
    """Return one row per id, with the labels of all its rows and the other values of the first.

    Raises:
        DataError: an id is unusable, or has several texts; or there is no row.
    """
    _check_some_are_left(rows, source, ledger)
    unusable = rows.filter(~pl.col("movie_id").str.contains(schema.MOVIE_ID_PATTERN))["movie_id"]
    if unusable.len():
        raise DataError(
            f"{source}: {unusable.len()} ids have other characters than letters, digits and _.:-, the first is "
            f"{unusable[0][:60]!r}. Change them, or name another column as `table.id`."
        )
    by_id = rows.group_by("movie_id", maintain_order=True)
    texts = by_id.agg(pl.col("description").n_unique()).filter(pl.col("description") > 1)
    if texts.height:
        raise DataError(
            f"{source}: {texts.height} ids have several texts, the first is {texts['movie_id'][0]!r}. Name a column as "
            "`table.id` that is unique."
        )
    others = [name for name in rows.columns if name not in ("movie_id", "genres")]
    merged = by_id.agg(pl.col("genres").explode().unique().sort(), pl.col(others).first())
    ledger.counts["merged/same_movie"] = rows.height - merged.height
    return merged


def _check_some_are_left(rows: pl.DataFrame, source: Path, ledger: Ledger) -> None:
    if rows.is_empty():
        raise DataError(
            f"{source}: no row is left of {ledger.explain_loss()}. Check the file, the columns that `table` names, and "
            "the options of clean.prune."
        )


def _some(names: list[str]) -> str:
    return ", ".join(names[:20]) + (f" and {len(names) - 20} more" if len(names) > 20 else "")
