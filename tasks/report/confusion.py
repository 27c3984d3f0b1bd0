"""What a model confuses, as figures: per genre right and wrong, and what it says when it misses one."""

from collections.abc import Sequence
from math import ceil

import numpy as np
import polars as pl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from tasks.picture import (
    COLOUR_SCALE,
    draw_heat_map,
    drawable,
    new_figure,
    short_number,
    text_colour,
)

COLUMNS = 4
NOTHING_WRONG = "nothing wrong"

_PLACE_WIDTH, _PLACE_HEIGHT = 2.3, 2.7  # of a 2 x 2 matrix with its title, in cells
_EXPLANATION = ("found\n% of row", "missed\n% of row", "false\nalarm", "rightly\nnot")


def count_instead(predictions: pl.DataFrame, genres: list[str]) -> NDArray[np.float64]:
    """Count what was wrongly predicted for the movies in which a genre was missed.

    Args:
        predictions: `true_genres` and `predicted_genres`, lists of text, one row a movie.
        genres: the order of rows and columns.

    Returns:
        genres x (genres + 2). Row: the genre that a movie has and was not predicted. Columns: each genre that was
        predicted for it and that it does not have; then the movies with no such genre; then all movies of the row.
    """
    true, predicted = (
        _membership(predictions["true_genres"], genres),
        _membership(predictions["predicted_genres"], genres),
    )
    missed, wrong = true & ~predicted, predicted & ~true
    nothing_wrong = ~wrong.any(axis=1, keepdims=True)
    answers = np.hstack([wrong, nothing_wrong, np.ones_like(nothing_wrong)])
    return missed.T.astype(np.float64) @ answers.astype(np.float64)


def draw_confusion(per_genre: pl.DataFrame) -> Figure:
    """Draw one small 2 x 2 matrix per genre with `tp`, `fn`, `fp`, `tn`, coloured by the share of the row's movies."""
    rows = ceil((per_genre.height + 1) / COLUMNS)  # one more place for the explanation
    width, height = COLUMNS * _PLACE_WIDTH, rows * _PLACE_HEIGHT
    figure = Figure(figsize=(0.62 * width, 0.62 * height))
    axes = figure.add_axes((0, 0, 1, 1))  # one for all: an axes for each matrix takes ten times as long
    axes.set(xlim=(0, width), ylim=(height, 0))
    axes.set_axis_off()
    _draw_square(axes, 0, "row: has it or not", _EXPLANATION, np.zeros((2, 2)))
    for place, (genre, *counts) in enumerate(per_genre.select("genre", "tp", "fn", "fp", "tn").iter_rows(), start=1):
        matrix = np.array(counts, dtype=np.float64).reshape(2, 2)
        totals = matrix.sum(axis=1, keepdims=True)
        shares = np.divide(matrix, totals, out=np.zeros_like(matrix), where=totals > 0)
        texts = [
            f"{short_number(count)}\n{short_number(100 * share)}%"
            for count, share in zip(matrix.flat, shares.flat, strict=True)
        ]
        _draw_square(axes, place, genre, texts, shares)
    return figure


def draw_instead(counts: NDArray[np.float64], genres: list[str]) -> Figure:
    """Draw the shares of `count_instead` in per cent of each row; its label tells how often its genre was missed."""
    missed = counts[:, -1:]
    shares = np.divide(100 * counts[:, :-1], missed, out=np.full_like(counts[:, :-1], np.nan), where=missed > 0)
    shares[np.arange(len(genres)), np.arange(len(genres))] = np.nan
    figure = new_figure(2.9 + 0.3 * len(genres), 2.0 + 0.3 * len(genres))
    axes = figure.add_subplot()
    rows = [f"{genre}: {int(count):,}" for genre, count in zip(genres, missed[:, 0], strict=True)]
    draw_heat_map(axes, shares[:, :-1], rows, genres)
    axes.text(len(genres) + 0.9, -0.2, NOTHING_WRONG, rotation=90, ha="center", va="bottom")
    for row, share in enumerate(shares[:, -1]):
        axes.text(
            len(genres) + 0.9, row + 0.5, "\N{EN DASH}" if np.isnan(share) else f"{share:.0f}", ha="center", va="center"
        )
    axes.set_ylabel("missed genre: number of movies")
    axes.set_xlabel("wrongly predicted instead, in per cent of these movies; several can be, blank: none")
    return figure


def _draw_square(axes: Axes, place: int, title: str, texts: Sequence[str], shares: NDArray[np.float64]) -> None:
    left = place % COLUMNS * _PLACE_WIDTH + (_PLACE_WIDTH - 2) / 2
    top = place // COLUMNS * _PLACE_HEIGHT + (_PLACE_HEIGHT - 2) - 0.1
    edges = np.arange(3)
    axes.pcolormesh(left + edges, top + edges, shares, cmap=COLOUR_SCALE, vmin=0, vmax=1, edgecolors="#BBBBBB")
    for ((row, column), share), text in zip(np.ndenumerate(shares), texts, strict=True):
        colour = text_colour(share)
        axes.text(left + column + 0.5, top + row + 0.5, text, ha="center", va="center", fontsize=8, color=colour)
    axes.text(left, top - 0.12, drawable(title), fontsize=9 if place else 7.5, fontweight="bold" if place else "normal")


def _membership(genres_of_movies: pl.Series, genres: list[str]) -> NDArray[np.bool_]:
    columns = [genres_of_movies.list.contains(genre).fill_null(False).to_numpy() for genre in genres]
    return np.array(columns, dtype=np.bool_).reshape(len(genres), genres_of_movies.len()).T
