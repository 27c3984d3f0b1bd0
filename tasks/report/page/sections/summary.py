"""The page in short: the numbers that matter and what they mean. Owns their choice and wording."""

from typing import Any

import numpy as np

from tasks.report.exhibits import impossible_movies
from tasks.report.page.blocks import Section, Tile, Tiles, Words
from tasks.report.page.sections.genres import say_genres, say_undefined
from tasks.report.page.sections.ranking import say_leader
from tasks.report.page.sources import RunFacts, Sources
from tasks.report.page.wording import counted, figure, percent, with_minus


def summary_section(sources: Sources, facts: RunFacts) -> Section:
    """Say in a few numbers and sentences what the run found."""
    board, best = sources.leaderboard, sources.best
    hopeless = len(impossible_movies(sources.models))
    sentences = [
        say_leader(board),
        say_use(best.jaccard),
        say_genres(best.per_genre),
        say_undefined(best.per_genre),
        f"{counted(hopeless, 'movie')} {'is' if hopeless == 1 else 'are'} out of reach of every model."
        if hopeless and len(sources.models) > 1
        else "",
        with_minus(facts.promotion[:1].upper() + facts.promotion[1:]),
    ]
    blocks: list[Any] = [Tiles(_tiles(sources)), *(Words(sentence) for sentence in sentences if sentence)]
    return Section("summary", "In short", blocks)


def say_use(jaccard: np.ndarray[Any, np.dtype[np.float64]]) -> str:
    """Say in plain words what the best model's answers are worth."""
    known = jaccard[np.isfinite(jaccard)]
    if not known.size:
        return "No test movie has a genre, so that nothing can be said of the answers."
    return (
        f"Of a hundred movies that it has never seen, the best model gets at least one genre right for "
        f"{percent(float(np.mean(known > 0))).removesuffix(' %')}, and exactly the right set for "
        f"{percent(float(np.mean(known == 1))).removesuffix(' %')}."
    )


def _tiles(sources: Sources) -> list[Tile]:
    first = sources.leaderboard.row(0, named=True)
    rows = [
        ("test_jaccard", "Jaccard on test", "overlap of predicted and true genres"),
        ("test_f1_macro", "F1 (macro)", "mean over genres, the rare ones count as much"),
        ("test_at_least_one", "at least one right", "share of movies"),
        ("test_exact_match", "all right", "share of movies"),
    ]
    tiles = [Tile(sources.best.name, "best model", f"of {counted(len(sources.models), 'model')}")]
    for column, title, note in rows:
        value = first.get(column)
        is_share = column in {"test_at_least_one", "test_exact_match"}
        written = percent(value) if is_share and value is not None else figure(value)
        tiles.append(Tile(written, title, _interval(first, column) or note))
    return tiles


def _interval(row: dict[str, Any], column: str) -> str:
    low, high = row.get(f"{column}_low"), row.get(f"{column}_high")
    return "" if low is None or high is None else f"95 % interval {figure(low)} to {figure(high)}"
