"""The stages of the exploration: raw listings, clean movies, and the page that shows them next to each other."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import polars as pl
from pydantic import BaseModel, ConfigDict

from tasks.core import page as html
from tasks.core.errors import DataError
from tasks.core.figures import SVG_ONLY, Form, picture_files, write_picture
from tasks.core.page import write_safe_csv
from tasks.core.settings import DataPaths
from tasks.explore.config import ExploreConfig, Part
from tasks.explore.figures import EXHIBITS, PLACEHOLDERS, Exhibit, exhibit_movies, exhibit_placeholders
from tasks.explore.tables import (
    BETWEEN,
    CONFLICTS,
    KEYS,
    conflict_file,
    find_conflicts,
    is_text,
    kind_of_description,
    say_text_groups,
    without_tail,
)
from tasks.stage import Stage, StageResult, config_dict, run_stage

logger = logging.getLogger(__name__)

COLUMNS = ("movie_id", "movie_name", "year", "genre", "description")
MOVIE_COLUMNS = ("movie_id", "movie_name", "year", "genres", "description", "text_group")
FINDINGS_FILE: Final = "findings.json"
PAGE_FILE: Final = "index.html"
EXAMPLES: Final = 3
LONGEST_EXAMPLE: Final = 90  # characters
TITLES: Final = {"raw": "Raw listings", "clean": "Clean movies"}
LEADING: Final = (PLACEHOLDERS, "genres", "lengths", "words")  # exhibits with their sentences on top of the page

_PACKAGES: Final = ("matplotlib", "polars", "wordcloud")


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class PictureFinding(_Frozen):
    """A picture with its sentence; its files are `<name>.svg`, `.png` and `.csv` in the part's folder."""

    name: str
    title: str
    sentence: str
    is_wide: bool


class ConflictFinding(_Frozen):
    """How often one kind of conflict occurs, and its first cases: each a key and some of its values."""

    key: str
    value: str
    file: str
    count: int
    n_of_several: int  # cases in which several movies share the key, such as a remake's name
    examples: tuple[tuple[str, tuple[str, ...]], ...]


class Findings(_Frozen):
    """The page's content about the raw or the clean data."""

    part: Part
    summary: str
    pictures: tuple[PictureFinding, ...] = ()
    conflicts: tuple[ConflictFinding, ...] = ()


@dataclass(frozen=True)
class Listings:
    """The rows of all readable files, and why files or rows are missing."""

    rows: pl.DataFrame  # file, movie_id, movie_name, year (Int32), genres (sorted list), description, kind
    unreadable_files: tuple[str, ...]
    rows_without_id: int


def raw_files(folder: Path) -> tuple[Path, ...]:
    """Return the listings in a folder, sorted by name.

    Raises:
        DataError: there is none.
    """
    files = tuple(sorted(path for path in folder.glob("*.csv") if path.is_file()))
    if not files:
        raise DataError(f"{folder}: expected per-genre listings (*.csv), found none; run the acquire stage first")
    return files


def read_listings(files: Sequence[Path]) -> Listings:
    """Read per-genre CSVs without cleaning: damaged bytes are replaced, extra fields ignored, absent columns empty.

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
    """Gather listings by id: all genres, the longest description (no placeholder or tail), the first name and year."""
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
        DataError: the file is not parquet, lacks a column of `MOVIE_COLUMNS`, or is empty.
    """
    try:
        movies = pl.read_parquet(path, columns=list(MOVIE_COLUMNS))
    except pl.exceptions.PolarsError as error:
        reason = str(error).partition("\n")[0]
        raise DataError(
            f"{path}: expected parquet with {', '.join(MOVIE_COLUMNS)} ({reason}); run the clean stage again"
        ) from error
    if movies.is_empty():
        raise DataError(f"{path} has no movies; look at what the clean stage dropped, then run it again")
    return movies


def _strip(column: str) -> pl.Expr:
    """Return a text column with single spaces instead of line breaks and runs of spaces, and null for blank texts."""
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


def explore_part(paths: DataPaths, config: ExploreConfig, forms: Sequence[Form], part: Part) -> StageResult:
    """Write pictures and tables about the raw or the clean data.

    Raises:
        DataError: there is no such data, or nothing in it can be read.
    """
    return (explore_raw if part == "raw" else explore_clean)(paths, config, forms)


def explore_raw(paths: DataPaths, config: ExploreConfig, forms: Sequence[Form] = SVG_ONLY) -> StageResult:
    """Write pictures and tables about the raw listings to `explore/raw`.

    Raises:
        DataError: there are no listings, or nothing in them can be read.
    """
    files = raw_files(paths.raw)

    def build(folder: Path) -> Mapping[str, Any]:
        listings = read_listings(files)
        movies = movies_of_listings(listings.rows)
        summary = (
            f"Raw listings: {listings.rows.height:,} rows in {len(files) - len(listings.unreadable_files)} files, "
            f"about {movies.height:,} different movies, before any cleaning. All pictures but that of placeholders "
            "count each movie once, with the genres of all its rows and its longest description."
        )
        if listings.unreadable_files:
            summary += f" Files that cannot be read: {', '.join(listings.unreadable_files)}."
        exhibits = [exhibit_placeholders(listings.rows), *exhibit_movies(movies, config)]
        found = Findings(part="raw", summary=summary)
        return {
            "rows": listings.rows.height,
            "movies": movies.height,
            "rows_without_id": listings.rows_without_id,
            "unreadable_files": list(listings.unreadable_files),
            **_write_part(folder, found, exhibits, listings.rows, forms),
        }

    return run_stage(_stage("raw", paths, config, files, forms), build)


def explore_clean(paths: DataPaths, config: ExploreConfig, forms: Sequence[Form] = SVG_ONLY) -> StageResult:
    """Write pictures and tables about the cleaned movies to `explore/clean`.

    Raises:
        DataError: the cleaned table is missing, damaged or empty.
    """

    def build(folder: Path) -> Mapping[str, Any]:
        movies = read_movies(paths.movies)
        summary = (
            f"Clean movies: {movies.height:,} movies after cleaning, one row each; models are trained and tested on "
            f"them. {say_text_groups(movies)}"
        )
        found = Findings(part="clean", summary=summary)
        exhibits = exhibit_movies(movies, config)
        return {"movies": movies.height, **_write_part(folder, found, exhibits, movies, forms)}

    return run_stage(_stage("clean", paths, config, (paths.movies,), forms), build)


def write_page(paths: DataPaths, config: ExploreConfig) -> StageResult:
    """Write `explore/index.html` about the parts that `config.of` names, which must have been explored before."""
    # A part's sidecar holds the hashes of all its files.
    sidecars = [_stage(part, paths, config, ()).sidecar for part in config.parts]
    banner = html.INVENTED if html.is_invented(paths.raw) else ""
    choices = {"of": config.of, "banner": banner}
    stage = Stage("explore", paths.explore, (PAGE_FILE,), tuple(sidecars), choices, (Path(__file__), *html.PAGE_FILES))

    def build(folder: Path) -> Mapping[str, Any]:
        texts = [(paths.explore / part / FINDINGS_FILE).read_text(encoding="utf-8") for part in config.parts]
        parts = [Findings.model_validate_json(text) for text in texts]
        sections = [_lead(parts), *_exhibit_sections(parts, paths.explore), _conflict_section(parts)]
        page = html.Page("The data in pictures", "", sections, paths.explore, banner)
        (folder / PAGE_FILE).write_text(html.render_page(page), encoding="utf-8")
        return {"pictures": len(html.pictures_in(sections))}

    return run_stage(stage, build)


def _lead(parts: Sequence[Findings]) -> html.Section:
    last = {picture.name: picture.sentence for part in parts for picture in part.pictures}  # of clean rather than raw
    sentences = [*(part.summary for part in parts), *(last[name] for name in LEADING if name in last)]
    sentences += [sentence for part in parts for sentence in _say_conflicts(part)[:1]]
    return html.Section("findings", "Findings", [html.Bullets([(sentence, "") for sentence in sentences])])


def _exhibit_sections(parts: Sequence[Findings], folder: Path) -> list[html.Section]:
    """Return one section per exhibit, with its pictures of the raw and of the clean data next to each other."""
    shown: dict[str, list[tuple[Part, PictureFinding]]] = {}
    for part in parts:
        for picture in part.pictures:
            shown.setdefault(picture.name, []).append((part.part, picture))
    return [
        html.Section(name, sides[0][1].title, [html.Pair([_picture(part, picture, folder) for part, picture in sides])])
        for name, sides in shown.items()
    ]


def _picture(part: Part, picture: PictureFinding, folder: Path) -> html.Picture:
    files = [f"{part}/{picture.name}.{form}" for form in ("svg", "png", "csv")]
    return html.Picture(
        f"{part}-{picture.name}",
        TITLES[part],
        picture.sentence,
        file=folder / files[0],
        is_wide=picture.is_wide,
        links=[(file.rpartition(".")[2].upper(), file) for file in files if (folder / file).is_file()],
    )


def _conflict_section(parts: Sequence[Findings]) -> html.Section:
    """Return how often each kind of conflict occurs in each part, with examples of the last part that has any."""
    numbers = [html.Column(TITLES[part.part], is_number=True) for part in parts]
    heads = [html.Column("Conflict"), *numbers, html.Column("For example")]
    rows = []
    for kinds in zip(*(part.conflicts for part in parts), strict=True):
        links = [f"{part.part}/{kind.file}" for part, kind in zip(parts, kinds, strict=True)]
        cases = [html.Cell(f"{kind.count:,}", kind.count, link) for kind, link in zip(kinds, links, strict=True)]
        examples = next((kind.examples for kind in reversed(kinds) if kind.examples), ())
        said = "; ".join(f"{key}: {' | '.join(values)}" for key, values in examples)
        rows.append([html.Cell(f"same {kinds[0].key}, different {kinds[0].value}"), *cases, html.Cell(said or "none")])
    sentences = [html.Text(sentence) for part in parts for sentence in _say_conflicts(part)]
    note = "The numbers lead to tables with every case. A placeholder does not count as a description."
    table = html.Table("conflicts", "Conflicts by kind", heads, rows, note)
    return html.Section("conflicts", "Conflicts", [*sentences, table])


def _say_conflicts(part: Findings) -> list[str]:
    """Say how many movies contradict themselves, and how many names several movies share."""
    most = {key: max((each for each in part.conflicts if each.key == key), key=lambda each: each.count) for key in KEYS}
    own, names, where = most["id"], most["name"], TITLES[part.part]
    sentences = []
    if own.count:
        have = "1 movie has" if own.count == 1 else f"{own.count:,} movies have"
        sentences.append(f"{where}: {have} rows with different {own.value}.")
    if shared := names.n_of_several:
        belong = "1 name belongs" if shared == 1 else f"{shared:,} names belong"
        sentences.append(
            f"{where}: {belong} to several movies with different {names.value}, such as remakes; this is not an error."
        )
    return sentences or [f"{where}: no two rows contradict each other."]


def _stage(
    part: Part, paths: DataPaths, config: ExploreConfig, inputs: tuple[Path, ...], forms: Sequence[Form] = SVG_ONLY
) -> Stage:
    names = (PLACEHOLDERS, *EXHIBITS) if part == "raw" else EXHIBITS
    tables = (*(f"{name}.csv" for name in names), *(conflict_file(*conflict) for conflict in CONFLICTS))
    outputs = (*picture_files(names, forms), *tables, FINDINGS_FILE)
    choices = {name: value for name, value in config_dict(config).items() if name != "of"}
    folder = paths.explore / part
    return Stage(f"explore_{part}", folder, outputs, inputs, choices, (Path(__file__),), _PACKAGES, removes_old=True)


def _write_part(
    folder: Path, found: Findings, exhibits: Sequence[Exhibit], rows: pl.DataFrame, forms: Sequence[Form]
) -> dict[str, int]:
    """Write pictures, tables, conflicts and `findings.json` of one part; return how many conflicts of each kind."""
    for exhibit in exhibits:
        write_picture(folder, exhibit.name, exhibit.draw, forms)
        write_safe_csv(exhibit.table, folder / f"{exhibit.name}.csv")
    pictures = tuple(
        PictureFinding(name=exhibit.name, title=exhibit.title, sentence=exhibit.sentence, is_wide=exhibit.is_wide)
        for exhibit in exhibits
    )
    conflicts = tuple(_write_conflict(folder, rows, key, value) for key, value in CONFLICTS)
    found = found.model_copy(update={"pictures": pictures, "conflicts": conflicts})
    (folder / FINDINGS_FILE).write_text(found.model_dump_json(indent=1) + "\n", encoding="utf-8")
    return {f"same_{conflict.key}_different_{conflict.value}": conflict.count for conflict in conflicts}


def _write_conflict(folder: Path, rows: pl.DataFrame, key: str, value: str) -> ConflictFinding:
    cases = find_conflicts(rows, key, value)
    write_safe_csv(cases, folder / conflict_file(key, value))
    examples = tuple(
        (_cut(found), tuple(_cut(text) for text in values.split(BETWEEN)[:2]))
        for found, values in cases.head(EXAMPLES).select("key", "values").iter_rows()
    )
    return ConflictFinding(
        key=key,
        value=value,
        file=conflict_file(key, value),
        count=cases.height,
        n_of_several=int(cases["movie_ids"].str.contains(BETWEEN, literal=True).sum()),
        examples=examples,
    )


def _cut(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= LONGEST_EXAMPLE else line[: LONGEST_EXAMPLE - 1] + "…"
