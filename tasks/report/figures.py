"""The report's pictures of models: leaderboard, quality against cost, genres, calibration, training."""

from typing import Any, Final

import numpy as np
import polars as pl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedFormatter, FixedLocator, LogLocator, MaxNLocator
from numpy.typing import NDArray

from tasks.core.figures import (
    BLUE,
    GREEN,
    GREY,
    INK,
    MUTED,
    ORANGE,
    PAPER_TINT,
    VERMILION,
    draw_heat_map,
    draw_shares,
    drawable,
    label_dots,
    name_rows,
    new_figure,
)
from tasks.report.leaderboard import Baseline

WIDTH_IN: Final = 7.2
_RIGHT: Final[dict[str, Any]] = {"ha": "right", "va": "center", "fontsize": 9}


def draw_leaderboard(leaderboard: pl.DataFrame, baseline: Baseline | None = None) -> Figure:
    """Draw each model's test Jaccard with its 95% interval, and its validation Jaccard, in the leaderboard's order."""
    figure = new_figure(WIDTH_IN, 1.7 + 0.3 * leaderboard.height)
    axes = figure.add_subplot()
    rows = np.arange(leaderboard.height)
    columns = ("test_jaccard", "test_jaccard_low", "test_jaccard_high", "val_jaccard")
    test, low, high, validation = leaderboard.select(pl.col(columns).cast(pl.Float64)).to_numpy().T
    for shown, colour, label in ((rows, BLUE, "test, with 95% interval"), (rows[:1], ORANGE, None)):
        axes.hlines(shown, low[shown], high[shown], color=colour, linewidth=2)
        axes.scatter(np.hstack([low[shown], high[shown]]), np.tile(shown, 2), color=colour, marker="|", s=60)
        axes.scatter(test[shown], shown, color=colour, s=44, zorder=3, label=label)
    axes.scatter(validation, rows, marker="|", s=130, color=INK, label="validation, which sets the order", zorder=3)
    if baseline is not None:
        jaccard = baseline.metrics["test_jaccard"]
        label = f"always predicting {drawable(', '.join(baseline.genres))}: {jaccard:.3f}"
        axes.axvline(jaccard, color=MUTED, linestyle="--", linewidth=1.2, label=label)
    for row, value in enumerate(test):
        note = "undefined" if np.isnan(value) else f"{value:.3f}"
        axes.annotate(note, (1.09, row), xycoords=("axes fraction", "data"), **_RIGHT)
    name_rows(axes, [f"{rank}. {model}" for rank, model in leaderboard.select("rank", "model").iter_rows()])
    axes.set_xlabel("mean Jaccard of the predicted and true genres of a movie")
    axes.grid(axis="x", color=PAPER_TINT)
    axes.set_axisbelow(True)
    figure.legend(loc="outside upper left", ncols=2, fontsize=9)
    return figure


RATE: Final = "predict_docs_per_s"


def frontier(leaderboard: pl.DataFrame) -> pl.DataFrame:
    """Return the models that no other equals or beats in both test Jaccard and speed of prediction, the fastest first.

    Models without either value are left out.
    """
    known = leaderboard.drop_nulls(["test_jaccard", RATE]).sort(RATE, "test_jaccard", descending=True)
    faster = pl.col("test_jaccard").cum_max().shift()
    return known.filter(faster.is_null() | (pl.col("test_jaccard") > faster))


def draw_pareto(leaderboard: pl.DataFrame) -> Figure:
    """Draw test Jaccard, with its 95% interval, against the speed of prediction.

    Models on the frontier are bold and joined by a line; a model without both values is left out.
    """
    known = leaderboard.drop_nulls(["test_jaccard", RATE])
    figure = new_figure(8.6, 4.8)
    axes = figure.add_subplot(xlabel="movies scored per second, from text to scores (right is better)")
    axes.set_ylabel("test Jaccard, with 95% interval")
    if known.is_empty():
        axes.text(0.5, 0.5, "nothing to show", ha="center", transform=axes.transAxes)
        return figure
    rate, quality, low, high = (
        known.select(pl.col(RATE, "test_jaccard", "test_jaccard_low", "test_jaccard_high").cast(pl.Float64))
        .to_numpy()
        .T
    )
    best = frontier(known)
    is_best = known["model"].is_in(best["model"].to_list()).to_list()
    axes.vlines(rate, low, high, color=GREY, linewidth=0.8)
    axes.step(best[RATE], best["test_jaccard"], where="post", color=ORANGE, linewidth=1.2)
    dots = axes.scatter(rate, quality, s=30, color=[ORANGE if each else BLUE for each in is_best], zorder=3)
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 3), numticks=30))
    axes.xaxis.set_major_formatter("{x:,.10g}")
    axes.minorticks_off()
    margin = max(0.3, 0.08 * np.log10(rate.max() / rate.min()))  # in decades: 0.3 on each side includes a tick
    axes.set_xlim(rate.min() / 10**margin, rate.max() * 10**margin)
    label_dots(axes, dots, known["model"].to_list(), best["model"].to_list())
    return figure


def draw_genres(per_genre: pl.DataFrame) -> Figure:
    """Draw each genre's F1 as a bar, the highest first, undefined ones last, next to the F1 of always predicting it."""
    ordered = per_genre.with_columns(pl.col("f1", "precision", "recall").cast(pl.Float64).fill_nan(None))
    ordered = ordered.sort("f1", "genre", descending=[True, False], nulls_last=True).with_columns(
        always=2 * pl.col("support") / (pl.sum_horizontal("tp", "fp", "fn", "tn") + pl.col("support"))
    )
    figure = new_figure(WIDTH_IN, 1.0 + 0.27 * ordered.height)
    axes = figure.add_subplot()
    rows = np.arange(ordered.height)
    axes.barh(rows, ordered["f1"].fill_null(0.0), color=BLUE, height=0.72, label="F1")
    dots: dict[str, Any] = {
        "s": 26,
        "color": INK,
        "edgecolor": "white",
        "linewidth": 0.5,
        "zorder": 3,
        "clip_on": False,
    }
    axes.scatter(ordered["precision"].to_numpy(), rows, marker=">", label="precision", **dots)
    axes.scatter(ordered["recall"].to_numpy(), rows, marker="o", label="recall", **dots)
    always = ordered["always"].to_numpy()
    axes.scatter(always, rows, marker="|", s=110, color=GREY, linewidth=2, label="F1 if always predicted", zorder=2)
    for row, f1 in enumerate(ordered["f1"]):
        axes.text(1.09, row, "\N{EN DASH}" if f1 is None else f"{f1:.2f}", **_RIGHT)
    axes.text(1.09, -0.9, "F1", fontweight="bold", **_RIGHT)
    name_rows(axes, [f"{genre} ({support:,.0f})" for genre, support in ordered.select("genre", "support").iter_rows()])
    axes.set_xlim(0, 1)
    axes.set_xlabel("(n): test movies of the genre")
    figure.legend(loc="outside upper left", ncols=4, fontsize=9)
    return figure


OUTCOMES: Final = {"tp": ("found", GREEN), "fn": ("missed", VERMILION), "fp": ("false alarm", "#F3B58C")}


def draw_confusion(per_genre: pl.DataFrame) -> Figure:
    """Draw for each genre the shares of movies found, missed and false alarms, the most often found genre first."""
    found = pl.col("tp") / pl.sum_horizontal(*OUTCOMES)
    ordered = per_genre.sort(found.fill_nan(-1), "genre", descending=[True, False])
    figure = new_figure(WIDTH_IN, 1.2 + 0.27 * ordered.height)
    parts = {title: (colour, ordered[column].to_list()) for column, (title, colour) in OUTCOMES.items()}
    axes = draw_shares(figure, ordered["genre"].to_list(), parts)
    axes.set_xlabel("% of the movies that have the genre or were given it; numbers are movies")
    return figure


def count_instead(predictions: pl.DataFrame, genres: list[str]) -> NDArray[np.float64]:
    """Count what was wrongly predicted for the movies in which a genre was missed, as genres × (genres + 2).

    Row: the genre that a movie has and was not predicted. Columns: each genre that was predicted for it and that it
    does not have; then the movies without such a genre; then all movies of the row.
    """
    true, predicted = (
        np.column_stack([predictions[column].list.contains(genre).fill_null(False).to_numpy() for genre in genres])
        for column in ("true_genres", "predicted_genres")
    )
    missed, wrong = true & ~predicted, predicted & ~true
    nothing_wrong = ~wrong.any(axis=1, keepdims=True)
    answers = np.hstack([wrong, nothing_wrong, np.ones_like(nothing_wrong)])
    counts: NDArray[np.float64] = missed.T.astype(np.float64) @ answers.astype(np.float64)
    return counts


def draw_instead(counts: NDArray[np.float64], genres: list[str]) -> Figure:
    """Draw the shares of `count_instead` as % of each row; (n) is how often the row's genre was missed."""
    missed = counts[:, -1:]
    shares = np.divide(100 * counts[:, :-1], missed, out=np.full_like(counts[:, :-1], np.nan), where=missed > 0)
    np.fill_diagonal(shares, np.nan)
    figure = new_figure(2.9 + 0.3 * len(genres), 2.0 + 0.3 * len(genres))
    axes = figure.add_subplot()
    rows = [f"{genre} ({count:,.0f})" for genre, count in zip(genres, missed[:, 0], strict=True)]
    draw_heat_map(axes, shares[:, :-1], rows, genres)
    right = len(genres) + 0.9
    axes.text(right, -0.2, "nothing wrong", rotation=90, ha="center", va="bottom")
    for row, share in enumerate(shares[:, -1]):
        axes.text(right, row + 0.5, "\N{EN DASH}" if np.isnan(share) else f"{share:.0f}", ha="center", va="center")
    axes.set_ylabel("missed genre (n: movies in which it was missed)")
    axes.set_xlabel("wrongly predicted for these movies, in % of n; a movie can have several")
    return figure


LOOKS: Final = {  # column of the error: kind of scores, colour, marker
    "ece_raw": ("raw", MUTED, "s"),
    "ece_calibrated": ("calibrated", BLUE, "o"),
}
SHARES: Final = (0, 0.01, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8, 1)


def draw_calibration(calibration: pl.DataFrame, reliability: pl.DataFrame) -> Figure:
    """Draw the share of positives against the score, and each genre's expected calibration error, before and after."""
    figure = new_figure(9.2, max(4.0, 1.1 + 0.27 * calibration.height))
    curves, errors = figure.subplots(1, 2, width_ratios=(1.15, 1))
    curves.plot([0, 1], [0, 1], color=GREY, linewidth=1.2, linestyle="--", label="perfect")
    for name, colour, marker in LOOKS.values():
        bins = reliability.filter(pl.col("scores") == name)
        look = {"color": colour, "marker": marker, "markersize": 5, "label": name}
        curves.plot(bins["mean_score"], bins["share_of_positives"], **look)
    root = (np.sqrt, np.square)  # most scores are low: a square-root scale spreads them
    curves.set_xscale("function", functions=root)
    curves.set_yscale("function", functions=root)
    for axis in (curves.xaxis, curves.yaxis):
        axis.set_major_locator(FixedLocator(SHARES))
        axis.set_major_formatter(FixedFormatter([f"{share:g}" for share in SHARES]))
    curves.set(xlim=(0, 1), ylim=(0, 1), xlabel="mean score of the bin", ylabel="share of positives in the bin")
    curves.set_aspect("equal", anchor="N")
    curves.set_title("All genres together")
    curves.grid(color=PAPER_TINT)
    _draw_errors(errors, calibration.sort("ece_raw", "genre", descending=[True, False]))
    figure.legend(*curves.get_legend_handles_labels(), loc="outside upper left", ncols=3, fontsize=9)
    return figure


def _draw_errors(axes: Axes, calibration: pl.DataFrame) -> None:
    rows = np.arange(calibration.height)
    before, after = (calibration[column].to_numpy() for column in LOOKS)
    axes.hlines(rows, before, after, color=GREY, linewidth=2, zorder=1)
    for column, (_, colour, marker) in LOOKS.items():
        axes.scatter(calibration[column], rows, color=colour, marker=marker, s=30, zorder=2, clip_on=False)
    name_rows(axes, [f"{genre} ({count:,})" for genre, count in calibration.select("genre", "positives").iter_rows()])
    axes.set_xlim(0, max(before.max(), after.max(), 0.01) * 1.05)
    axes.xaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 5, 10]))
    axes.set_title("By genre (n movies)")
    axes.set_xlabel("expected calibration error")
    axes.grid(axis="x", color=PAPER_TINT)
    axes.set_axisbelow(True)


HISTORY_FILE: Final = "history.csv"
HISTORY_COLUMNS: Final = ("epoch", "train_loss", "validation_loss", "validation_jaccard")


def draw_training(history: pl.DataFrame) -> Figure:
    """Draw the losses on train and validation, and the Jaccard on validation with its best point, by epoch."""
    figure = new_figure(8.4, 3.4)
    losses, jaccard = figure.subplots(1, 2)
    for axes, column, colour, mark, label in (
        (losses, "train_loss", MUTED, "o", "train, since the previous point"),
        (losses, "validation_loss", BLUE, "s", "validation"),
        (jaccard, "validation_jaccard", BLUE, "s", "validation"),
    ):
        known = history.drop_nulls(column)
        axes.plot(known["epoch"], known[column], color=colour, marker=mark, label=label)
        axes.set_xlabel("epoch")
    losses.set_title("Loss")
    losses.legend(loc="upper right")
    jaccard.set_title("Validation Jaccard")
    known = history.drop_nulls("validation_jaccard")
    if known.height:
        epoch, best = known.sort("validation_jaccard", descending=True).select("epoch", "validation_jaccard").row(0)
        jaccard.annotate(f"{best:.3f}", (epoch, best), xytext=(0, 7), textcoords="offset points", ha="center")
        jaccard.margins(y=0.15)
    return figure
