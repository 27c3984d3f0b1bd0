"""The report of a run as one page, made only from other stages' files, and its sections about the run as a whole."""

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from functools import partial
from math import ceil
from pathlib import Path
from typing import Any, Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from tasks.core import page as html
from tasks.core.figures import SVG_ONLY, Form, picture_files, write_pictures
from tasks.core.metrics import REGISTERED_NAME
from tasks.core.page import Cell, Column, Picture, Section, Table, Text, counted, number, percent, with_minus
from tasks.core.settings import DataPaths
from tasks.report.feature_figures import FIELD_BARS, WORD_BARS, picture_name
from tasks.report.figures import draw_dropped
from tasks.report.genres import features_section, genres_section, labels_section, say_genres, say_undefined
from tasks.report.leaderboard import read_json
from tasks.report.models import cost_section, ranking_section, say_leader, training_section
from tasks.report.movies import EXHIBITS_FILE, impossible_movies, movies_section, predictions_section
from tasks.report.sources import SENTENCES, PreviousRun, RunFacts, Sources, read_sources, read_table, say
from tasks.stage import Stage, StageResult, run_stage

REPORT_FILE: Final = "report.html"
PICTURES_FOLDER: Final = "pictures"
TITLE: Final = "Movie genres from descriptions"
FOOTER: Final = "Written by genreflow from the files of the run. The pictures are also files in the folder pictures."
TREE: Final = "tree"
SIMILARITY: Final = "tfidf_excess_cosine"  # the measure that the page shows
TITLES: Final = {
    WORD_BARS: "Words that raise and lower each genre's score, according to {model}",
    FIELD_BARS: "Fields that raise and lower each genre's score, according to {model}",
    TREE: "The first splits of {model}",
    picture_name(SIMILARITY): "Similarity of genres by what sets their descriptions apart",
}
_BORROWED: Final = ("leaderboard.svg", "pareto.svg")  # pictures of other stages in the results folder


def feature_pictures(results: Sequence[StageResult]) -> tuple[Picture, ...]:
    """Return the pictures of feature importance, similarity and the models' trees that the report shows."""
    pictures = []
    for folder, counts in ((result.folder, result.counts) for result in results):
        if "findings" in counts:
            findings = dict(counts["findings"])
        elif "finding" in counts:
            findings = {TREE: counts["finding"]}
        else:
            findings = {picture_name(SIMILARITY): counts[SIMILARITY]}
        for name in (name for name in findings if name in TITLES):
            shown, title = f"{TREE}_{folder.name}" if name == TREE else name, TITLES[name].format(model=folder.name)
            file = folder / f"{name}.svg"
            pictures.append(Picture(shown, title, findings[name], file=file, is_wide=True, is_folded=True))
    return tuple(pictures)


def write_report(
    model_folders: Sequence[Path],
    paths: DataPaths,
    facts: RunFacts,
    features: Sequence[Picture] = (),
    forms: Sequence[Form] = SVG_ONLY,
) -> StageResult:
    """Write `report.html` and its pictures, `pictures/*`, to the results folder.

    The pictures are a separate stage: they are not drawn again if only the run's name and time are new. `features` are
    pictures of feature importance by other stages, with their `file`.
    """
    sources, exhibits = read_sources(model_folders, paths), paths.results / EXHIBITS_FILE
    found = (
        summary_section(sources, facts),
        ranking_section(sources),
        cost_section(sources),
        genres_section(sources),
        movies_section(sources, read_table(exhibits)),
        features_section(sources, features),
        predictions_section(sources),
        labels_section(sources),
        training_section(sources),
        limits_section(sources, facts),
        quality_section(sources),
        run_section(sources, facts),
    )
    sections = [section for section in found if section is not None]
    drawn = _draw(paths.results, html.pictures_in(sections), (*sources.inputs(), exhibits), forms)
    files = [*(paths.results / name for name in _BORROWED), *(picture.file for picture in features if picture.file)]
    inputs = (*sources.inputs(), exhibits, *filter(Path.is_file, files), drawn.folder / f"{drawn.name}.stage.json")
    config = {
        **asdict(facts),
        "features": [[picture.name, picture.title, picture.sentence] for picture in features],
        "is_explored": (paths.explore / "index.html").is_file(),
    }
    code, packages = (Path(__file__), SENTENCES, *html.PAGE_FILES), ("jinja2", "polars")
    stage = Stage("report", paths.results, (REPORT_FILE,), inputs, config, code, packages)

    def build(folder: Path) -> Mapping[str, Any]:
        banner, best = html.INVENTED if html.is_invented(paths.raw) else "", sources.best
        name = shorten_paths(facts.name) if facts.name else counted(len(sources.models), "model")
        subtitle = say("subtitle", name=name, movies=best.predictions.height, genres=len(best.scores.genres))
        page = html.Page(TITLE, subtitle, sections, paths.results / PICTURES_FOLDER, banner, FOOTER)
        size = (folder / REPORT_FILE).write_bytes(html.render_page(page).encode())
        return {"sections": len(sections), "pictures": drawn.counts["pictures"], "bytes": size}

    return run_stage(stage, build)


def _draw(results: Path, pictures: Sequence[Picture], inputs: tuple[Path, ...], forms: Sequence[Form]) -> StageResult:
    draws = {picture.name: picture.draw for picture in pictures if picture.draw is not None}
    outputs = tuple(f"{PICTURES_FOLDER}/{name}" for name in picture_files(list(draws), forms))
    packages = ("matplotlib", "polars")
    stage = Stage("report_pictures", results, outputs, inputs, {}, (Path(__file__),), packages, removes_old=True)

    def build(folder: Path) -> Mapping[str, Any]:
        (folder / PICTURES_FOLDER).mkdir()
        write_pictures(folder / PICTURES_FOLDER, draws, forms)
        return {"pictures": len(draws)}

    return run_stage(stage, build)


RARE: Final = 20  # test movies, below which a genre's F1 is mostly chance
DATA_HASH: Final = "genreflow.data_hash"
_COMMON_WORDS: Final = r"(?i)\b(?:the|an?|of|and|to|in|on|with|for|is|his|her|their|who|from)\b"
_LONG: Final = 8  # words; an English text of as many has one of the most common words


def summary_section(sources: Sources, facts: RunFacts) -> Section:
    """Show the most important numbers and findings, and what to do next."""
    board, best, baseline = sources.leaderboard, sources.best, sources.baseline
    hopeless = len(impossible_movies(sources.models))
    constant = {"model": best.name, "score": board["test_jaccard"][0]}
    sentences = [
        say_leader(board),
        say_use(best.jaccard),
        say("baseline", genres=baseline.genres, jaccard=baseline.metrics["test_jaccard"], **constant)
        if baseline
        else "",
        say_genres(best.per_genre),
        say_undefined(best.per_genre),
        f"No model comes close for {counted(hopeless, 'movie')}." if hopeless and len(sources.models) > 1 else "",
        say_change(board, facts.previous, facts.tags.get(DATA_HASH, "")),
        with_minus(f"{facts.promotion[0].upper()}{facts.promotion[1:]}.") if facts.promotion else "",
    ]
    links = [(f"This run in MLflow ({facts.address})", facts.address)] if facts.address else []
    if (explored := sources.paths.explore / "index.html").is_file():
        links.append(("The data in pictures", Path(os.path.relpath(explored, sources.paths.results)).as_posix()))
    blocks: list[Any] = [html.Tiles(_tiles(sources)), *(Text(sentence) for sentence in sentences if sentence)]
    blocks += [html.Bullets(links)] if links else []
    if facts.promotion:
        registered = facts.params.get("promotion.registered_model", REGISTERED_NAME)
        model = "" if registered == REGISTERED_NAME else f" --model models:/{registered}@champion"
        command = f'python flows/predict.py{model} --text "A nurse hears voices in an abandoned ward."'
        blocks += [Text("Predict the genres of a new description with the champion:"), html.Command(command)]
    return Section("summary", "In short", blocks)


def say_use(jaccard: NDArray[np.float64]) -> str:
    """Say how often the best model is right."""
    known = jaccard[np.isfinite(jaccard)]
    some, everything = (float(np.mean(right)) if known.size else None for right in (known > 0, known == 1))
    return say("use", some=some, all=everything)


def say_change(board: pl.DataFrame, previous: PreviousRun | None, data_hash: str) -> str:
    """Compare the best Jaccard with that of the previous run; nothing if there is none."""
    if previous is None:
        return ""
    name, now = shorten_paths(previous.name), board["test_jaccard"][0]
    return say("change", name=name, previous=previous, now=now, is_same_data=previous.data_hash == data_hash)


def _tiles(sources: Sources) -> list[tuple[str, str, str]]:
    first = sources.leaderboard.row(0, named=True)
    tiles = [("Best model", sources.best.name, f"of {counted(len(sources.models), 'model')}")]
    for column, title, note in (
        ("test_jaccard", "Jaccard on test", "overlap of predicted and true genres"),
        ("test_f1_macro", "F1 (macro)", "mean over genres"),
        ("test_at_least_one", "≥ 1 correct", "share of movies"),
        ("test_exact_match", "all correct", "share of movies"),
    ):
        value, low, high = (first.get(f"{column}{end}") for end in ("", "_low", "_high"))
        is_share = column in {"test_at_least_one", "test_exact_match"}
        interval = "" if low is None or high is None else f"95% CI {number(low)} to {number(high)}"
        tiles.append((title, percent(value) if is_share and value is not None else number(value), interval or note))
    return tiles


def limits_section(sources: Sources, facts: RunFacts) -> Section:
    """List what the results are based on, where they are weak, and what they do not show."""
    first, texts, audit = sources.leaderboard.row(0, named=True), sources.movies["description"], sources.audit
    low, high = (first.get(f"test_jaccard_{end}") for end in ("low", "high"))
    rare = sources.best.per_genre.filter(pl.col("support") < RARE).sort("support", "genre")
    is_long = texts.str.count_matches(r"\S+") >= _LONG
    limits = say(
        "limits",
        invented=html.INVENTED if html.is_invented(sources.paths.raw) else "",
        movies=sources.best.predictions.height,
        half=(high - low) / 2 if low and high else None,
        seed=facts.params.get("seed", ""),
        rare=[f"{genre} ({support})" for genre, support in rare.select("genre", "support").iter_rows()],
        fewest=RARE,
        foreign=int((is_long & ~texts.str.contains(_COMMON_WORDS)).sum()),
        cut_off=int(sources.movies["is_truncated"].sum()),
        across=sources.split_counts.get("text_groups", {}).get("across_parts", 0),
        doubted=0 if audit is None else audit["movie_id"].n_unique(),
    )
    return Section("limits", "Limits", [html.Bullets([(limit, "") for limit in limits.split("\n")])])


_EFFECTS: Final = {"dropped": "dropped", "merged": "merged", "changed": "text changed", "unparsed": "unreadable field"}


def quality_section(sources: Sources) -> Section:
    """Show what cleaning dropped, merged and changed, and what annotation and split counted."""
    cleaned = read_json(sources.paths.dropped)
    counts: dict[str, int] = {name: count for name, count in cleaned.get("counts", {}).items() if count}
    annotated = read_json(sources.sidecars[1]).get("counts", {})
    sentences = (say_rows(counts), say("annotation", counts=annotated), say_split(sources.split_counts))
    blocks: list[Any] = [Text(sentence) for sentence in sentences if sentence]
    dropped = {name.partition("/")[2]: count for name, count in counts.items() if name.startswith("dropped/")}
    if ordered := dict(sorted(dropped.items(), key=lambda item: (-item[1], item[0]))):
        names = [name.replace("_", " ") for name in ordered]
        draw = partial(draw_dropped, names, list(ordered.values()))
        blocks.append(Picture("dropped", "Rows dropped, by reason", say_dropped(ordered), draw, is_folded=True))
    reasons = {rule["name"]: rule["reason"] for rule in cleaned.get("rules", [])}
    if rows := rows_of_cleaning(counts, reasons):
        columns = [Column("Rule"), Column("Effect"), Column("Rows", is_number=True), Column("Why")]
        caption = "Effects of the cleaning rules"
        blocks.append(Table("cleaning", caption, columns, rows, is_sortable=True, is_folded=True))
    return Section("quality", "Data quality", blocks)


def say_rows(counts: Mapping[str, int]) -> str:
    """Say how many of the rows are left, and why the others are not."""
    dropped = sum(count for name, count in counts.items() if name.startswith("dropped/"))
    read, kept, merged = (counts.get(name, 0) for name in ("rows_read", "movies_kept", "merged/same_movie"))
    return say("rows", read=read, kept=kept, dropped=dropped, merged=merged)


def say_dropped(dropped: Mapping[str, int]) -> str:
    """Say which reason, of at least one, accounts for most dropped rows; they are sorted by their counts."""
    reason, count = next(iter(dropped.items()))
    total = sum(dropped.values())
    return say("dropped", reason=reason.replace("_", " "), count=count, total=total, reasons=len(dropped))


def rows_of_cleaning(counts: Mapping[str, int], reasons: Mapping[str, str]) -> list[tuple[Cell, ...]]:
    """Return the rows of the table of cleaning: rule, effect, number of rows, and why."""
    rows: list[tuple[Cell, ...]] = []
    for name, count in sorted(counts.items(), key=lambda item: (item[0].partition("/")[0], -item[1], item[0])):
        effect, _, rule = name.partition("/")
        if effect in _EFFECTS:
            why = say("cleaned", effect=effect, rule=rule, reason=reasons.get(rule, ""))
            rows.append((Cell(rule.replace("_", " ")), Cell(_EFFECTS[effect]), Cell(f"{count:,}", count), Cell(why)))
    return rows


def say_split(counts: Mapping[str, Any]) -> str:
    """Say how similar the parts of the split are; nothing if that was not counted."""
    groups = counts.get("text_groups", {})
    if "largest_share_difference" not in counts or "across_parts" not in groups:
        return ""
    most = ceil(counts["largest_share_difference"] * 100 - 1e-9) / 100  # rounded up
    return say("split", most=most, across=groups["across_parts"])


def run_section(sources: Sources, facts: RunFacts) -> Section:
    """Show the run's identity, data, code and versions, times and configuration."""
    split, models = sources.split_counts, sources.models
    # The data folder of this machine is useless to other readers.
    tag = {name.removeprefix("genreflow."): value for name, value in facts.tags.items() if name != "genreflow.data_dir"}
    rows = {
        "Run": shorten_paths(facts.name),
        "MLflow run": facts.run_id,
        "Source of the listings": shorten_paths(facts.params.get("source", "")),
        "Preset": facts.params.get("preset", ""),
        "Seed": facts.params.get("seed", ""),
        "Movies": ", ".join(f"{split[part]:,} {part}" for part in ("train", "validation", "test") if part in split),
        "Genres": f"{len(sources.best.scores.genres)}",
        "Models": f"{len(models)}",
        "Time before this report": "" if facts.duration_s is None else say_duration(facts.duration_s),
        "Code revision": tag.get("git_revision", ""),
        "Hash of the data": tag.get("data_hash", ""),
    }
    versions: dict[str, str] = {}
    for path in [*sources.sidecars, *(model.folder / "train.stage.json" for model in models)]:
        versions |= {name: str(version) for name, version in read_json(path).get("versions", {}).items()}
    seconds = {name: f"{value:.1f}" for name, value in facts.task_seconds.items()}
    params = {name: shorten_paths(value) for name, value in facts.params.items()}
    tables = [
        ("run-facts", "The run at a glance", ("Fact", "Value"), {name: value for name, value in rows.items() if value}),
        ("task-times", "Time per task", ("Task", "Seconds, those of parallel ones added"), seconds),
        ("versions", "Package versions", ("Package", "Version"), dict(sorted(versions.items()))),
        ("config", "Configuration", ("Option", "Value"), params),
    ]
    shown = ("train", "validation")
    counts = {part: split[part] if split.keys() >= {*shown} else None for part in shown}
    blocks: list[Any] = [Text(say("parts", models=len(models), test=sources.best.predictions.height, **counts))]
    for name, caption, titles, pairs in tables:
        if pairs:
            heads, cells = [Column(title) for title in titles], [tuple(map(Cell, pair)) for pair in pairs.items()]
            blocks.append(Table(name, caption, heads, cells, is_folded=name != "run-facts"))
    return Section("run", "Run details", blocks)


def shorten_paths(text: str) -> str:
    """Keep only the last two parts of absolute paths in a text, which means more to readers on other machines.

    >>> shorten_paths("pipeline /home/me/data/raw 2026")
    'pipeline …/data/raw 2026'
    """
    return re.sub(r"(?<!\S)/(?:\S*/)?([^\s/]++/[^\s/]++)(?!\S)", r"…/\1", text)


def say_duration(duration_s: float) -> str:
    """Write a duration in common units.

    >>> say_duration(42.4), say_duration(300), say_duration(7500)
    ('42 s', '5 min', '2 h 5 min')
    """
    if duration_s < 120:
        return f"{duration_s:.0f} s"
    hours, minutes = divmod(round(duration_s / 60), 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min"
