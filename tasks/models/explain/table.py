"""Explanations as a table. Owns how an explanation becomes rows (`schema.EXPLANATIONS`), and the words that matter."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from tasks.models.classifier import GenreClassifier
from tasks.models.explain.explain import explain
from tasks.models.explain.explanation import Explanation
from tasks.models.explain.pieces import Piece
from tasks.schema import DEFAULT_SEED, EXPLANATIONS

REST = "rest"


def explain_decided(
    classifier: GenreClassifier, movies: pl.DataFrame, rule: str | None = None, seed: int = DEFAULT_SEED
) -> pl.DataFrame:
    """Return `schema.EXPLANATIONS` of the genres that a rule decides for each movie, and of true ones that it misses.

    Every movie and genre has a row for the rest, and no row for pieces that contribute nothing.

    Args:
        classifier: whose decisions are explained.
        movies: column `movie_id`, those that `GenreClassifier.predict` reads, and `genres` (lists) where they are
            known.
        rule: as in `GenreClassifier.predict`.
        seed: of what a method draws.
    """
    asked = decided_or_missed(classifier, movies, rule)
    cut, explanations = explain(classifier.model, movies, asked, seed)
    rows = [
        row
        for movie_id, pieces, of_movie, columns in zip(
            movies.get_column("movie_id").to_list(), cut.pieces, explanations, asked, strict=True
        )
        for place, column in enumerate(columns)
        for row in _rows(movie_id, classifier.genres[column], pieces, of_movie, place)
    ]
    return pl.DataFrame(rows, schema=EXPLANATIONS, orient="row")


def decided_or_missed(classifier: GenreClassifier, movies: pl.DataFrame, rule: str | None = None) -> list[list[int]]:
    """Return the columns of the genres that a rule decides for each movie, and of those in `genres` that it misses."""
    decided = classifier.predict(movies, rule).get_column("genres").str.split(", ").to_list()
    true = movies.get_column("genres").to_list() if "genres" in movies.columns else [[]] * movies.height
    return [
        [column for column, genre in enumerate(classifier.genres) if genre in {*of_rule, *of_movie}]
        for of_rule, of_movie in zip(decided, true, strict=True)
    ]


def _rows(
    movie_id: str, genre: str, pieces: Sequence[Piece], explanation: Explanation, place: int
) -> list[tuple[Any, ...]]:
    contributions = explanation.contributions[:, place]
    common = (movie_id, genre, explanation.method, float(explanation.base[place]), float(explanation.value[place]))
    rows: list[tuple[Any, ...]] = []
    for number in np.flatnonzero(contributions).tolist():
        piece = pieces[number]
        rows.append((*common, piece.source, piece.start, piece.end, piece.text, float(contributions[number])))
    return [*rows, (*common, REST, None, None, "", float(explanation.rest[place]))]


@dataclass(frozen=True)
class Reason:
    """A word or field value and what it contributes in all its places."""

    text: str
    contribution: float


def reasons(rows: pl.DataFrame) -> list[Reason]:
    """Return the words and field values of one movie and genre, the strongest first, each once, without the rest."""
    summed = (
        rows.filter(pl.col("source") != REST)
        .group_by(pl.col("piece").str.to_lowercase().alias("key"), maintain_order=True)
        .agg(pl.col("piece").first(), pl.col("contribution").sum())
        .sort(pl.col("contribution").abs(), descending=True, maintain_order=True)
    )
    return [Reason(*row) for row in summed.select("piece", "contribution").iter_rows()]


def strongest(table: pl.DataFrame) -> float:
    """Return the strongest contribution of any piece in the table, without its sign; 0 if there is none."""
    found = table.filter(pl.col("source") != REST).get_column("contribution").abs().max()
    return float(found or 0)  # type: ignore[arg-type]
