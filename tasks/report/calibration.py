"""How far a model's scores are from probabilities, as a figure: reliability of all scores, and each genre's error."""

from typing import Any, Final

import numpy as np
import polars as pl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedFormatter, FixedLocator, MaxNLocator

from tasks.picture import BLUE, GREY, ORANGE, PAPER_TINT, name_rows, new_figure

WIDTH_IN: Final = 9.2
LOOKS: Final = {  # column of the error: kind of scores, colour, marker
    "ece_raw": ("raw", ORANGE, "s"),
    "ece_calibrated": ("calibrated", BLUE, "o"),
}
_BESIDE: Final[dict[str, Any]] = {
    "xycoords": ("axes fraction", "data"),
    "ha": "right",
    "va": "center",
    "fontsize": 9,
}
SHARES: Final = (0, 0.01, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8, 1)


def draw_calibration(calibration: pl.DataFrame, reliability: pl.DataFrame) -> Figure:
    """Draw the share of positives against the score, and each genre's expected calibration error, before and after.

    Args:
        calibration: `genre`, `positives`, `ece_raw`, `ece_calibrated`.
        reliability: `scores` ("raw" or "calibrated"), `mean_score`, `share_of_positives`; one row a bin.
    """
    figure = new_figure(WIDTH_IN, max(4.0, 1.1 + 0.27 * calibration.height))
    curves, errors = figure.subplots(1, 2, width_ratios=(1.15, 1))
    _draw_curves(curves, reliability)
    _draw_errors(errors, calibration.sort("ece_raw", "genre", descending=[True, False]))
    figure.legend(*curves.get_legend_handles_labels(), loc="outside upper left", ncols=3, fontsize=9)
    return figure


def _draw_curves(axes: Axes, reliability: pl.DataFrame) -> None:
    axes.plot([0, 1], [0, 1], color=GREY, linewidth=1.2, linestyle="--", label="perfect")
    for name, colour, marker in LOOKS.values():
        bins = reliability.filter(pl.col("scores") == name)
        axes.plot(bins["mean_score"], bins["share_of_positives"], color=colour, marker=marker, markersize=5, label=name)
    root = (np.sqrt, np.square)  # most scores are low: a square-root scale gives them room
    axes.set_xscale("function", functions=root)
    axes.set_yscale("function", functions=root)
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_locator(FixedLocator(SHARES))
        axis.set_major_formatter(FixedFormatter([f"{share:g}" for share in SHARES]))
    axes.set(xlim=(0, 1), ylim=(0, 1), xlabel="mean score of the bin", ylabel="share of positives in it")
    axes.set_aspect("equal", anchor="N")
    axes.set_title("All genres together")
    axes.grid(color=PAPER_TINT)


def _draw_errors(axes: Axes, calibration: pl.DataFrame) -> None:
    rows = np.arange(calibration.height)
    before, after = (calibration[column].to_numpy() for column in LOOKS)
    axes.hlines(rows, before, after, color=GREY, linewidth=2, zorder=1)
    for column, (_, colour, marker) in LOOKS.items():
        axes.scatter(calibration[column], rows, color=colour, marker=marker, s=30, zorder=2, clip_on=False)
    name_rows(axes, calibration["genre"].to_list())
    axes.set_xlim(0, max(before.max(), after.max(), 0.01) * 1.05)
    axes.xaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 5, 10]))
    for row, positives in enumerate(calibration["positives"]):
        axes.annotate(f"{positives:,}", (1.13, row), **_BESIDE)
    axes.annotate("movies", (1.13, -0.9), **_BESIDE, fontweight="bold")
    axes.set_title("Expected calibration error of each genre")
    axes.grid(axis="x", color=PAPER_TINT)
    axes.set_axisbelow(True)
