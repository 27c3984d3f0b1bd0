"""The stages of the exploration: raw data, clean data, and the page about them. Owns their files and their inputs."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import polars as pl

from tasks.explore.config import ExploreConfig, Part
from tasks.explore.conflicts import BETWEEN, CONFLICTS, conflict_file, find_conflicts
from tasks.explore.descriptions import say_text_groups
from tasks.explore.exhibits import EXHIBITS, PLACEHOLDERS, Exhibit, exhibit_movies, exhibit_placeholders
from tasks.explore.findings import ConflictFinding, Findings, PictureFinding
from tasks.explore.page import render_page
from tasks.explore.read import movies_of_listings, raw_files, read_listings, read_movies
from tasks.paths import DataPaths
from tasks.picture import SVG_ONLY, Form, picture_files, write_picture
from tasks.spreadsheet import write_safe_csv
from tasks.stage import Stage, StageResult, config_dict, run_stage

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
