"""The report's sections about the run as a whole: the summary, limits, data quality, and run details."""

import os
import re
from collections.abc import Mapping
from functools import partial
from math import ceil
from pathlib import Path
from typing import Any, Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from tasks.core.metrics import REGISTERED_NAME
from tasks.core.page import INVENTED, Bullets, Cell, Column, Command, Picture, Section, Table, Text, Tiles
from tasks.report.exhibits import impossible_movies
from tasks.report.page.figures import draw_dropped
from tasks.report.page.genres import say_genres, say_undefined
from tasks.report.page.models import say_baseline, say_leader
from tasks.report.page.sources import (
    PreviousRun,
    RunFacts,
    Sources,
    counted,
    listed,
    number,
    percent,
    read_json,
    sidecars,
    with_minus,
)

RARE: Final = 20  # test movies, below which a genre's F1 is mostly chance
DATA_HASH: Final = "genreflow.data_hash"
_COMMON_WORDS: Final = r"(?i)\b(?:the|an?|of|and|to|in|on|with|for|is|his|her|their|who|from)\b"
_LONG: Final = 8  # words; an English text of as many has one of the most common words


def summary_section(sources: Sources, facts: RunFacts) -> Section:
    """Show the most important numbers and findings, and what to do next."""
    board, best = sources.leaderboard, sources.best
    hopeless = len(impossible_movies(sources.models))
    sentences = [
        say_leader(board),
        say_use(best.jaccard),
        say_baseline(board, sources.baseline) if sources.baseline else "",
        say_genres(best.per_genre),
        say_undefined(best.per_genre),
        f"No model comes close for {counted(hopeless, 'movie')}." if hopeless and len(sources.models) > 1 else "",
        say_change(board, facts.previous, facts.tags.get(DATA_HASH, "")),
        with_minus(f"{facts.promotion[0].upper()}{facts.promotion[1:]}.") if facts.promotion else "",
    ]
    links = [(f"This run in MLflow ({facts.address})", facts.address)] if facts.address else []
    explored = sources.paths.explore / "index.html"
    if explored.is_file():
        links.append(("The data in pictures", Path(os.path.relpath(explored, sources.paths.results)).as_posix()))
    blocks: list[Any] = [Tiles(_tiles(sources)), *(Text(sentence) for sentence in sentences if sentence)]
    if links:
        blocks.append(Bullets(links))
    if facts.promotion:
        registered = facts.params.get("promotion.registered_model", REGISTERED_NAME)
        model = "" if registered == REGISTERED_NAME else f" --model models:/{registered}@champion"
        command = f'python flows/predict.py{model} --text "A nurse hears voices in an abandoned ward."'
        blocks += [Text("Predict the genres of a new description with the champion:"), Command(command)]
    return Section("summary", "In short", blocks)


def say_use(jaccard: NDArray[np.float64]) -> str:
    """Say how often the best model is right."""
    known = jaccard[np.isfinite(jaccard)]
    if not known.size:
        return "No test movie has a genre, so nothing can be said about the predictions."
    return (
        f"The best model gets at least one genre right for {percent(float(np.mean(known > 0)))} of the test movies, "
        f"and exactly the right set for {percent(float(np.mean(known == 1)))}."
    )


def say_change(board: pl.DataFrame, previous: PreviousRun | None, data_hash: str) -> str:
    """Compare the best Jaccard with that of the previous run; nothing if there is none."""
    if previous is None:
        return ""
    name = f"Previous run ({shorten_paths(previous.name)}): {previous.model} was best, with a Jaccard of"
    before, now = number(previous.jaccard), board["test_jaccard"][0]
    if previous.data_hash != data_hash or now is None:
        return f"{name} {before}, on other data: the two cannot be compared."
    change = now - previous.jaccard
    said = f"a change of {'+' if change > 0 else ''}{number(change)}" if number(now) != before else "the same"
    return f"{name} {before} on the same data; now it is {number(now)}, {said}."


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
    """List what the results do not show."""
    return Section("limits", "Limits", [Bullets([(limit, "") for limit in say_limits(sources, facts)])])


def say_limits(sources: Sources, facts: RunFacts) -> list[str]:
    """Say what the results are based on and where they are weak."""
    first, texts = sources.leaderboard.row(0, named=True), sources.movies["description"]
    low, high = (first.get(f"test_jaccard_{end}") for end in ("low", "high"))
    half = f"; the 95% interval of the best Jaccard is ±{number((high - low) / 2)}" if low and high else ""
    seed = f" and one seed ({facts.params['seed']})" if "seed" in facts.params else ""
    limits = [
        f"The results are based on {counted(sources.best.predictions.height, 'test movie')}{half}.",
        f"One split{seed}: results vary with the split; flows/cross_validate.py measures by how much.",
    ]
    if sources.invented:
        limits.insert(0, INVENTED)
    rare = sources.best.per_genre.filter(pl.col("support") < RARE).sort("support", "genre")
    if rare.height:
        names = [f"{genre} ({support})" for genre, support in rare.select("genre", "support").iter_rows()]
        limits.append(f"Fewer than {RARE} test movies, so the F1 is mostly chance: {listed(names)}.")
    foreign = int(((texts.str.count_matches(r"\S+") >= _LONG) & ~texts.str.contains(_COMMON_WORDS)).sum())
    if foreign:
        limits.append(
            "Models expect English. Test descriptions without any of the most common English words, which are probably "
            f"in another language: {foreign:,}."
        )
    if cut_off := int(sources.movies["is_truncated"].sum()):
        were = "was" if cut_off == 1 else "were"
        limits.append(f"{counted(cut_off, 'test description')} {were} cut off at the source.")
    if across := _split_counts(sources).get("text_groups", {}).get("across_parts", 0):
        limits.append(f"{_say_across(across)}.")
    audit = sources.audit
    if audit is not None and audit.height:
        doubted = counted(audit["movie_id"].n_unique(), "movie")
        limits.append(f"Genres in the listings count as true, although the label audit finds {doubted} doubtful.")
    return limits


def _say_across(groups: int) -> str:
    return (
        f"{counted(groups, 'group')} of near-duplicate descriptions {'is' if groups == 1 else 'are'} in more than one "
        "part of the split, which makes the test results look better"
    )


_EFFECTS: Final = {"dropped": "dropped", "merged": "merged", "changed": "text changed", "unparsed": "unreadable field"}
_EXPECTED: Final = {
    "year": "a year from 1800 to 2199",
    "runtime_min": "a time in minutes",
    "rating": "a number from 0 to 10",
    "votes": "a whole number",
}


def quality_section(sources: Sources) -> Section:
    """Show what cleaning dropped, merged and changed, and what annotation and split counted."""
    cleaned = read_json(sources.paths.dropped)
    counts: dict[str, int] = {name: count for name, count in cleaned.get("counts", {}).items() if count}
    blocks: list[Any] = [Text(say_rows(counts))]
    annotated = read_json(sources.paths.conllu.parent / "annotate.stage.json").get("counts", {})
    sentences = (say_annotation(annotated), say_split(_split_counts(sources)))
    blocks += [Text(sentence) for sentence in sentences if sentence]
    dropped = {name.partition("/")[2]: count for name, count in counts.items() if name.startswith("dropped/")}
    if dropped:
        ordered = dict(sorted(dropped.items(), key=lambda item: (-item[1], item[0])))
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
    read, kept = counts.get("rows_read"), counts.get("movies_kept")
    if not read or not kept:
        return "There are no counts of a cleaning: the movies were clean already."
    merged = counts.get("merged/same_movie", 0)
    dropped = sum(count for name, count in counts.items() if name.startswith("dropped/"))
    more = f", {counted(merged, 'row')} merged into another row of the same movie" if merged else ""
    return (
        f"Of {counted(read, 'row')} read, {counted(kept, 'movie')} are left ({percent(kept / read)}): "
        f"{counted(dropped, 'row')} dropped{more}."
    )


def say_dropped(dropped: Mapping[str, int]) -> str:
    """Say which reason, of at least one, accounts for most dropped rows; they are sorted by their counts."""
    total = sum(dropped.values())
    reason, count = next(iter(dropped.items()))
    name = reason.replace("_", " ")
    if len(dropped) == 1:
        rows = "The only dropped row has" if total == 1 else f"All {total:,} dropped rows have"
        return f"{rows} one reason: “{name}”."
    return f"“{name}” accounts for {count:,} of {total:,} dropped rows ({percent(count / total)})."


def rows_of_cleaning(counts: Mapping[str, int], reasons: Mapping[str, str]) -> list[tuple[Cell, ...]]:
    """Return the rows of the table of cleaning: rule, effect, number of rows, and why."""
    rows: list[tuple[Cell, ...]] = []
    for name, count in sorted(counts.items(), key=lambda item: (item[0].partition("/")[0], -item[1], item[0])):
        effect, _, rule = name.partition("/")
        if effect not in _EFFECTS:
            continue
        why = reasons.get(rule, "")
        if effect == "merged":
            why = why or "The same movie is in several listings."
        elif effect == "unparsed":
            why = f"The field is not {_EXPECTED[rule]}" if rule in _EXPECTED else "The field cannot be read"
            why += "; it counts as unknown."
        rows.append((Cell(rule.replace("_", " ")), Cell(_EFFECTS[effect]), Cell(f"{count:,}", count), Cell(why)))
    return rows


def say_annotation(counts: Mapping[str, int]) -> str:
    """Say how long the annotated corpus is; nothing if it was not counted."""
    if not {"documents", "tokens", "sentences", "empty_documents"} <= counts.keys():
        return ""
    empty = counts["empty_documents"]
    return (
        f"The descriptions have {counts['tokens']:,} tokens in {counted(counts['sentences'], 'sentence')}; "
        f"{f'{empty:,}' if empty else 'none'} {'are' if empty > 1 else 'is'} empty."
    )


def _split_counts(sources: Sources) -> dict[str, Any]:
    return dict(read_json(sources.paths.splits.parent / "split.stage.json").get("counts", {}))


def say_split(counts: Mapping[str, Any]) -> str:
    """Say how similar the parts of the split are; nothing if that was not counted."""
    groups = counts.get("text_groups", {})
    if "largest_share_difference" not in counts or "across_parts" not in groups:
        return ""
    across = groups["across_parts"]
    most = number(ceil(counts["largest_share_difference"] * 100 - 1e-9) / 100, 2)  # rounded up
    same = _say_across(across) if across else "no near-duplicate descriptions are in different parts"
    return (
        f"The split is balanced: no genre's share of a part differs from its share of all movies by more than "
        f"{most} percentage points, and {same}."
    )


_HIDDEN: Final = "genreflow.data_dir"  # a folder on this machine, useless to other readers


def run_section(sources: Sources, facts: RunFacts) -> Section:
    """Show the run's identity, data, code and versions, times and configuration."""
    split = _split_counts(sources)
    rows = {name: value for name, value in _facts(sources, facts, split).items() if value}
    versions: dict[str, str] = {}
    for path in [*sidecars(sources.paths), *(model.folder / "train.stage.json" for model in sources.models)]:
        versions |= {name: str(version) for name, version in read_json(path).get("versions", {}).items()}
    seconds = {name: f"{value:.1f}" for name, value in facts.task_seconds.items()}
    params = {name: shorten_paths(value) for name, value in facts.params.items()}
    tables = [
        _pairs("run-facts", "The run at a glance", ("Fact", "Value"), rows),
        _pairs("task-times", "Time per task", ("Task", "Seconds, those of parallel ones added"), seconds),
        _pairs("versions", "Package versions", ("Package", "Version"), dict(sorted(versions.items()))),
        _pairs("config", "Configuration", ("Option", "Value"), params),
    ]
    return Section("run", "Run details", [Text(_say_parts(sources, split)), *(table for table in tables if table.rows)])


def shorten_paths(text: str) -> str:
    """Keep only the last two parts of absolute paths in a text, which means more to readers on other machines.

    >>> shorten_paths("pipeline /home/me/data/raw 2026")
    'pipeline …/data/raw 2026'
    """
    return re.sub(r"(?<!\S)/\S*?([^\s/]+/[^\s/]+)(?!\S)", r"…/\1", text)


def say_duration(duration_s: float) -> str:
    """Write a duration in common units.

    >>> say_duration(42.4), say_duration(300), say_duration(7500)
    ('42 s', '5 min', '2 h 5 min')
    """
    if duration_s < 120:
        return f"{duration_s:.0f} s"
    hours, minutes = divmod(round(duration_s / 60), 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min"


def _say_parts(sources: Sources, parts: Mapping[str, Any]) -> str:
    models, test = counted(len(sources.models), "model"), counted(sources.best.predictions.height, "movie")
    were = "was" if len(sources.models) == 1 else "were"
    if {"train", "validation"} <= parts.keys():
        return (
            f"{models} {were} trained on {counted(parts['train'], 'movie')}. {counted(parts['validation'], 'other')} "
            f"chose the decision rules and the order of the models. All test results come from {test} that took no "
            "part in any choice."
        )
    return f"{models} {were} tested on {test} that took no part in any choice."


def _facts(sources: Sources, facts: RunFacts, split: Mapping[str, Any]) -> dict[str, str]:
    tag = {name.removeprefix("genreflow."): value for name, value in facts.tags.items() if name != _HIDDEN}
    parts = [f"{split[part]:,} {part}" for part in ("train", "validation", "test") if part in split]
    return {
        "Run": shorten_paths(facts.name),
        "MLflow run": facts.run_id,
        "Source of the listings": shorten_paths(facts.params.get("source", "")),
        "Preset": facts.params.get("preset", ""),
        "Seed": facts.params.get("seed", ""),
        "Movies": ", ".join(parts),
        "Genres": f"{len(sources.best.scores.genres)}",
        "Models": f"{len(sources.models)}",
        "Time before this report": "" if facts.duration_s is None else say_duration(facts.duration_s),
        "Code revision": tag.get("git_revision", ""),
        "Hash of the data": tag.get("data_hash", ""),
    }


def _pairs(name: str, caption: str, titles: tuple[str, str], pairs: Mapping[str, str]) -> Table:
    rows = [(Cell(key), Cell(value)) for key, value in pairs.items()]
    return Table(name, caption, [Column(title) for title in titles], rows, is_folded=name != "run-facts")
