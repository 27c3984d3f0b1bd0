"""The stages of the exploration: raw data, clean data, and the page about them. Owns their files and their inputs."""

import base64
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any, Final, Literal

import polars as pl
from pydantic import BaseModel, ConfigDict

from tasks.core.errors import DataError
from tasks.core.figures import SVG_ONLY, Form, picture_files, write_picture
from tasks.core.markup import write_safe_csv
from tasks.core.settings import DataPaths
from tasks.explore.config import ExploreConfig, Part
from tasks.explore.figures import EXHIBITS, PLACEHOLDERS, Exhibit, exhibit_movies, exhibit_placeholders
from tasks.explore.tables import (
    BETWEEN,
    CONFLICTS,
    conflict_file,
    find_conflicts,
    is_text,
    kind_of_description,
    say_text_groups,
    without_tail,
)
from tasks.stage import Stage, StageResult, config_dict, run_stage


class PictureFinding(BaseModel):
    """A picture with its words; its files are `<name>.svg`, `.png` and `.csv` in the part's folder."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    title: str
    sentence: str
    is_wide: bool


class ConflictFinding(BaseModel):
    """How often one kind of conflict occurs, and its first cases: each a key and some of its values."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    key: str
    value: str
    file: str
    count: int
    examples: tuple[tuple[str, tuple[str, ...]], ...]


class Findings(BaseModel):
    """All that the page says about the raw or the clean data."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    part: Literal["raw", "clean"]
    title: str
    summary: str
    pictures: tuple[PictureFinding, ...]
    conflicts: tuple[ConflictFinding, ...]


# The one page of the exploration. Owns its HTML; everything in it that comes from data is escaped.
#
# The page needs no network and no other file: the pictures are inside. Links to the files beside it are an extra.


_STYLE: Final = """
:root { color-scheme: light; --ink: #222; --soft: #595959; --line: #d9d9d9; --link: #005a8e; }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 64rem; padding: 1rem; color: var(--ink); background: #fff;
  font: 1rem/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "DejaVu Sans", sans-serif; }
h1 { font-size: 1.7rem; line-height: 1.2; margin: .5rem 0; }
h2 { font-size: 1.35rem; margin: 2.5rem 0 .25rem; padding-top: .75rem; border-top: 2px solid var(--ink); }
h3 { font-size: 1.1rem; margin: 0; }
a { color: var(--link); }
nav ul { padding: 0; margin: .25rem 0; list-style: none; display: flex; flex-wrap: wrap; gap: .25rem 1rem; }
figure { margin: 2rem 0; }
figcaption p { margin: .25rem 0 .75rem; }
img { display: block; height: auto; max-width: 100%; }
.wide { overflow-x: auto; }
.wide img { max-width: none; }
.files { font-size: .875rem; color: var(--soft); margin: .25rem 0 0; }
.table { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-size: .9rem; }
caption, th, td { text-align: left; vertical-align: top; }
th, td { padding: .4rem .6rem .4rem 0; border-bottom: 1px solid var(--line); overflow-wrap: anywhere; min-width: 5rem; }
td.number, th.number { text-align: right; font-variant-numeric: tabular-nums; overflow-wrap: normal; }
td ul { margin: 0; padding-left: 1.1rem; }
@media print {
  @page { margin: 15mm; }
  body { max-width: none; padding: 0; font-size: 10pt; }
  nav, .files { display: none; }
  a { color: inherit; text-decoration: none; }
  section + section h2 { break-before: page; border: 0; padding: 0; margin-top: 0; }
  figure, tr { break-inside: avoid; }
  .wide, .table { overflow: visible; }
  img, .wide img { max-width: 100%; max-height: 220mm; margin: 0 auto; }
}
"""


def render_page(findings: Sequence[Findings], folder: Path) -> str:
    """Return the page about the given parts, with their pictures from `folder/<part>/<name>.svg` inside.

    Raises:
        FileNotFoundError: a picture is not there.
    """
    links = "".join(f'<li><a href="#{part.part}">{escape(part.title)}</a></li>' for part in findings)
    sections = "\n".join(_render_part(part, folder / part.part) for part in findings)
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>The data in pictures</title>
<style>{_STYLE}</style>
</head>
<body>
<header>
<h1>The data in pictures</h1>
<nav aria-label="Parts"><ul>{links}</ul></nav>
</header>
<main>
{sections}
</main>
</body>
</html>
"""


def _render_part(part: Findings, folder: Path) -> str:
    pictures = "\n".join(_render_picture(picture, part.part, folder) for picture in part.pictures)
    return f"""<section id="{part.part}" aria-labelledby="{part.part}-title">
<h2 id="{part.part}-title">{escape(part.title)}</h2>
<p>{escape(part.summary)}</p>
{pictures}
{_render_conflicts(part)}
</section>"""


def _render_picture(picture: PictureFinding, part: str, folder: Path) -> str:
    image = base64.b64encode((folder / f"{picture.name}.svg").read_bytes()).decode("ascii")
    title, sentence = escape(picture.title), escape(picture.sentence)
    address = f"{part}/{escape(picture.name)}"
    forms = [form for form in ("svg", "png", "csv") if (folder / f"{picture.name}.{form}").is_file()]
    files = ", ".join(f'<a href="{address}.{form}">{form.upper()}</a>' for form in forms)
    # A part that scrolls must be within reach of the keyboard.
    box = f'class="wide" tabindex="0" role="region" aria-label="{title}, scrolls sideways"' if picture.is_wide else ""
    return f"""<figure>
<figcaption><h3>{title}</h3><p>{sentence}</p></figcaption>
<div {box}><img src="data:image/svg+xml;base64,{image}" alt="{title}. {sentence}"></div>
<p class="files">Files: {files}</p>
</figure>"""


def _render_conflicts(part: Findings) -> str:
    total = sum(conflict.count for conflict in part.conflicts)
    sentence = "No two rows contradict each other."
    if total:
        most = max(part.conflicts, key=lambda conflict: conflict.count)
        sentence = f"The most frequent kind: {most.count:,} times the same {most.key} has different {most.value}."
    rows = "\n".join(_render_conflict(conflict, part.part) for conflict in part.conflicts)
    return f"""<h3>Conflicts</h3>
<p>{escape(sentence)} Every case is in the tables; placeholders count as no description.</p>
<div class="table" tabindex="0" role="region" aria-label="Conflicts in the {part.part} data"><table>
<thead><tr>
<th scope="col">Conflict</th><th scope="col" class="number">Cases</th><th scope="col">For example</th>
</tr></thead>
<tbody>
{rows}
</tbody>
</table></div>"""


def _render_conflict(conflict: ConflictFinding, part: str) -> str:
    name = escape(f"same {conflict.key}, different {conflict.value}")
    examples = "".join(
        f"<li><strong>{escape(key)}</strong>: {escape(' | '.join(values))}</li>" for key, values in conflict.examples
    )
    return (
        f'<tr><th scope="row"><a href="{part}/{escape(conflict.file)}">{name}</a></th>'
        f'<td class="number">{conflict.count:,}</td><td>{f"<ul>{examples}</ul>" if examples else "none"}</td></tr>'
    )


# Raw listings and clean movies as tables to look at. Owns lenient reading; judges and repairs nothing.
#
# Listings: `file`, `movie_id`, `movie_name`, `year` (Int32), `genres` (sorted list), `description`, `kind`.
# Movies: the same without `file` and `kind`, one row a movie, and no placeholder among the descriptions.


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


FINDINGS_FILE: Final = "findings.json"
PAGE_FILE: Final = "index.html"
EXAMPLES: Final = 3
LONGEST_EXAMPLE: Final = 90  # characters

_PACKAGES: Final = ("matplotlib", "polars", "wordcloud")


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
            f"{listings.rows.height:,} rows in {len(files) - len(listings.unreadable_files)} files, about "
            f"{movies.height:,} different movies, before any cleaning. Except for the placeholders, the pictures count "
            "each movie once, with the genres of all its rows and its longest description."
        )
        if listings.unreadable_files:
            summary += f" Not readable: {', '.join(listings.unreadable_files)}."
        exhibits = [exhibit_placeholders(listings.rows), *exhibit_movies(movies, config)]
        conflicts = _write_conflicts(folder, listings.rows)
        _write_exhibits(folder, exhibits, forms)
        _write_findings(
            folder,
            Findings(
                part="raw",
                title="Raw listings",
                summary=summary,
                pictures=_words_of(exhibits),
                conflicts=conflicts,
            ),
        )
        return {
            "rows": listings.rows.height,
            "movies": movies.height,
            "rows_without_id": listings.rows_without_id,
            "unreadable_files": list(listings.unreadable_files),
            **_count_conflicts(conflicts),
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
            f"{movies.height:,} movies after cleaning, one row each: what the models are trained and tested on. "
            f"{say_text_groups(movies)}"
        )
        exhibits = exhibit_movies(movies, config)
        conflicts = _write_conflicts(folder, movies)
        _write_exhibits(folder, exhibits, forms)
        _write_findings(
            folder,
            Findings(
                part="clean",
                title="Clean movies",
                summary=summary,
                pictures=_words_of(exhibits),
                conflicts=conflicts,
            ),
        )
        return {"movies": movies.height, **_count_conflicts(conflicts)}

    return run_stage(_stage("clean", paths, config, (paths.movies,), forms), build)


def write_page(paths: DataPaths, config: ExploreConfig) -> StageResult:
    """Write `explore/index.html` about the parts that `config.of` names; they must have been explored before."""
    # A part's sidecar holds the hashes of all its files, so it stands for them.
    sidecars = tuple(_stage(part, paths, config, ()).sidecar for part in config.parts)
    stage = Stage("explore", paths.explore, (PAGE_FILE,), sidecars, {"of": config.of}, (Path(__file__),))

    def build(folder: Path) -> Mapping[str, Any]:
        texts = [(paths.explore / part / FINDINGS_FILE).read_text(encoding="utf-8") for part in config.parts]
        findings = [Findings.model_validate_json(text) for text in texts]
        page = render_page(findings, paths.explore)
        (folder / PAGE_FILE).write_text(page, encoding="utf-8")
        return {"pictures": sum(len(part.pictures) for part in findings)}

    return run_stage(stage, build)


def _stage(
    part: Part, paths: DataPaths, config: ExploreConfig, inputs: tuple[Path, ...], forms: Sequence[Form] = SVG_ONLY
) -> Stage:
    names = (PLACEHOLDERS, *EXHIBITS) if part == "raw" else EXHIBITS
    tables = (*(f"{name}.csv" for name in names), *(conflict_file(*conflict) for conflict in CONFLICTS))
    outputs = (*picture_files(names, forms), *tables, FINDINGS_FILE)
    choices = {name: value for name, value in config_dict(config).items() if name != "of"}
    folder = paths.explore / part
    return Stage(f"explore_{part}", folder, outputs, inputs, choices, (Path(__file__),), _PACKAGES, removes_old=True)


def _write_exhibits(folder: Path, exhibits: list[Exhibit], forms: Sequence[Form]) -> None:
    for exhibit in exhibits:
        write_picture(folder, exhibit.name, exhibit.draw, forms)
        write_safe_csv(exhibit.table, folder / f"{exhibit.name}.csv")


def _words_of(exhibits: list[Exhibit]) -> tuple[PictureFinding, ...]:
    return tuple(
        PictureFinding(name=exhibit.name, title=exhibit.title, sentence=exhibit.sentence, is_wide=exhibit.is_wide)
        for exhibit in exhibits
    )


def _write_conflicts(folder: Path, rows: pl.DataFrame) -> tuple[ConflictFinding, ...]:
    findings = []
    for key, value in CONFLICTS:
        cases = find_conflicts(rows, key, value)
        write_safe_csv(cases, folder / conflict_file(key, value))
        examples = tuple(
            (_cut(found), tuple(_cut(text) for text in values.split(BETWEEN)[:2]))
            for found, values in cases.head(EXAMPLES).select("key", "values").iter_rows()
        )
        findings.append(
            ConflictFinding(key=key, value=value, file=conflict_file(key, value), count=cases.height, examples=examples)
        )
    return tuple(findings)


def _count_conflicts(conflicts: tuple[ConflictFinding, ...]) -> dict[str, int]:
    return {f"same_{conflict.key}_different_{conflict.value}": conflict.count for conflict in conflicts}


def _write_findings(folder: Path, findings: Findings) -> None:
    (folder / FINDINGS_FILE).write_text(findings.model_dump_json(indent=1) + "\n", encoding="utf-8")


def _cut(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= LONGEST_EXAMPLE else line[: LONGEST_EXAMPLE - 1] + "…"
