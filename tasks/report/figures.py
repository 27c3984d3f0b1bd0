"""Quality against cost, as a picture. Owns which models lie on the frontier, and the figure."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import ceil, cos, hypot, log10, pi, sin
from pathlib import Path
from typing import Any, Final

import numpy as np
import polars as pl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.textpath import TextPath
from matplotlib.ticker import FixedFormatter, FixedLocator, FuncFormatter, LogLocator, MaxNLocator, NullLocator
from numpy.typing import NDArray

from tasks.core.errors import DataError
from tasks.core.figures import (
    ALL_FORMS,
    BLUE,
    COLOUR_SCALE,
    GREY,
    INK,
    ORANGE,
    PAPER_TINT,
    draw_heat_map,
    drawable,
    name_rows,
    new_figure,
    picture_files,
    short_number,
    text_colour,
    write_picture,
)
from tasks.stage import Stage, StageResult, remove_outdated, run_stage

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


CALIBRATION_WIDTH_IN: Final = 9.2
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
    figure = new_figure(CALIBRATION_WIDTH_IN, max(4.0, 1.1 + 0.27 * calibration.height))
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


HISTORY_FILE: Final = "history.csv"
PICTURE: Final = "training"
HISTORY_COLUMNS: Final = ("epoch", "train_loss", "validation_loss", "validation_jaccard")


def write_training_curves(model_folder: Path, *, wanted: bool = True) -> StageResult | None:
    """Draw how a fine-tuned model's loss and Jaccard went; None for models that are not trained step by step.

    Where it is not wanted, an earlier run's picture that no longer shows this model is removed.

    Raises:
        DataError: `history.csv` is damaged.
    """
    path = model_folder / HISTORY_FILE
    if not path.is_file():
        return None
    outputs = picture_files([PICTURE], ALL_FORMS)
    stage = Stage(f"draw-{PICTURE}", model_folder, outputs, (path,), {}, (Path(__file__),), ("matplotlib",))
    if not wanted:
        return remove_outdated(stage)

    def build(folder: Path) -> Mapping[str, Any]:
        try:
            history = pl.read_csv(
                path, columns=list(HISTORY_COLUMNS), schema_overrides=dict.fromkeys(HISTORY_COLUMNS, pl.Float64)
            )
        except pl.exceptions.PolarsError as error:
            reason = str(error).partition("\n")[0]
            raise DataError(f"{path} is damaged ({reason}); delete {model_folder} and train the model again") from error
        write_picture(folder, PICTURE, lambda: draw_training(history), ALL_FORMS)
        return {"evaluations": history.height}

    return run_stage(stage, build)


def draw_training(history: pl.DataFrame) -> Figure:
    """Draw the losses on train and validation, and the Jaccard on validation with its best point, by epoch."""
    figure = new_figure(8.4, 3.4)
    losses, jaccard = figure.subplots(1, 2)
    _curve(losses, history, "train_loss", "train, since the last point")
    _curve(losses, history, "validation_loss", "validation")
    losses.set_title("Loss")
    losses.legend(loc="upper right")
    _curve(jaccard, history, "validation_jaccard", "validation")
    jaccard.set_title("Samples Jaccard on validation")
    known = history.drop_nulls("validation_jaccard")
    if known.height:
        epoch, best = known.sort("validation_jaccard", descending=True).select("epoch", "validation_jaccard").row(0)
        jaccard.annotate(f"{best:.3f}", (epoch, best), xytext=(0, 7), textcoords="offset points", ha="center")
        jaccard.margins(y=0.15)
    for axes in (losses, jaccard):
        axes.set_xlabel("epoch")
    return figure


def _curve(axes: Axes, history: pl.DataFrame, column: str, label: str) -> None:
    known = history.drop_nulls(column)
    colour, mark = (ORANGE, "o") if column == "train_loss" else (BLUE, "s")
    axes.plot(known["epoch"], known[column], color=colour, marker=mark, label=label)


# Names beside dots in a figure, none over another. Owns where they go; knows nothing of what the dots are.
#
# Places are reckoned in points before anything is drawn: axes must have their final size and scales.


DOT_PT: Final = 5.0
LABEL_PT: Final = 7.5
LONGEST_NAME: Final = 30
POINTS: Final = 72  # in an inch
FAR_PT: Final = 7.0  # farther from its dot a name needs a line to it
FONT: Final = "DejaVu Sans"
MUTED: Final = "#666666"

_DISTANCES: Final = (0.0, 5.0, 11.0, 18.0, 27.0, 38.0, 52.0)  # tried in this order
_DIRECTIONS: Final = 16

Points = NDArray[np.float64]  # (n, 2)


@dataclass(frozen=True)
class Box:
    """A rectangle in points."""

    left: float
    bottom: float
    right: float
    top: float

    @classmethod
    def around(cls, x: float, y: float, width: float, height: float) -> "Box":
        """Return the rectangle of a size around its middle."""
        return cls(x - width / 2, y - height / 2, x + width / 2, y + height / 2)

    def overlaps(self, other: "Box") -> bool:
        """Return whether both share a place."""
        across = self.left < other.right and other.left < self.right
        return across and self.bottom < other.top and other.bottom < self.top

    def holds(self, other: "Box") -> bool:
        """Return whether the other lies inside."""
        across = self.left <= other.left and other.right <= self.right
        return across and self.bottom <= other.bottom and other.top <= self.top


def name_dots(axes: Axes, places: Mapping[str, Points], first: Sequence[str], line: Points) -> list[Box]:
    """Write names beside dots where nothing else is; a name that finds no place is left out.

    Args:
        axes: with their final size and scales.
        places: the dot of each name, (2,), in the axes' data.
        first: the names that matter most, which choose their place first and are bold.
        line: (n, 2), corners of a line that names keep off.

    Returns:
        The rectangles of the names, in points.
    """
    scale = POINTS / axes.figure.dpi
    window = axes.get_window_extent()
    room = Box(*(float(edge) * scale for edge in (window.x0, window.y0, window.x1, window.y1)))
    points = {name: axes.transData.transform(place) * scale for name, place in places.items()}
    taken = [Box.around(x, y, DOT_PT + 1, DOT_PT + 1) for x, y in points.values()]
    taken += [Box.around(x, y, 1, 1) for x, y in _along(axes.transData.transform(line) * scale)]
    written: list[Box] = []
    for name in dict.fromkeys([*first, *places]):
        weight, colour = ("bold", INK) if name in first else ("normal", MUTED)
        label = drawable(name, LONGEST_NAME)
        x, y = points[name]
        for box in _candidates(x, y, *_text_size(label, weight)):
            if room.holds(box) and not any(box.overlaps(other) for other in [*taken, *written]):
                written.append(box)
                look = {"fontsize": LABEL_PT, "fontweight": weight, "color": colour, **_beside(box, x, y)}
                axes.annotate(label, (float(places[name][0]), float(places[name][1])), **look)
                break
    return written


def _candidates(x: float, y: float, width: float, height: float) -> Iterator[Box]:
    """Yield rectangles of a size around a point, the nearest first, to the right before to the left."""
    for distance in _DISTANCES:
        for step in range(_DIRECTIONS):
            turn = (step + 1) // 2 * (-1) ** step * 2 * pi / _DIRECTIONS
            gap = DOT_PT / 2 + 2 + distance
            yield Box.around(x + cos(turn) * (gap + width / 2), y + sin(turn) * (gap + height / 2), width, height)


def _beside(box: Box, x: float, y: float) -> dict[str, Any]:
    """Return how to write a text into a rectangle near a point, with a line to it where both are far apart."""
    distance = hypot(max(box.left - x, x - box.right, 0), max(box.bottom - y, y - box.top, 0))
    line = {"arrowstyle": "-", "color": GREY, "linewidth": 0.6, "shrinkA": 0, "shrinkB": 2}
    return {
        "xytext": ((box.left + box.right) / 2 - x, (box.bottom + box.top) / 2 - y),
        "textcoords": "offset points",
        "ha": "center",
        "va": "center",
        "arrowprops": line if distance > FAR_PT else None,
    }


def _along(line: Points) -> Points:
    """Return points on a line, each nearer to the next than a name is high."""
    parts = [
        np.linspace(start, end, 2 + int(np.abs(end - start).max() / (LABEL_PT / 2))) for start, end in pairwise(line)
    ]
    return np.vstack([line, *parts])


def _text_size(text: str, weight: str) -> tuple[float, float]:
    font = FontProperties(family=FONT, weight=weight)
    extent = TextPath((0, 0), text or " ", size=LABEL_PT, prop=font).get_extents()
    return float(extent.width) + 2, LABEL_PT + 1.5


PARETO_WIDTH_IN: Final = 8.6
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
    figure = Figure(figsize=(PARETO_WIDTH_IN, height))
    for place, (column, title) in enumerate(COSTS.items()):
        bottom = (len(COSTS) - 1 - place) * PANEL_HEIGHT_IN + BOTTOM_IN
        size = (1 - (LEFT_IN + RIGHT_IN) / PARETO_WIDTH_IN, (PANEL_HEIGHT_IN - BOTTOM_IN - TOP_IN) / height)
        axes = figure.add_axes((LEFT_IN / PARETO_WIDTH_IN, bottom / height, *size))
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
