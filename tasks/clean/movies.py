"""The clean stage: listings in, one row per movie out."""

import inspect
import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import polars as pl
import polars.selectors as cs

from tasks.clean.near_duplicates import count_groups, group_texts
from tasks.clean.profiles import CleanConfig, build_profile, split_genres
from tasks.clean.read import find_listings, read_table
from tasks.clean.rules import Ledger, Profile, Rule, apply_rules
from tasks.core import schema
from tasks.core.errors import DataError, name_some
from tasks.core.files import write_json
from tasks.core.settings import DataPaths
from tasks.stage import Stage, StageResult, config_dict, run_stage

logger = logging.getLogger(__name__)

PART_ROWS: Final = 500_000
SLICE_ROWS: Final = 500_000
MAX_LABELS: Final = 200  # beyond, pictures and decision rules are useless
ROW_GROUP_SIZE: Final = 65_536  # of the parquet file
_MAX_ROWS: Final = 2**32  # what a polars row index can count

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
PEOPLE: Final = [schema.people(pl.col(name)) for name in LIST_FIELDS]


def rating(raw: pl.Expr) -> pl.Expr:
    """Parse a rating from 0 to 10."""
    number = raw.str.extract(r"^\s*([0-9]{1,2}(?:\.[0-9]+)?)\s*$").cast(schema.MOVIES["rating"])
    return pl.when(number <= 10).then(number)


def votes(raw: pl.Expr) -> pl.Expr:
    """Parse a count: `1,234` and `1234.0` are 1234."""
    digits = raw.str.extract(r"^\s*([0-9][0-9,]*)(?:\.0*)?\s*$").str.replace_all(",", "", literal=True)
    return digits.cast(schema.MOVIES["votes"], strict=False)


_PARSERS: Final[dict[str, Callable[[pl.Expr], pl.Expr]]] = {
    "year": schema.year,
    "certificate": schema.certificate,
    "runtime_min": schema.runtime_min,
    "rating": rating,
    "votes": votes,
}


def parse_fields(rows: pl.DataFrame) -> tuple[pl.DataFrame, dict[str, int]]:
    """Return the rows with parsed side fields, and by field how many non-blank values became null, as unparsable.

    The lists of people keep their text under the new name.
    """
    parsed = rows.select(parse(pl.col(SIDE_FIELDS[name])).alias(name) for name, parse in _PARSERS.items())
    failed = {name: rows[SIDE_FIELDS[name]].filter(parsed[name].is_null()) for name in _PARSERS}
    unparsed = {name: int(texts.str.contains(r"\S").sum()) for name, texts in failed.items()}
    people = rows.select(pl.col(SIDE_FIELDS[name]).alias(name) for name in LIST_FIELDS)
    people = people.with_columns(pl.when(pl.all() != "").then(pl.all()))
    return rows.drop(SIDE_FIELDS.values()).hstack(parsed).hstack(people), unparsed


def read_rows(path: Path, profile: Profile, ledger: Ledger) -> pl.DataFrame:
    """Return the rows of a listing that pass the row rules: id, name, genre text, description and side fields."""
    table = read_table(path, schema.REQUIRED_RAW_COLUMNS, tuple(SIDE_FIELDS.values()))
    ledger.note_damage(path.name, table.damage)
    ledger.counts["rows_read"] += table.n_records
    rows, unparsed = parse_fields(apply_rules(table.rows, profile.row_rules, ledger).drop("is_short"))
    ledger.counts.update({f"unparsed/{name}": count for name, count in unparsed.items()})
    logger.info("clean: %s: %d rows, %d of them usable", path.name, table.n_records, rows.height)
    return rows


def merge_rows(tables: list[pl.DataFrame], profile: Profile) -> pl.DataFrame:
    """Merge the rows of each movie, some movies at a time, to save memory; in no particular order.

    `tables`, from `read_rows` in the order of the listings, is emptied on the way.
    """
    genres = split_genres(pl.concat([table["genre"] for table in tables]))
    n_parts = -(-sum(table.height for table in tables) // PART_ROWS) or 1
    parts: list[list[pl.DataFrame]] = [[] for _ in range(n_parts)]
    while tables:
        table = tables.pop(0)
        number_of_part = table["movie_id"].hash(seed=0) % n_parts  # all rows of a movie are in one part
        for number, part in enumerate(parts):
            part.append(table.filter(number_of_part == number) if n_parts > 1 else table)
    merged = [_merge_part(pl.concat(parts.pop()), profile, genres) for _ in range(n_parts)]
    return pl.concat(merged, rechunk=True)  # lists in several chunks take four times their memory to sort


def _merge_part(rows: pl.DataFrame, profile: Profile, genres: pl.DataFrame) -> pl.DataFrame:
    rows = rows.join(genres, on="genre", how="left", maintain_order="left").drop("genre")
    is_alone = ~rows.select(profile.identity).is_duplicated()
    several = rows.filter(~is_alone).with_row_index("row")
    # One integer that is greatest for the preferred row and, on ties, for the first.
    rank = profile.preference.cast(pl.Int64) * _MAX_ROWS + (_MAX_ROWS - 1 - pl.col("row").cast(pl.Int64))
    firsts = [name for name in ("movie_name", *SIDE_FIELDS) if name not in profile.identity]
    merged = several.group_by(profile.identity).agg(
        pl.col(firsts).first(ignore_nulls=True),
        pl.col("genres").explode().drop_nulls().unique().sort(),
        rank.max().alias("rank"),
    )
    preferred = _MAX_ROWS - 1 - merged["rank"] % _MAX_ROWS
    merged = merged.with_columns(several["description"].gather(preferred))
    return pl.concat([merged.select(rows.columns), rows.filter(is_alone)])


def join_crawled(movies: pl.DataFrame, path: Path | None, ledger: Ledger) -> pl.DataFrame:
    """Add the column `crawled`: the first non-empty crawled text of each movie, else null."""
    if path is None:
        return movies.with_columns(crawled=pl.lit(None, pl.String))
    table = read_table(path, ("movie_id", "description"))
    ledger.note_damage(path.name, table.damage, prefix="crawl/")
    filled = table.rows.filter(~pl.col("description").is_in(schema.MISSING_TEXTS))
    first = filled.unique("movie_id", keep="first", maintain_order=True).select("movie_id", crawled="description")
    unknown = first.join(movies, on="movie_id", how="anti")
    counts = {"rows_read": table.n_records, "empty": table.rows.height - filled.height}
    counts |= {"repeated_id": filled.height - first.height, "unknown_id": unknown.height}
    ledger.counts.update({f"crawl/{name}": count for name, count in counts.items()})
    return movies.join(first, on="movie_id", how="left", maintain_order="left")


def clean_movies(paths: DataPaths, config: CleanConfig) -> StageResult:
    """Clean the listings in `paths.raw`, with the crawled texts if there are any, into `paths.clean`.

    Returns:
        Counts: `rows_read` is the sum of `movies_kept`, `merged/same_movie` and all `dropped/<rule>`; also
        `changed/<rule>` (rows or movies), `repaired/<damage>`, `unparsed/<field>` (rows), `crawl/<what>` (rows),
        `unknown_genre/<name>` (movies), and of movies that share a text `text_groups/groups`, `/movies` and
        `/largest`.

    Raises:
        SourceError: there is no listing, or one cannot be read.
        DataError: no movie is left.
        ConfigError: a rule to disable does not exist.
    """
    profile, listings = build_profile(config), find_listings(paths.raw)
    crawl = paths.crawl_csv if paths.crawl_csv.is_file() else None
    inputs = (*listings, crawl) if crawl else tuple(listings)

    def build(ledger: Ledger) -> pl.DataFrame:
        movies = build_movies(listings, crawl, profile, ledger)
        if movies.is_empty():
            raise DataError(
                f"{paths.raw}: no movie is left of {ledger.explain_loss()}. Check the files, or disable a rule with "
                "--clean.disable."
            )
        return movies

    return run_clean(paths, inputs, config_dict(config), profile.rules, build)


def run_clean(
    paths: DataPaths,
    inputs: tuple[Path, ...],
    config: dict[str, Any],
    rules: Iterable[Rule],
    build: Callable[[Ledger], pl.DataFrame],
) -> StageResult:
    """Run a stage that builds the cleaned table, `schema.MOVIES`, sorted; it replaces the result of the others.

    It writes the movies as parquet and as CSV, the list of genres, and what each rule did.
    """
    outputs = (paths.movies.name, paths.clean_csv.name, paths.genres_json.name, paths.dropped.name)
    code, packages = (Path(inspect.getfile(build)),), ("numpy", "polars", "simplemma")
    stage = Stage("clean", paths.clean, outputs, inputs, config, code, packages)

    def write(folder: Path) -> Mapping[str, int]:
        ledger = Ledger()
        movies = build(ledger)
        # One chunk per group, so that the bytes do not depend on the number of threads that made the frame; with its
        # own lists, since for each group the writer goes through all lists of the chunk.
        own_lists = cs.list().gather(pl.int_range(pl.len()))
        groups = [rows.rechunk().with_columns(own_lists) for rows in movies.iter_slices(ROW_GROUP_SIZE)]
        pl.concat(groups).write_parquet(folder / paths.movies.name, row_group_size=ROW_GROUP_SIZE)
        joined = [pl.col(name).list.join(", ") for name, dtype in schema.MOVIES.items() if dtype == pl.List(pl.String)]
        with (folder / paths.clean_csv.name).open("wb") as file:  # by slices: joined, the people of millions are large
            for number, rows in enumerate(movies.iter_slices(ROW_GROUP_SIZE)):
                rows.with_columns(joined).write_csv(file, include_header=number == 0)
        write_json(folder / paths.genres_json.name, sorted(movies["genres"].explode().unique()))
        write_json(folder / paths.dropped.name, ledger.report(rules))
        return ledger.counts

    return run_stage(stage, write)


def build_movies(listings: Sequence[Path], crawl: Path | None, profile: Profile, ledger: Ledger) -> pl.DataFrame:
    """Return the movies of some listings (`schema.MOVIES`, sorted by id), and record what became of every row."""
    ledger.counts["rows_read"] = 0
    tables = [read_rows(path, profile, ledger) for path in listings]
    n_rows = sum(table.height for table in tables)
    movies = merge_rows(tables, profile)
    ledger.counts["merged/same_movie"] = n_rows - movies.height
    # In the order of the identity: if that is the id alone, no two are equal, and polars sorts pairs twice as fast.
    order = movies.select(pl.arg_sort_by("movie_id", "movie_name")).to_series()
    # Side fields wait until the rules are done: rules copy what they filter, and these are the larger half.
    sides = movies.select(*SIDE_FIELDS)
    movies = movies.select("movie_id", "movie_name", "description", "genres")[order].with_columns(
        place=order, description_source=pl.lit("listing"), is_truncated=pl.lit(value=False)
    )
    movies = join_crawled(movies, crawl, ledger)
    # Sorted texts still refer to the listings' memory; every rule reads copies twice as fast.
    copies = [(pl.col(name) + "").alias(name) for name in ("movie_name", "description")]
    movies = _in_slices(movies, lambda some: apply_rules(some.with_columns(copies), profile.movie_rules, ledger))
    movies = note_text_groups(apply_rules(movies, (*profile.table_rules, *profile.prune_rules), ledger), ledger)
    ledger.counts["movies_kept"] = movies.height
    sides = _in_slices(sides[movies["place"]], lambda some: some.with_columns(PEOPLE))
    movies = as_movies(movies.hstack(sides))
    note_unknown_genres(movies, ledger)
    return movies


def as_movies(rows: pl.DataFrame) -> pl.DataFrame:
    """Return the columns of `schema.MOVIES`; without own fields each row has an empty list of them."""
    own = pl.col("own_fields") if "own_fields" in rows.columns else pl.lit([], schema.MOVIES["own_fields"])
    return rows.with_columns(own_fields=own).select(pl.col(name).cast(dtype) for name, dtype in schema.MOVIES.items())


def _in_slices(frame: pl.DataFrame, change: Callable[[pl.DataFrame], pl.DataFrame]) -> pl.DataFrame:
    """Change a frame some rows at a time, so that intermediate copies stay small."""
    slices = frame.iter_slices(SLICE_ROWS) if frame.height else iter([frame])
    return pl.concat([change(some) for some in slices])


def note_text_groups(movies: pl.DataFrame, ledger: Ledger) -> pl.DataFrame:
    """Add `text_group` and count the groups."""
    movies = group_texts(movies)
    counts = count_groups(movies)
    ledger.counts.update({f"text_groups/{name}": count for name, count in counts.items()})
    logger.info("clean: %d near-duplicate movies in %d groups", counts["movies"], counts["groups"])
    return movies


def note_unknown_genres(movies: pl.DataFrame, ledger: Ledger) -> None:
    """Count the movies of each genre that the site does not have; some are kept, since users bring their own."""
    genres = movies["genres"].explode()
    unknown = genres.filter(~genres.is_in(schema.GENRES)).value_counts().sort("genres")
    if unknown.height > MAX_LABELS:
        some = name_some(unknown["genres"], 5)
        raise DataError(
            f"{unknown.height:,} genres are not the site's ({some}), more than {MAX_LABELS}: is the column genre one "
            "of genres, separated by commas?"
        )
    ledger.counts.update({f"unknown_genre/{name}": count for name, count in unknown.iter_rows()})
    if unknown.height:
        logger.warning("clean: kept %d unknown genres: %s", unknown.height, ", ".join(unknown["genres"].head(20)))
