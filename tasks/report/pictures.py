"""Figures of the leaderboard and of one model's genres. Owns their form; writes no file."""

import numpy as np
import polars as pl
from matplotlib.figure import Figure

from tasks.picture import BLUE, INK, ORANGE, name_rows, new_figure

WIDTH_IN = 6.4


def draw_leaderboard(leaderboard: pl.DataFrame) -> Figure:
    """Draw each model's test Jaccard as a bar and its validation Jaccard as a mark, in the leaderboard's order."""
    figure = new_figure(WIDTH_IN, 1.2 + 0.3 * leaderboard.height)
    axes = figure.add_subplot()
    rows = np.arange(leaderboard.height)
    test, validation = (leaderboard[name].cast(pl.Float64).to_numpy() for name in ("test_jaccard", "val_jaccard"))
    axes.barh(rows, np.nan_to_num(test), color=[ORANGE, *[BLUE] * (len(rows) - 1)], height=0.7)
    axes.scatter(validation, rows, marker="|", s=160, color=INK, linewidth=2, label="validation", zorder=3)
    farthest = np.fmax(np.nan_to_num(test), np.nan_to_num(validation))
    for row, end, value in zip(rows, farthest, test, strict=True):
        note = "undefined" if np.isnan(value) else f"{value:.3f}"
        axes.annotate(note, (end, row), xytext=(6, 0), textcoords="offset points", va="center", fontsize=9)
    name_rows(axes, [f"{rank}. {model}" for rank, model in leaderboard.select("rank", "model").iter_rows()])
    axes.set_xlim(0, max(farthest.max(), 0.05) * 1.15)
    figure.supxlabel("samples Jaccard: bar on test, tick on validation, which sets the order", fontsize=9.5)
    return figure


def draw_genres(per_genre: pl.DataFrame) -> Figure:
    """Draw each genre's F1 as a bar, the highest first, with its number of test movies; undefined ones come last."""
    ordered = per_genre.with_columns(pl.col("f1").cast(pl.Float64).fill_nan(None))
    ordered = ordered.sort("f1", "genre", descending=[True, False], nulls_last=True)
    figure = new_figure(WIDTH_IN, 1.0 + 0.27 * ordered.height)
    axes = figure.add_subplot()
    rows = np.arange(ordered.height)
    axes.barh(rows, ordered["f1"].fill_null(0.0), color=BLUE, height=0.72, label="F1")
    for name, marker, colour in (("precision", ">", ORANGE), ("recall", "o", INK)):
        values = ordered[name].cast(pl.Float64).to_numpy()
        axes.scatter(
            values, rows, marker=marker, s=26, color=colour, edgecolor="white", linewidth=0.5, label=name, zorder=3
        )
    for row, (f1, support) in enumerate(ordered.select("f1", "support").iter_rows()):
        score = "\N{EN DASH}" if f1 is None else f"{f1:.2f}"
        axes.text(1.09, row, score, ha="right", va="center", fontsize=9)
        axes.text(1.22, row, f"{support:,.0f}", ha="right", va="center", fontsize=9)
    for right, title in ((1.09, "F1"), (1.22, "movies")):
        axes.text(right, -0.9, title, ha="right", va="center", fontsize=9, fontweight="bold")
    name_rows(axes, ordered["genre"].to_list())
    axes.set_xlim(0, 1)
    axes.set_xticks(np.linspace(0, 1, 6))
    figure.legend(loc="outside upper left", ncols=3, fontsize=9)
    return figure
