"""Figures that only the page has. Owns their form; computes no figure and writes no file."""

from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np
import polars as pl
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter
from numpy.typing import NDArray

from tasks.core.figures import (
    BLUE,
    GREY,
    ORANGE,
    PAPER_TINT,
    draw_bars,
    draw_heat_map,
    drawable,
    label_dots,
    new_figure,
)

WIDTH_IN: Final = 7.6
MARKERS: Final = ((BLUE, "o"), (ORANGE, "s"))


def draw_dropped(reasons: Sequence[str], counts: Sequence[int]) -> Figure:
    """Draw how many rows were dropped for each reason."""
    figure = new_figure(WIDTH_IN, 0.6 + 0.32 * len(reasons))
    draw_bars(figure.add_subplot(), reasons, counts, [f"{count:,}" for count in counts])
    return figure


def draw_support(per_genre: pl.DataFrame) -> Figure:
    """Draw each genre's F1 against its number of test movies; those whose F1 is undefined are not drawn."""
    known = per_genre.drop_nulls("f1").filter(pl.col("support") > 0).sort("support", "genre")
    figure = new_figure(WIDTH_IN, 4.6)
    axes = figure.add_subplot()
    axes.set_xscale("log")
    dots = axes.scatter(known["support"], known["f1"], color=BLUE, s=30, zorder=3)
    support = known["support"].to_numpy().astype(np.float64)
    axes.set_xlim(max(support.min(initial=1e9) * 0.75, 0.5), max(support.max(initial=1.0) * 1.9, 2))
    axes.set_ylim(-0.03, 1.03)
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    axes.xaxis.set_minor_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}" if f"{value:g}"[0] in "25" else ""))
    axes.set(xlabel="test movies that have the genre (logarithmic)", ylabel="F1")
    axes.grid(color=PAPER_TINT)
    axes.set_axisbelow(True)
    label_dots(axes, dots, known["genre"].to_list())
    return figure


def draw_lengths(bins: Mapping[str, pl.DataFrame]) -> Figure:
    """Draw the mean Jaccard of each model by length of the description, with 95 % intervals, and the movies of a bin.

    Args:
        bins: of each model: `label`, `movies`, `mean`, `low`, `high`, the same bins for all.
    """
    figure = new_figure(WIDTH_IN, 4.2)
    axes, below = figure.subplots(2, 1, height_ratios=(3, 1), sharex=True)
    for place, ((name, table), (colour, marker)) in enumerate(zip(bins.items(), MARKERS, strict=False)):
        x = np.arange(table.height) + 0.12 * (place - (len(bins) - 1) / 2)
        mean, low, high = (table[column].to_numpy() for column in ("mean", "low", "high"))
        error = np.maximum([mean - low, high - mean], 0)
        axes.errorbar(x, mean, error, color=colour, marker=marker, capsize=2, label=drawable(name), linewidth=1.6)
    axes.set_ylabel("mean Jaccard")
    axes.set_ylim(bottom=0)
    axes.grid(axis="y", color=PAPER_TINT)
    axes.legend(loc="lower right", ncols=2)
    table = next(iter(bins.values()))
    below.bar(np.arange(table.height), table["movies"], color=GREY, width=0.8)
    below.set_xticks(range(table.height), table["label"].to_list())
    below.set(xlabel="words of the description", ylabel="movies")
    return figure


def draw_model_genres(
    values: Mapping[str, NDArray[np.float64]], genres: Sequence[str], models: Sequence[str]
) -> Figure:
    """Draw a heat map of genres over models for each metric, one below the other, in per cent; a dash is undefined.

    Args:
        values: of each metric, genres x models in [0, 1], NaN where undefined.
        genres: the rows, with their support.
        models: the columns.
    """
    height = 0.27 * len(genres)
    figure = new_figure(1.9 + 0.42 * len(models), 2.2 + len(values) * (height + 0.35))
    panels = figure.subplots(len(values), 1, squeeze=False)[:, 0]
    for place, (axes, (metric, shares)) in enumerate(zip(panels, values.items(), strict=True)):
        draw_heat_map(axes, 100 * shares, list(genres), list(models))
        for row, column in np.argwhere(np.isnan(shares) | (shares == 0)):
            mark = "\N{EN DASH}" if np.isnan(shares[row, column]) else "0"
            axes.text(column + 0.5, row + 0.5, mark, ha="center", va="center", fontsize=7, in_layout=False)
        axes.set_ylabel(f"{metric}, %", fontsize=11)
        if place:
            axes.set_xticklabels([])
    return figure


def draw_set_sizes(true: NDArray[np.int64], predicted: NDArray[np.int64]) -> Figure:
    """Draw how many movies have and were given 0, 1, 2, ... genres."""
    figure = new_figure(WIDTH_IN, 3.2)
    axes = figure.add_subplot()
    places = np.arange(max(len(true), len(predicted)))
    for shift, counts, colour, name in ((-0.2, true, GREY, "have"), (0.2, predicted, BLUE, "were given")):
        padded = np.pad(counts, (0, len(places) - len(counts)))
        bars = axes.bar(places + shift, padded, width=0.38, color=colour, label=name)
        axes.bar_label(bars, [f"{count:,}" if count else "" for count in padded], fontsize=8, padding=1)
    axes.set_xticks(places)
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    axes.set(xlabel="genres of a movie", ylabel="test movies")
    axes.margins(y=0.12)
    figure.legend(loc="outside upper left", ncols=2, fontsize=9)
    return figure


def draw_scores(positive: NDArray[np.int64], negative: NDArray[np.int64], edges: NDArray[np.float64]) -> Figure:
    """Draw how often each score was given to genres that a movie has and to ones that it has not."""
    figure = new_figure(WIDTH_IN, 3.2)
    axes = figure.add_subplot()
    for counts, colour, name, fill in (
        (negative, GREY, "movie has it not", True),
        (positive, BLUE, "movie has it", False),
    ):
        axes.stairs(counts, edges, color=colour, fill=fill, linewidth=2, label=name)
    axes.set_yscale("symlog", linthresh=1)
    axes.set_ylim(bottom=0)
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    axes.set(xlim=(0, 1), xlabel="score of a genre", ylabel="scores (logarithmic)")
    figure.legend(loc="outside upper left", ncols=2, fontsize=9)
    return figure
