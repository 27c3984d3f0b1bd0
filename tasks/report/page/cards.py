"""A test movie as people look at it: what models say of it, and which words and fields made them. Owns that form."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final

import numpy as np
import polars as pl

from tasks.coloured import coloured_html
from tasks.report.page.blocks import Card, Line, Reason
from tasks.report.page.sources import Model, Sources

PIECES: Final = 6  # with the strongest contributions, that are told in numbers
GENRES: Final = 2  # explanations of a movie for one model, and for two models together
_SOURCES: Final = {"movie_name": "title", "rest": "all else"}


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


def movie_card(sources: Sources, row: int, explained: tuple[Explained, ...]) -> Card:
    """Show a test movie, by its row, with what models say of it and why."""
    movie = sources.movies.row(row, named=True)
    title = f"{movie['movie_name']} ({movie['year']})" if movie["year"] else movie["movie_name"]
    lines = [_line(each.model, row) for each in explained]
    reasons = _reasons(explained, movie, row, lines[0])
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


def _reasons(explained: tuple[Explained, ...], movie: Mapping[str, Any], row: int, line: Line) -> list[Reason]:
    """Explain what is most telling: two genres of one model, or the genre that two models differ most on."""
    genres = _differing(explained, row) if len(explained) > 1 else _most_telling(line)
    known = [genre for genre in genres if any((movie["movie_id"], genre) in each.pieces for each in explained)]
    return [
        _reason(pieces, movie["description"], f"{genre} in the eyes of {each.model.name}")
        for genre in known[: GENRES // len(explained)]
        for each in explained
        if (pieces := each.pieces.get((movie["movie_id"], genre))) is not None
    ]


def _most_telling(line: Line) -> list[str]:
    """Return genres in the order in which a reader asks for reasons: wrongly given, missed, right."""
    return [genre for group in (line.wrong, line.missed, line.right) for genre, _ in group]


def _differing(explained: tuple[Explained, ...], row: int) -> list[str]:
    """Return genres from the one that two models' scores differ most on."""
    one, other = (dict(zip(each.model.scores.genres, each.model.scores.scores[row], strict=True)) for each in explained)
    return sorted(set(one) & set(other), key=lambda genre: (-abs(one[genre] - other[genre]), genre))


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
