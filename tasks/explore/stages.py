"""The stages of the exploration: raw listings, clean movies, and the page that shows them next to each other."""

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import polars as pl
from pydantic import BaseModel

from tasks.core import page as html
from tasks.core.errors import DataError
from tasks.core.figures import SVG_ONLY, Form, picture_files, write_picture
from tasks.core.page import write_safe_csv
from tasks.core.settings import DataPaths
from tasks.explore import figures, tables
from tasks.explore.config import ExploreConfig, Part
from tasks.stage import Stage, StageResult, config_dict, run_stage

logger = logging.getLogger(__name__)

COLUMNS = ("movie_id", "movie_name", "year", "genre", "description")
MOVIE_COLUMNS = ("movie_id", "movie_name", "year", "genres", "description", "text_group")
FINDINGS_FILE: Final = "findings.json"
PAGE_FILE: Final = "index.html"
EXAMPLES: Final = 3
LONGEST_EXAMPLE: Final = 90  # characters
TITLES: Final = {"raw": "Raw listings", "clean": "Clean movies"}
LEADING: Final = (figures.PLACEHOLDERS, "genres", "lengths", "words")  # their sentences are on top of the page

_PACKAGES: Final = ("jinja2", "matplotlib", "polars", "wordcloud")


class PictureFinding(BaseModel, frozen=True, extra="forbid"):
    """A picture with its sentence; its files are `<name>.svg`, `.png` and `.csv` in the part's folder."""

    name: str
    title: str
    sentence: str
    is_wide: bool


class ConflictFinding(BaseModel, frozen=True, extra="forbid"):
    """How often one kind of conflict occurs, and its first cases: each a key and some of its values."""

    key: str
    value: str
    file: str
    count: int
    n_of_several: int  # cases in which several movies share the key, such as a remake's name
    examples: tuple[tuple[str, tuple[str, ...]], ...]


class Findings(BaseModel, frozen=True, extra="forbid"):
    """The page's content about the raw or the clean data."""

    part: Part
    summary: str
    pictures: tuple[PictureFinding, ...] = ()
    conflicts: tuple[ConflictFinding, ...] = ()


def raw_files(folder: Path) -> tuple[Path, ...]:
    """Return the listings in a folder, sorted by name; it is a DataError if there is none."""
    files = tuple(sorted(path for path in folder.glob("*.csv") if path.is_file()))
    if not files:
        raise DataError(f"{folder}: expected per-genre listings (*.csv), found none; run the acquire stage first")
    return files


def read_listings(files: Sequence[Path]) -> tuple[pl.DataFrame, list[str], int]:
    """Read per-genre CSVs without cleaning: damaged bytes are replaced, extra fields ignored, absent columns empty.

    Returns:
        Rows with `file`, `movie_id`, `movie_name`, `year` (Int32), `genres` (sorted list), `description` and `kind`;
        the unreadable files; and the number of rows without an id, which are left out.
    """
    frames, unreadable = [], []
    for path in files:
        try:
            frame = pl.read_csv(path, infer_schema=False, truncate_ragged_lines=True, encoding="utf8-lossy")
        except pl.exceptions.PolarsError as error:
            logger.warning("%s: not explored, it cannot be read (%s)", path, str(error).partition("\n")[0])
            unreadable.append(path.name)
            continue
        named = {name.strip().removeprefix("\ufeff"): name for name in frame.columns}
        if absent := [name for name in COLUMNS if name not in named]:
            logger.warning("%s: without %s, left empty", path, ", ".join(absent))
        columns = [(pl.col(named[name]) if name in named else pl.lit(None, pl.String)).alias(name) for name in COLUMNS]
        frames.append(frame.with_columns(pl.lit(path.name).alias("file"), *columns).select("file", *COLUMNS))
    if not frames:
        raise DataError(f"{files[0].parent}: none of {len(files)} listings can be read; look at the warnings above")
    everything = pl.concat(frames).with_columns(_strip(pl.col("movie_id")), _strip(pl.col("movie_name")))
    genres = pl.col("genre").fill_null("").str.split(",").list.eval(_strip(pl.element()))
    rows = everything.filter(pl.col("movie_id").is_not_null()).with_columns(
        pl.col("year").str.extract(r"\b([0-9]{4})\b").cast(pl.Int32),
        genres=genres.list.drop_nulls().list.unique().list.sort(),
        kind=tables.kind_of_description(),
    )
    if rows.is_empty():
        raise DataError(f"{files[0].parent}: no row has a movie_id; are these listings in the Kaggle form?")
    return rows, unreadable, everything.height - rows.height


def _strip(text: pl.Expr) -> pl.Expr:
    """Return text with single spaces instead of line breaks and runs of spaces, and null for blank texts."""
    text = text.str.replace_all(r"\s+", " ").str.strip_chars()
    return pl.when(text != "").then(text)


def movies_of_listings(rows: pl.DataFrame) -> pl.DataFrame:
    """Gather listings by id: all genres, the longest description (no placeholder or tail), the first name and year."""
    text = pl.when(tables.is_text()).then(tables.without_tail(pl.col("description")))
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
    """Read the cleaned table; it is a DataError if it is not parquet, lacks a column, or is empty."""
    try:
        movies = pl.read_parquet(path, columns=list(MOVIE_COLUMNS))
    except pl.exceptions.PolarsError as error:
        expected = f"{', '.join(MOVIE_COLUMNS)} ({str(error).partition(chr(10))[0]})"
        raise DataError(f"{path}: expected parquet with {expected}; run the clean stage again") from error
    if movies.is_empty():
        raise DataError(f"{path} has no movies; look at what the clean stage dropped, then run it again")
    return movies


def explore_part(paths: DataPaths, config: ExploreConfig, forms: Sequence[Form], part: Part) -> StageResult:
    """Write pictures and tables about the raw or the clean data to `explore/<part>`; DataError if it cannot be read."""
    inputs = raw_files(paths.raw) if part == "raw" else (paths.movies,)

    def build(folder: Path) -> Mapping[str, Any]:
        if part == "clean":
            movies = read_movies(paths.movies)
            sizes = movies["text_group"].drop_nulls().value_counts()["count"]
            summary = figures.say("clean", movies=movies.height, groups=sizes.filter(sizes > 1).to_list())
            found, exhibits = Findings(part=part, summary=summary), figures.exhibit_movies(movies, config)
            return {"movies": movies.height, **_write_part(folder, found, exhibits, movies, forms)}
        rows, unreadable, n_without_id = read_listings(inputs)
        movies = movies_of_listings(rows)
        counts = {"rows": rows.height, "movies": movies.height}
        summary = figures.say("raw", **counts, files=len(inputs) - len(unreadable), unreadable=unreadable)
        exhibits = [figures.exhibit_placeholders(rows), *figures.exhibit_movies(movies, config)]
        conflicts = _write_part(folder, Findings(part=part, summary=summary), exhibits, rows, forms)
        return {**counts, "rows_without_id": n_without_id, "unreadable_files": unreadable, **conflicts}

    return run_stage(_stage(part, paths, config, inputs, forms), build)


def write_page(paths: DataPaths, config: ExploreConfig) -> StageResult:
    """Write `explore/index.html` about the parts that `config.of` names, which must have been explored before."""
    # A part's sidecar holds the hashes of all its files.
    sidecars = tuple(_stage(part, paths, config, ()).sidecar for part in config.parts)
    banner, code = html.INVENTED if html.is_invented(paths.raw) else "", (Path(__file__), *html.PAGE_FILES)
    stage = Stage("explore", paths.explore, (PAGE_FILE,), sidecars, {"of": config.of, "banner": banner}, code)

    def build(folder: Path) -> Mapping[str, Any]:
        texts = [(paths.explore / part / FINDINGS_FILE).read_text(encoding="utf-8") for part in config.parts]
        parts = [Findings.model_validate_json(text) for text in texts]
        last = {picture.name: picture.sentence for part in parts for picture in part.pictures}  # clean rather than raw
        lead = [*(part.summary for part in parts), *(last[name] for name in LEADING if name in last)]
        bullets = html.Bullets([(text, "") for text in [*lead, *(_say_conflicts(part)[0] for part in parts)]])
        findings = html.Section("findings", "Findings", [bullets])
        sections = [findings, *_exhibit_sections(parts, paths.explore), _conflict_section(parts)]
        page = html.Page("The data in pictures", "", sections, paths.explore, banner)
        (folder / PAGE_FILE).write_text(html.render_page(page), encoding="utf-8")
        return {"pictures": len(html.pictures_in(sections))}

    return run_stage(stage, build)


def _exhibit_sections(parts: Sequence[Findings], folder: Path) -> list[html.Section]:
    """Return one section per exhibit, with its pictures of the raw and of the clean data next to each other."""
    sides: dict[tuple[str, str], list[html.Picture]] = {}
    for part in parts:
        for found in part.pictures:
            files = [f"{part.part}/{found.name}.{form}" for form in ("svg", "png", "csv")]
            links = [(file.rpartition(".")[2].upper(), file) for file in files if (folder / file).is_file()]
            look: dict[str, Any] = {"file": folder / files[0], "is_wide": found.is_wide, "links": links}
            picture = html.Picture(f"{part.part}-{found.name}", TITLES[part.part], found.sentence, **look)
            sides.setdefault((found.name, found.title), []).append(picture)
    return [html.Section(name, title, [html.Pair(pictures)]) for (name, title), pictures in sides.items()]


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
    ordered = sorted(part.conflicts, key=lambda each: -each.count)
    most = {key: next(each for each in ordered if each.key == key) for key in tables.KEYS}
    return figures.say("conflicts", where=TITLES[part.part], own=most["id"], names=most["name"]).split("\n")


def _stage(
    part: Part, paths: DataPaths, config: ExploreConfig, inputs: tuple[Path, ...], forms: Sequence[Form] = SVG_ONLY
) -> Stage:
    names = (figures.PLACEHOLDERS, *figures.EXHIBITS) if part == "raw" else figures.EXHIBITS
    conflicts = (tables.conflict_file(*conflict) for conflict in tables.CONFLICTS)
    outputs = (*picture_files(names, forms), *(f"{name}.csv" for name in names), *conflicts, FINDINGS_FILE)
    choices = {name: value for name, value in config_dict(config).items() if name != "of"}
    folder, code = paths.explore / part, (Path(__file__), figures.SENTENCES)
    return Stage(f"explore_{part}", folder, outputs, inputs, choices, code, _PACKAGES, removes_old=True)


def _write_part(
    folder: Path, found: Findings, exhibits: Sequence[figures.Exhibit], rows: pl.DataFrame, forms: Sequence[Form]
) -> dict[str, int]:
    """Write pictures, tables, conflicts and `findings.json` of one part; return how many conflicts of each kind."""
    pictures, conflicts = [], []
    for exhibit in exhibits:
        name, title, is_wide = exhibit.name, figures.HEADINGS[exhibit.name], exhibit.name in figures.WIDE
        write_picture(folder, name, exhibit.draw, forms)
        write_safe_csv(exhibit.table, folder / f"{name}.csv")
        pictures.append(PictureFinding(name=name, title=title, sentence=exhibit.sentence, is_wide=is_wide))
    for key, value in tables.CONFLICTS:
        cases, file = tables.find_conflicts(rows, key, value), tables.conflict_file(key, value)
        write_safe_csv(cases, folder / file)
        examples = tuple(
            (_cut(same), tuple(_cut(text) for text in values.split(tables.BETWEEN)[:2]))
            for same, values in cases.head(EXAMPLES).select("key", "values").iter_rows()
        )
        several = int(cases["movie_ids"].str.contains(tables.BETWEEN, literal=True).sum())
        facts = {"count": cases.height, "n_of_several": several, "examples": examples}
        conflicts.append(ConflictFinding(key=key, value=value, file=file, **facts))
    found = found.model_copy(update={"pictures": tuple(pictures), "conflicts": tuple(conflicts)})
    (folder / FINDINGS_FILE).write_text(found.model_dump_json(indent=1) + "\n", encoding="utf-8")
    return {conflict.file.removesuffix(".csv"): conflict.count for conflict in conflicts}


def _cut(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= LONGEST_EXAMPLE else line[: LONGEST_EXAMPLE - 1] + "…"
