"""Test movies that show where models are good, bad, at odds and without a chance. Owns their order and wording."""

from typing import Any, Final

import numpy as np
import polars as pl

from tasks.coloured import coloured_html
from tasks.errors import DataError
from tasks.report.exhibits import SUGGESTED, impossible_movies
from tasks.report.page.blocks import Cards, Section, Words
from tasks.report.page.cards import Explained, movie_card
from tasks.report.page.sources import Model, Sources
from tasks.report.page.wording import counted, listed, percent

TITLES: Final = {
    "good": "Good predictions",
    "bad": "Bad predictions",
    "disagreement": "Where two kinds of model disagree",
    "impossible": "Impossible for every model",
    "doubtful": "Labels in doubt",
}
SIGNS: Final = "✓ right, ✗ wrong, ○ missed; beside each genre its score."


def movies_section(sources: Sources, exhibits: pl.DataFrame) -> Section:
    """Show the chosen movies by role, each with what the models say and which words made them say so."""
    explained = Explained(sources.best), *((Explained(sources.rival),) if sources.rival else ())
    blocks: list[Any] = [Words(say_colours(explained), _legend(explained))]
    rows = {movie: row for row, movie in enumerate(sources.best.predictions["movie_id"])}
    for role, title in TITLES.items():
        ids = exhibits.filter(pl.col("role") == role).sort("rank")["movie_id"].to_list()
        if strangers := [movie for movie in ids if movie not in rows]:
            raise DataError(f"exhibits: {strangers[0]} is no test movie of this run; choose the exhibits again")
        if ids or (role != "doubtful" and (role != "disagreement" or sources.rival)):
            with_rival = role in {"disagreement", "impossible"}
            cards = [movie_card(sources, rows[movie], explained if with_rival else explained[:1]) for movie in ids]
            blocks.append(Cards(role, title, _say_role(sources, role, len(ids)), cards))
    return Section("movies", "Movies to look at", blocks)


def say_colours(explained: tuple[Explained, ...]) -> str:
    """Say what colours mean, or that there are none."""
    names = [each.model.name for each in explained if each.pieces]
    if not names:
        return f"{SIGNS} No explanations were computed in this run: the texts stand without colours."
    return (
        f"{SIGNS} Colours show what moved {listed(names)}, the stronger the more; the numbers are contributions to the "
        "log-odds of the genre."
    )


def _legend(explained: tuple[Explained, ...]) -> str | None:
    if not any(each.pieces for each in explained):
        return None
    speaks_for, against = "speaks for the genre", "speaks against it"
    text = f"{speaks_for}, {against}"
    return coloured_html(text, [(0, len(speaks_for), 1.0), (len(text) - len(against), len(text), -1.0)], 1.0)


def _say_role(sources: Sources, role: str, shown: int) -> str:
    best, total = sources.best, sources.best.predictions.height
    if role == "good":
        right = int((best.jaccard == 1).sum())
        return f"{best.name} has all genres right and none too many for {_of(right, total)}.{_shown(right, shown)}"
    if role == "bad":
        wrong = int((best.jaccard == 0).sum())
        return f"{best.name} has none right for {_of(wrong, total)}.{_shown(wrong, shown, 'the surest mistakes')}"
    if role == "disagreement" and sources.rival:
        return say_disagreement(best, sources.rival)
    if role == "impossible":
        hopeless = len(impossible_movies(sources.models))
        impossible = {0: "so nothing is impossible, and nothing shown", 1: "it is impossible"}.get(
            hopeless, "these are impossible"
        )
        missed = int(np.all([model.jaccard == 0 for model in sources.models], axis=0).sum())
        return (
            f"For {_of(missed, total)}, {_all_have(len(sources.models))} no genre right; for {hopeless:,} of these no "
            f"model puts a true genre even among its {SUGGESTED} highest scores: "
            f"{impossible}."
            f"{_shown(hopeless, shown, 'those farthest off')}"
        )
    return f"The label audit doubts these test movies most; {counted(shown, 'movie')} shown."


def say_disagreement(best: Model, rival: Model) -> str:
    """Say how often two models answer differently, and who is then right."""
    difference = best.jaccard - rival.jaccard
    ahead, behind = int((difference > 0).sum()), int((difference < 0).sum())
    total = len(difference)
    same = int((best.predictions["predicted_genres"] == rival.predictions["predicted_genres"]).sum())
    if same == total:
        return f"{best.name} and {rival.name}, the best model of another kind, answer every movie the same."
    return (
        f"{best.name} and {rival.name}, the best model of another kind ({rival.kind}), say the same of "
        f"{percent(same / total)} of the movies; {best.name} is nearer the truth for {ahead:,} and {rival.name} for "
        f"{behind:,}."
    )


def _all_have(models: int) -> str:
    return {1: "the only model has", 2: "both models have"}.get(models, f"all {models} models have")


def _of(number: int, total: int) -> str:
    return f"{number:,} of {counted(total, 'test movie')} ({percent(number / max(total, 1))})"


def _shown(found: int, shown: int, which: str = "the surest of them") -> str:
    return f" Shown: {which}." if found > shown > 0 else ""
