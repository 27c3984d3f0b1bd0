"""Test movies that show where models are good, bad, at odds and without a chance. Owns the cards and their wording."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final

import numpy as np
import polars as pl

from tasks.coloured import coloured_html
from tasks.report.exhibits import SUGGESTED, impossible_movies
from tasks.report.page.blocks import Card, Cards, Line, Reason, Section, Words
from tasks.report.page.sources import Model, Sources
from tasks.report.page.wording import counted, listed, percent

PIECES: Final = 6  # with the strongest contributions, that are told in numbers
GENRES: Final = 2  # of a movie that are explained for each model
TITLES: Final = {
    "good": "Good predictions",
    "bad": "Bad predictions",
    "disagreement": "Where two kinds of model disagree",
    "impossible": "Impossible for every model",
    "doubtful": "Labels in doubt",
}
_SOURCES: Final = {"movie_name": "title", "rest": "all else"}


def movies_section(sources: Sources, exhibits: pl.DataFrame) -> Section:
    """Show the chosen movies by role, each with what the models say and which words made them say so."""
    explained = Explained(sources.best), *((Explained(sources.rival),) if sources.rival else ())
    blocks: list[Any] = [Words(say_colours(explained))]
    rows = {movie: row for row, movie in enumerate(sources.best.predictions["movie_id"])}
    for role, title in TITLES.items():
        ids = exhibits.filter(pl.col("role") == role).sort("rank")["movie_id"].to_list()
        if ids or (role != "doubtful" and (role != "disagreement" or sources.rival)):
            with_rival = role in {"disagreement", "impossible"}
            cards = [_card(sources, rows[movie], explained if with_rival else explained[:1]) for movie in ids]
            blocks.append(Cards(role, title, _say_role(sources, role, len(ids)), cards))
    return Section("movies", "Movies to look at", blocks)


@dataclass(frozen=True)
class Explained:
    """A model with the contributions of words and fields to its scores, where they were computed."""

    model: Model

    @cached_property
    def pieces(self) -> Mapping[tuple[str, str], pl.DataFrame]:
        """The pieces of each movie and genre; nothing where there are no explanations."""
        table = self.model.optional_table("explanations.parquet")
        if table is None:
            return {}
        parts = table.partition_by("movie_id", "genre", as_dict=True, maintain_order=True)
        return {(str(movie), str(genre)): part for (movie, genre), part in parts.items()}


def say_colours(explained: tuple[Explained, ...]) -> str:
    """Say what colours mean, or that there are none."""
    names = [each.model.name for each in explained if each.pieces]
    signs = "✓ right, ✗ wrong, ○ missed; beside each genre its score."
    if not names:
        return f"{signs} No explanations were computed in this run: the texts stand without colours."
    return (
        f"{signs} Words that speak for a genre in the eyes of {listed(names)} are coloured differently from words that "
        "speak "
        "against it, the stronger the more; the numbers are contributions to the log-odds of its score."
    )


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
        missed = int(np.all([model.jaccard == 0 for model in sources.models], axis=0).sum())
        models = "the only model" if len(sources.models) == 1 else f"all {len(sources.models)} models"
        return (
            f"For {_of(missed, total)}, {models} have no genre right; for {hopeless:,} of these no model puts a true "
            "genre even "
            f"among its {SUGGESTED} highest scores.{_shown(hopeless, shown, 'those farthest off')}"
        ).replace("model have", "model has")
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
        f"{best.name} and {rival.name}, the best model of another kind ({rival.kind}), say the same "
        "of "
        f"{percent(same / total)} of the movies; {best.name} is nearer the truth for {ahead:,} and {rival.name} for "
        f"{behind:,}."
    )


def _of(number: int, total: int) -> str:
    return f"{number:,} of {counted(total, 'test movie')} ({percent(number / max(total, 1))})"


def _shown(found: int, shown: int, which: str = "the surest of them") -> str:
    return f" Shown: {which}." if found > shown > 0 else ""


def _card(sources: Sources, row: int, explained: tuple[Explained, ...]) -> Card:
    movie = sources.movies.row(row, named=True)
    title = f"{movie['movie_name']} ({movie['year']})" if movie["year"] else movie["movie_name"]
    lines = [_line(each.model, row) for each in explained]
    reasons = [reason for each in explained for reason in _reasons(each, movie, row, len(explained) > 1)]
    text = "" if any(reason.coloured for reason in reasons) else movie["description"]
    return Card(title, text, lines, reasons, "cut off at its source" if movie["is_truncated"] else "")


def _line(model: Model, row: int) -> Line:
    scores = model.scores.scores[row]
    order = np.argsort(-scores, kind="stable")
    groups = (
        model.truth[row] & model.decided[row],
        model.decided[row] & ~model.truth[row],
        model.truth[row] & ~model.decided[row],
    )
    return Line(
        model.name,
        *(
            [(model.scores.genres[genre], f"{scores[genre]:.2f}") for genre in order if group[genre]]
            for group in groups
        ),
    )


def _reasons(explained: Explained, movie: Mapping[str, Any], row: int, name_model: bool) -> list[Reason]:
    """Explain the genres that matter most: first those wrongly given, then those missed, then those right."""
    line = _line(explained.model, row)
    groups = {"wrong": line.wrong, "missed": line.missed, "right": line.right}
    asked = [(genre, f"{what} {score}") for what, group in groups.items() for genre, score in group]
    found = [(genre, what) for genre, what in asked if (movie["movie_id"], genre) in explained.pieces][:GENRES]
    return [
        _reason(
            explained.pieces[movie["movie_id"], genre],
            movie["description"],
            f"{genre}, {what}" + (f", {explained.model.name}" if name_model else ""),
        )
        for genre, what in found
    ]


def _reason(pieces: pl.DataFrame, description: str, title: str) -> Reason:
    in_text = pieces.filter((pl.col("source") == "description") & pl.col("start").is_not_null())
    spans = list(in_text.select("start", "end", "contribution").sort("start", "end").iter_rows())
    strongest = max((abs(contribution) for *_, contribution in spans), default=0.0)
    ordered = pieces.filter(pl.col("contribution") != 0).sort(
        pl.col("contribution").abs(), descending=True, maintain_order=True
    )
    return Reason(
        title,
        [_piece(*row) for row in ordered.select("source", "piece", "contribution").head(PIECES).iter_rows()],
        coloured_html(description, spans, strongest) if spans else None,
    )


def _piece(source: str, piece: str | None, contribution: float) -> tuple[str, str, bool]:
    name = _SOURCES.get(source, source)
    text = (piece or name) if source == "description" else name if source == "rest" or not piece else f"{name}: {piece}"
    return text, f"{contribution:+.2f}".replace("-", "\N{MINUS SIGN}"), contribution > 0
