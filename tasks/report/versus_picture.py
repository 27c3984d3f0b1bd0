"""Two models' difference in each genre as a figure. Owns its form; writes no file."""

import numpy as np
import polars as pl
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from tasks.picture import BLUE, INK, ORANGE, drawable, name_rows, new_figure

WIDTH_IN = 7.2
UNSURE = "#8C8C8C"
LONGEST_NAME = 30


def draw_versus(genres: pl.DataFrame) -> Figure:
    """Draw each genre's difference in F1 with its 95 % interval, the greatest first; undefined ones come last.

    Args:
        genres: as `tasks.report.versus.compare_genres` returns them.
    """
    ordered = genres.sort("f1_difference", "genre", descending=[True, False], nulls_last=True)
    figure = new_figure(WIDTH_IN, 1.3 + 0.27 * ordered.height)
    axes = figure.add_subplot()
    axes.axvline(0, color=INK, linewidth=0.8, zorder=1)
    ends = ordered.select(pl.col(f"f1_{end}").cast(pl.Float64) for end in ("difference", "low", "high")).to_numpy()
    for row, (value, low, high) in enumerate(ends):
        if np.isnan(value):
            axes.annotate("undefined", (0, row), xytext=(4, 0), textcoords="offset points", va="center", fontsize=8)
            continue
        colour = BLUE if low > 0 else ORANGE if high < 0 else UNSURE
        axes.plot([low, high], [row, row], color=colour, linewidth=2, zorder=2)
        axes.plot(value, row, "o", color=colour, markersize=6, zorder=3)
    name_rows(axes, [f"{genre}: {count:,}" for genre, count in ordered.select("genre", "support").iter_rows()])
    axes.margins(x=0.06)
    first, second = (drawable(str(genres[name][0]), LONGEST_NAME) for name in ("first", "second"))
    figure.supxlabel(f"F1 of {first} less that of {second}; behind a genre: its test movies", fontsize=9.5)
    texts = {BLUE: f"{first} surely better", ORANGE: f"{second} surely better", UNSURE: "interval holds zero"}
    marks = [Line2D([], [], color=colour, marker="o", label=text) for colour, text in texts.items()]
    figure.legend(handles=marks, loc="outside upper left", ncols=3, fontsize=9)
    return figure
