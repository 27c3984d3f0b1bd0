"""The pictures of models and of the report, and the stage that draws those of one model."""

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Final

import numpy as np
import polars as pl
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, MaxNLocator
from numpy.typing import NDArray

from tasks.core.errors import DataError
from tasks.core.figures import (
    ALL_FORMS,
    BLUE,
    GREEN,
    GREY,
    INK,
    MUTED,
    ORANGE,
    PAPER_TINT,
    VERMILION,
    draw_bars,
    draw_heat_map,
    draw_shares,
    drawable,
    label_dots,
    name_rows,
    new_figure,
    picture_files,
    write_picture,
)
from tasks.core.predictions import PREDICTIONS_FILE
from tasks.stage import Stage, StageResult, remove_outdated, run_stage

WIDTH_IN: Final = 7.2
_RIGHT: Final[dict[str, Any]] = {"ha": "right", "va": "center", "fontsize": 9}


def draw_leaderboard(leaderboard: pl.DataFrame, constant: tuple[Sequence[str], float] | None = None) -> Figure:
    """Draw each model's Jaccard on test, with its 95% interval, and on validation, and that of a constant answer."""
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
    if constant is not None:
        genres, jaccard = constant
        label = f"always predicting {drawable(', '.join(genres))}: {jaccard:.3f}"
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
    """Return the models that no other equals or beats in both test Jaccard and speed of prediction, fastest first."""
    known = leaderboard.drop_nulls(["test_jaccard", RATE]).sort(RATE, "test_jaccard", descending=True)
    faster = pl.col("test_jaccard").cum_max().shift()
    return known.filter(faster.is_null() | (pl.col("test_jaccard") > faster))


def draw_pareto(leaderboard: pl.DataFrame) -> Figure:
    """Draw test Jaccard, with its 95% interval, against the speed of prediction; the frontier is bold and a line."""
    known = leaderboard.drop_nulls(["test_jaccard", RATE])
    figure = new_figure(8.6, 4.8)
    axes = figure.add_subplot(xlabel="movies scored per second, from text to scores (right is better)")
    axes.set_ylabel("test Jaccard, with 95% interval")
    if known.is_empty():
        axes.text(0.5, 0.5, "nothing to show", ha="center", transform=axes.transAxes)
        return figure
    columns = (RATE, "test_jaccard", "test_jaccard_low", "test_jaccard_high")
    rate, quality, low, high = known.select(pl.col(columns).cast(pl.Float64)).to_numpy().T
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
    dots: dict[str, Any] = {"s": 26, "color": INK, "edgecolor": "white", "linewidth": 0.5, "zorder": 3}
    for column, marker in (("precision", ">"), ("recall", "o")):
        axes.scatter(ordered[column].to_numpy(), rows, marker=marker, label=column, clip_on=False, **dots)
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


# Column of the error: kind of scores, colour, marker.
LOOKS: Final = {"ece_raw": ("raw", MUTED, "s"), "ece_calibrated": ("calibrated", BLUE, "o")}
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
    curves.set_xticks(SHARES, [f"{share:g}" for share in SHARES])
    curves.set_yticks(SHARES, [f"{share:g}" for share in SHARES])
    curves.set(xlim=(0, 1), ylim=(0, 1), xlabel="mean score of the bin", ylabel="share of positives in the bin")
    curves.set_aspect("equal", anchor="N")
    curves.set_title("All genres together")
    curves.grid(color=PAPER_TINT)
    ordered = calibration.sort("ece_raw", "genre", descending=[True, False])
    rows = np.arange(ordered.height)
    before, after = (ordered[column].to_numpy() for column in LOOKS)
    errors.hlines(rows, before, after, color=GREY, linewidth=2, zorder=1)
    for column, (_, colour, marker) in LOOKS.items():
        errors.scatter(ordered[column], rows, color=colour, marker=marker, s=30, zorder=2, clip_on=False)
    name_rows(errors, [f"{genre} ({count:,})" for genre, count in ordered.select("genre", "positives").iter_rows()])
    errors.set_xlim(0, max(before.max(), after.max(), 0.01) * 1.05)
    errors.xaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 5, 10]))
    errors.set_title("By genre (n movies)")
    errors.set_xlabel("expected calibration error")
    errors.grid(axis="x", color=PAPER_TINT)
    errors.set_axisbelow(True)
    figure.legend(*curves.get_legend_handles_labels(), loc="outside upper left", ncols=3, fontsize=9)
    return figure


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
    losses.set(title="Loss", xlabel="epoch")
    losses.legend(loc="upper right")
    jaccard.set(title="Validation Jaccard", xlabel="epoch")
    if known.height:
        epoch, best = known.sort("validation_jaccard", descending=True).select("epoch", "validation_jaccard").row(0)
        jaccard.annotate(f"{best:.3f}", (epoch, best), xytext=(0, 7), textcoords="offset points", ha="center")
        jaccard.margins(y=0.15)
    return figure


REPORT_WIDTH_IN: Final = 7.6
MARKERS: Final = ((BLUE, "o"), (ORANGE, "s"))


def draw_dropped(reasons: Sequence[str], counts: Sequence[int]) -> Figure:
    """Draw how many rows were dropped for each reason."""
    figure = new_figure(REPORT_WIDTH_IN, 0.6 + 0.32 * len(reasons))
    draw_bars(figure.add_subplot(), reasons, counts, [f"{count:,}" for count in counts])
    return figure


def draw_lengths(bins: Mapping[str, pl.DataFrame]) -> Figure:
    """Draw the mean Jaccard of each model by length of the description, with 95% intervals, and the movies per bin."""
    figure = new_figure(REPORT_WIDTH_IN, 4.2)
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
    figure = new_figure(REPORT_WIDTH_IN, 3.2)
    axes = figure.add_subplot()
    places = np.arange(max(len(true), len(predicted)))
    for shift, counts, colour, name in ((-0.2, true, GREY, "true"), (0.2, predicted, BLUE, "predicted")):
        padded = np.pad(counts, (0, len(places) - len(counts)))
        bars = axes.bar(places + shift, padded, width=0.38, color=colour, label=name)
        axes.bar_label(bars, [f"{count:,}" if count else "" for count in padded], fontsize=8, padding=1)
    axes.set_xticks(places)
    axes.yaxis.set_major_formatter("{x:,.0f}")
    axes.set(xlabel="genres per movie", ylabel="test movies")
    axes.margins(y=0.12)
    figure.legend(loc="outside upper left", ncols=2, fontsize=9)
    return figure


MODEL_PICTURES: Final = ("confusion", "calibration", "predicted_instead", "per_genre")
_COLUMNS: Final = {
    "per_genre.csv": ("genre", "support", "tp", "fp", "fn", "tn", "precision", "recall", "f1"),
    PREDICTIONS_FILE: ("true_genres", "predicted_genres"),
    "calibration.csv": ("genre", "positives", "ece_raw", "ece_calibrated"),
    "reliability.csv": ("scores", "mean_score", "share_of_positives"),
    HISTORY_FILE: HISTORY_COLUMNS,
}


def draw_model(model_folder: Path, *, wanted: bool = True) -> StageResult:
    """Draw a model's F1 and confusion by genre, predictions in place of missed genres, calibration, and any training.

    If not `wanted`, pictures of an earlier run that no longer show this model are removed.
    """
    *needed, history_file = (model_folder / name for name in _COLUMNS)
    for path in needed:
        if not path.is_file():
            raise DataError(f"{path}: not found; evaluate the model first")
    is_stepwise = history_file.is_file()
    inputs = (*needed, history_file) if is_stepwise else tuple(needed)
    names = (*MODEL_PICTURES, "training") if is_stepwise else MODEL_PICTURES
    outputs, packages = picture_files(names, ALL_FORMS), ("matplotlib", "polars")
    stage = Stage("draw", model_folder, outputs, inputs, {}, (Path(__file__),), packages, removes_old=True)
    if not wanted:
        return remove_outdated(stage)

    def build(folder: Path) -> Mapping[str, Any]:
        per_genre, predictions, calibration, reliability, *history = map(_read, inputs)
        genres = per_genre["genre"].to_list()
        instead = count_instead(predictions, genres)
        draws = (
            partial(draw_confusion, per_genre),
            partial(draw_calibration, calibration, reliability),
            partial(draw_instead, instead, genres),
            partial(draw_genres, per_genre),
            *(partial(draw_training, table) for table in history),
        )
        for name, draw in zip(names, draws, strict=True):
            write_picture(folder, name, draw, ALL_FORMS)
        return {"genres": len(genres), "movies": predictions.height, "missed": int(instead[:, -1].sum())}

    return run_stage(stage, build)


def _read(path: Path) -> pl.DataFrame:
    columns, again = list(_COLUMNS[path.name]), "train" if path.name == HISTORY_FILE else "evaluate"
    try:
        table = pl.read_csv(path, columns=columns) if path.suffix == ".csv" else pl.read_parquet(path, columns=columns)
    except pl.exceptions.PolarsError as error:
        expected = f"expected the columns {', '.join(columns)} ({str(error).partition(chr(10))[0]})"
        raise DataError(f"{path} is damaged: {expected}; {again} the model again") from error
    if table.is_empty():
        raise DataError(f"{path} has no rows; {again} the model again")
    return table
