"""The pictures of the exploration as figures. Owns their form; counts nothing and writes no file.

They are narrow and tall, so that their labels can still be read on a phone.
"""

from math import ceil

import numpy as np
import polars as pl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from tasks.explore.descriptions import ADD_A_PLOT, CUT_OFF, EMPTY, KINDS, OTHER_PLACEHOLDER, WHOLE
from tasks.explore.genres import FEWEST_FOR_A_SHARE
from tasks.picture import (
    BLUE,
    GREY,
    ORANGE,
    SKY,
    VERMILION,
    draw_bars,
    draw_heat_map,
    name_rows,
    new_figure,
)

WIDTH_IN = 5.6
HISTOGRAM_BARS = 40

_SHARE_LABEL = f"per cent of the {{}} movies\nblank: none, grey: of fewer than {FEWEST_FOR_A_SHARE} movies"
_KIND_COLOURS = {WHOLE: BLUE, CUT_OFF: SKY, ADD_A_PLOT: ORANGE, OTHER_PLACEHOLDER: VERMILION, EMPTY: GREY}


def draw_counts(counts: pl.DataFrame, label: str) -> Figure:
    """Draw `movies` and `share` per value of the column `label` as bars, in the order of the rows."""
    figure = new_figure(WIDTH_IN, 0.6 + 0.25 * counts.height)
    rows = counts.select("movies", "share").iter_rows()
    notes = [f"{movies:,}  ({f'{share:.1%}' if share >= 0.0005 else '<0.1%'})" for movies, share in rows]
    draw_bars(figure.add_subplot(), counts[label].to_list(), counts["movies"].to_list(), notes)
    return figure


def draw_pairs(values: NDArray[np.float64], genres: list[str], *, is_share: bool) -> Figure:
    """Draw how often genres go together: movies on a logarithmic colour scale, or per cent of the row's genre."""
    side = 1.6 + 0.3 * len(genres)
    figure = new_figure(side, side)
    axes = figure.add_subplot()
    draw_heat_map(axes, values, genres, genres, logarithmic=not is_share)
    axes.set_xlabel(_SHARE_LABEL.format("row's") if is_share else "movies; diagonal: all of the genre; blank: none")
    return figure


def draw_decades(decades: pl.DataFrame, genres: list[str]) -> Figure:
    """Draw each genre's share of each decade's movies, in per cent; below each decade stands its number of movies."""
    totals = decades.select("decade", "decade_movies").unique().sort("decade")
    shown = totals["decade"].to_list()
    shares = {(decade, genre): share for decade, genre, share in decades.select("decade", "genre", "share").iter_rows()}
    values = np.array([[100 * shares.get((decade, genre), 0.0) for decade in shown] for genre in genres])
    values = values.reshape(len(genres), len(shown))
    values[:, (totals["decade_movies"] < FEWEST_FOR_A_SHARE).to_numpy()] = np.nan
    figure = new_figure(1.8 + 0.36 * max(len(shown), 6), 1.6 + 0.27 * len(genres))
    axes = figure.add_subplot()
    columns = [f"{decade}s: {count:,}" for decade, count in totals.iter_rows()]
    draw_heat_map(axes, values, genres, columns)
    axes.set_xlabel(_SHARE_LABEL.format("decade's"))
    return figure


def draw_lengths(lengths: pl.DataFrame) -> Figure:
    """Draw how long descriptions are, in characters and in words; the last bar gathers the longest hundredth."""
    figure = new_figure(WIDTH_IN, 5.4)
    for axes, column in zip(figure.subplots(2, 1), lengths, strict=True):
        _draw_histogram(axes, column)
    return figure


def draw_kinds(counts: pl.DataFrame) -> Figure:
    """Draw the shares of the kinds of description in each file's rows, stacked."""
    figure = new_figure(WIDTH_IN, 1.5 + 0.32 * counts.height)
    axes = figure.add_subplot()
    left = np.zeros(counts.height)
    for kind in KINDS:
        shares = (100 * counts[kind] / counts["rows"]).to_numpy()
        bars = axes.barh(
            np.arange(counts.height), shares, left=left, color=_KIND_COLOURS[kind], height=0.76, label=kind
        )
        texts = [f"{share:.0f}" if share >= 6 else "" for share in shares]
        axes.bar_label(bars, texts, label_type="center", fontsize=8, color="white" if kind == WHOLE else "black")
        left += shares
    rows = counts.select("file", "rows").iter_rows()
    name_rows(axes, [f"{file.removesuffix('.csv')}: {count:,}" for file, count in rows])
    axes.set_xlim(0, 100)
    axes.set_xlabel("per cent of the file's rows")
    figure.legend(loc="outside upper left", ncols=2, fontsize=9)
    return figure


def _draw_histogram(axes: Axes, lengths: pl.Series) -> None:
    median, highest = lengths.quantile(0.5, "nearest"), lengths.quantile(0.99, "nearest")
    if median is None or highest is None:
        axes.text(0.5, 0.5, "no descriptions", ha="center", transform=axes.transAxes)
        return
    width = max(1, ceil((int(highest) + 1) / HISTOGRAM_BARS))
    edges = np.arange(0, int(highest) + 2 * width, width)
    counts, _ = np.histogram(np.minimum(lengths.to_numpy(), edges[-1] - 1), edges)
    axes.bar(edges[:-1], counts, width=width * 0.92, align="edge", color=BLUE)
    axes.axvline(float(median), color=VERMILION, linewidth=1.5)
    axes.annotate(
        f"median {int(median):,}",
        (float(median), 1),
        xycoords=("data", "axes fraction"),
        xytext=(5, -2),
        textcoords="offset points",
        va="top",
        color="#A03F00",
    )
    axes.set_xlabel(f"{lengths.name} ({edges[-2]:,} or more in the last bar)")
    axes.set_ylabel("descriptions")
    axes.yaxis.set_major_formatter("{x:,.0f}")
    axes.set_xlim(0, edges[-1])
    axes.set_ylim(0, counts.max() * 1.18)  # room for the median's label
