"""Quality against cost, as a picture. Owns which models lie on the frontier, and the figure."""

from collections.abc import Sequence
from itertools import pairwise
from math import log10
from typing import Final

import numpy as np
import polars as pl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator
from numpy.typing import NDArray

from tasks.picture import BLUE, GREY, ORANGE
from tasks.report.labels import DOT_PT, Points, name_dots

WIDTH_IN: Final = 8.6
PANEL_HEIGHT_IN: Final = 4.4
LEFT_IN, RIGHT_IN, BOTTOM_IN, TOP_IN = 0.75, 0.2, 0.55, 0.2
COSTS: Final = {
    "predict_docs_per_s": "movies scored a second, text to scores (right is better)",
    "fit_s": "seconds to fit, on features that are there, members of ensembles included (left is better)",
}
CHEAPEST: Final = 1e-3  # what takes no time has no logarithm


def frontier(quality: Sequence[float], cheapness: Sequence[float]) -> list[int]:
    """Return the indices of those that no other beats in one without being worse in the other, the cheapest first.

    >>> frontier([0.5, 0.4, 0.3, 0.5], [1, 3, 2, 1])
    [1, 0, 3]
    """
    pairs = list(zip(quality, cheapness, strict=True))
    kept = [
        index
        for index, (good, cheap) in enumerate(pairs)
        if not any(q >= good and c >= cheap and (q, c) != (good, cheap) for q, c in pairs)
    ]
    return sorted(kept, key=lambda index: (-cheapness[index], quality[index], index))


def draw_pareto(leaderboard: pl.DataFrame) -> Figure:
    """Draw test Jaccard, with its 95 % interval, against the rate of prediction and the time of fitting.

    Models on the frontier are joined by a line and bold; a model without both figures is left out of a panel.
    """
    height = PANEL_HEIGHT_IN * len(COSTS)
    figure = Figure(figsize=(WIDTH_IN, height))
    for place, (column, title) in enumerate(COSTS.items()):
        bottom = (len(COSTS) - 1 - place) * PANEL_HEIGHT_IN + BOTTOM_IN
        size = (1 - (LEFT_IN + RIGHT_IN) / WIDTH_IN, (PANEL_HEIGHT_IN - BOTTOM_IN - TOP_IN) / height)
        axes = figure.add_axes((LEFT_IN / WIDTH_IN, bottom / height, *size))
        axes.set_xlabel(title)
        axes.set_ylabel("Jaccard on test")
        known = leaderboard.filter(pl.col(column).is_not_null() & pl.col("test_jaccard").is_not_null())
        if known.is_empty():
            axes.text(0.5, 0.5, "nothing to show", ha="center", transform=axes.transAxes)
        else:
            _draw_panel(axes, known, column)
    return figure


def _draw_panel(axes: Axes, models: pl.DataFrame, column: str) -> None:
    cost = np.maximum(models[column].to_numpy(), CHEAPEST)
    quality = models["test_jaccard"].to_numpy()
    best = frontier(quality.tolist(), (cost if column == "predict_docs_per_s" else -cost).tolist())
    others = [index for index in range(len(cost)) if index not in best]
    low, high = (
        models[f"test_jaccard_{end}"].cast(pl.Float64).fill_null(models["test_jaccard"]).to_numpy()
        for end in ("low", "high")
    )
    places = np.column_stack([cost, quality])
    line = _stairs(places[best])
    axes.vlines(cost, low, high, color=GREY, linewidth=0.8, zorder=1)
    axes.plot(*line.T, color=ORANGE, linewidth=1.2, zorder=2)
    axes.plot(cost[others], quality[others], "o", color=BLUE, markersize=DOT_PT, alpha=0.6, zorder=3)
    axes.plot(cost[best], quality[best], "D", color=ORANGE, markersize=DOT_PT + 1, zorder=4)
    _set_scales(axes, cost, low, high)
    names = models["model"].to_list()
    name_dots(axes, dict(zip(names, places, strict=True)), [names[index] for index in best], line)


def _set_scales(axes: Axes, cost: NDArray[np.float64], low: NDArray[np.float64], high: NDArray[np.float64]) -> None:
    """Show every dot, with room for names to the right."""
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 3), numticks=30))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.10g}"))
    decades = max(log10(cost.max()) - log10(cost.min()), 0.5)
    axes.set_xlim(cost.min() / 10 ** (0.06 * decades), cost.max() * 10 ** (0.16 * decades))
    span = max(high.max() - low.min(), 0.02)
    axes.set_ylim(low.min() - 0.06 * span, high.max() + 0.08 * span)


def _stairs(best: Points) -> Points:
    """Return the corners of the line that parts what some model beats from what none does; from cheap to good."""
    steps = [np.array([[after[0], before[1]], after]) for before, after in pairwise(best)]
    return np.vstack([best[:1], *steps])
