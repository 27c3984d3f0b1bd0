"""Pictures that only the report has."""

from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np
import polars as pl
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter
from numpy.typing import NDArray

from tasks.core.figures import BLUE, GREY, ORANGE, PAPER_TINT, draw_bars, draw_heat_map, drawable, new_figure

WIDTH_IN: Final = 7.6
MARKERS: Final = ((BLUE, "o"), (ORANGE, "s"))


def draw_dropped(reasons: Sequence[str], counts: Sequence[int]) -> Figure:
    """Draw how many rows were dropped for each reason."""
    figure = new_figure(WIDTH_IN, 0.6 + 0.32 * len(reasons))
    draw_bars(figure.add_subplot(), reasons, counts, [f"{count:,}" for count in counts])
    return figure


def draw_lengths(bins: Mapping[str, pl.DataFrame]) -> Figure:
    """Draw the mean Jaccard of each model by length of the description, with 95% intervals, and the movies per bin.

    `bins` of each model have `label`, `movies`, `mean`, `low`, `high`; all have the same bins.
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
    below.set(xlabel="words in the description", ylabel="movies")
    return figure


def draw_genre_model_map(f1: NDArray[np.float64], models: Sequence[str], genres: Sequence[str]) -> Figure:
    """Draw the F1 of models (rows) on genres (columns) in per cent; a dash is undefined."""
    figure = new_figure(2.2 + 0.42 * len(genres), 1.9 + 0.3 * len(models))
    axes = figure.add_subplot()
    draw_heat_map(axes, 100 * f1, list(models), list(genres))
    for row, column in np.argwhere(np.isnan(f1) | (f1 == 0)):
        mark = "\N{EN DASH}" if np.isnan(f1[row, column]) else "0"
        axes.text(column + 0.5, row + 0.5, mark, ha="center", va="center", fontsize=7, in_layout=False)
    axes.set_xlabel("F1, %; in brackets: test movies of the genre")
    return figure


def draw_set_sizes(true: NDArray[np.int64], predicted: NDArray[np.int64]) -> Figure:
    """Draw how many movies have 0, 1, 2, ... genres, and how many got as many predicted."""
    figure = new_figure(WIDTH_IN, 3.2)
    axes = figure.add_subplot()
    places = np.arange(max(len(true), len(predicted)))
    for shift, counts, colour, name in ((-0.2, true, GREY, "true"), (0.2, predicted, BLUE, "predicted")):
        padded = np.pad(counts, (0, len(places) - len(counts)))
        bars = axes.bar(places + shift, padded, width=0.38, color=colour, label=name)
        axes.bar_label(bars, [f"{count:,}" if count else "" for count in padded], fontsize=8, padding=1)
    axes.set_xticks(places)
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    axes.set(xlabel="genres per movie", ylabel="test movies")
    axes.margins(y=0.12)
    figure.legend(loc="outside upper left", ncols=2, fontsize=9)
    return figure
