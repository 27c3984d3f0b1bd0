"""The report's sections about the models: ranking, cost, training."""

import re
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Any, Final

import polars as pl

from tasks.core.page import Cell, Column, Picture, Section, Table, Text
from tasks.report.figures import HISTORY_COLUMNS, HISTORY_FILE, draw_training
from tasks.report.leaderboard import Baseline, compare_published
from tasks.report.page.sources import METRIC_TITLES, Sources, counted, listed, metric_title, number, percent

COSTS: Final = re.compile(r"(_s|_mb)$")
RATE: Final = "predict_docs_per_s"
NEARLY: Final = 0.9  # of the best Jaccard
LARGE_FACTOR: Final = 10  # factors from here on have no decimals
DASH: Final = "\N{EN DASH}"
_MAIN: Final = ("rank", "model", "val_jaccard", "test_jaccard", "behind", "test_f1_samples", "test_f1_macro",
                "test_at_least_one")  # fmt: skip
_BOUNDS: Final = ("_low", "_high")
_TO: Final = "\N{NO-BREAK SPACE}to\N{NO-BREAK SPACE}"  # an interval may wrap below its number, but not over two lines
_RULES: Final = {
    "expected-jaccard": "predicts the set of genres with the highest expected Jaccard",
    "expected-f1": "predicts the set of genres with the highest expected F1",
    "per-genre": "uses one threshold per genre, fitted for Jaccard",
    "per-genre-f1": "uses one threshold per genre, fitted for F1",
    "global": "uses one fitted threshold for all genres",
    "top": "predicts the same number of genres for each movie",
}


def ranking_section(sources: Sources) -> Section:
    """Rank the models, and compare them with the published results of the same methods."""
    board = sources.leaderboard
    blocks: list[Any] = [Text(_explain(board))]
    picture = sources.paths.results / "leaderboard.svg"
    if picture.is_file():
        blocks.append(Picture("leaderboard", "Models by Jaccard", say_order(board), file=picture))
    shown = [column for column in _MAIN if column in board.columns]
    blocks.append(leaderboard_table(board, shown, "leaderboard", "Leaderboard", sources.baseline))
    if set(board.columns) - set(shown):
        rest = [column for column in board.columns if not column.endswith(_BOUNDS)]
        blocks.append(replace(leaderboard_table(board, rest, "all-figures", "All metrics"), is_folded=True))
    published = compare_published([model.folder for model in sources.models])
    if published.height:
        blocks.append(_published_table(published))
    return Section("leaderboard", "Which model is best", blocks)


def leaderboard_table(
    board: pl.DataFrame, columns: Sequence[str], name: str, caption: str, baseline: Baseline | None = None
) -> Table:
    """Return columns of the leaderboard as a sortable table, with intervals in the cells and the baseline last."""
    columns = [column for column in columns if board[column].null_count() < board.height]
    heads = [Column(metric_title(column), board[column].dtype.is_numeric()) for column in columns]
    rows = [[_cell(board, column, row) for column in columns] for row in board.iter_rows(named=True)]
    if baseline is not None:
        values = {"model": "constant baseline", **baseline.metrics}
        rows.append([_cell(board, column, values) for column in columns])
    return Table(
        name,
        caption,
        heads,
        rows,
        is_sortable=len(rows) > 1,
        marked=frozenset([0]),
        head=columns.index("model"),
        is_compact=True,
    )


def say_leader(board: pl.DataFrame) -> str:
    """Say which model leads, by how much, and whether that could be chance."""
    first = board.row(0, named=True)
    score = number(first["test_jaccard"])
    if board.height == 1:
        return f"{first['model']} is the only model of this run; its Jaccard on the test movies is {score}."
    second = board.row(1, named=True)
    lead = f"{first['model']} leads with a Jaccard of {score} on the test movies"
    if second.get("behind") is None:
        return f"{lead}; the gap to the others is undefined."
    if second["behind"] == 0:
        return f"{lead}; {second['model']} scores exactly the same, and validation alone sets their order."
    ties = [
        row["model"]
        for row in board.slice(1).iter_rows(named=True)
        if row["behind"] is not None and row["behind_low"] <= 0 <= row["behind_high"]
    ]
    ahead = f"{number(abs(second['behind']))} {'more' if second['behind'] > 0 else 'less'} than {second['model']}"
    interval = f"95% CI {number(second['behind_low'])} to {number(second['behind_high'])}"
    verdict = f"The gap to {listed(ties)} could be chance" if ties else "It is significantly better than all others"
    return f"{lead}, {ahead}, which is second ({interval}). {verdict}."


def say_order(board: pl.DataFrame) -> str:
    """Say how far apart the models are, and whether the test agrees with the order on validation."""
    known = board.drop_nulls("test_jaccard")
    if known.height < 2:
        return "There is no other model to compare with."
    best, worst = (float(value) for value in (known["test_jaccard"].max(), known["test_jaccard"].min()))  # type: ignore[arg-type]
    if number(best) == number(worst):
        models = "Both models" if known.height == 2 else f"All {known.height} models"
        rounded = "" if best == worst else ", to three decimals,"
        return f"{models} have{rounded} the same Jaccard on test, {number(best)}; validation alone sets the order."
    top = known.filter(pl.col("test_jaccard") == best).sort("rank")["model"].to_list()
    agrees = (
        f"{listed(top)} {'has' if len(top) == 1 else 'have'} the highest Jaccard on test, but the test does not decide"
        if board["model"][0] not in top
        else "the same model is first on test"
        if len(top) == 1
        else f"on test it ties with {listed(top[1:])}"
    )
    return f"Jaccard on test ranges from {number(worst)} to {number(best)}. Validation sets the order; {agrees}."


def say_baseline(board: pl.DataFrame, baseline: Baseline) -> str:
    """Compare the best model with the best constant answer."""
    score, least = board["test_jaccard"][0], baseline.metrics["test_jaccard"]
    genres = ", ".join(baseline.genres)
    return (
        f"Always predicting {genres}, the best constant answer, has a Jaccard of {number(least)}; "
        f"{board['model'][0]} has {number(score)}."
    )


def say_published(published: pl.DataFrame) -> str:
    """Say how many of the published Jaccards ours exceed, and where the difference is largest."""
    both = published.drop_nulls(["published_jaccard", "ours_jaccard"])
    if both.is_empty():
        return "No published Jaccard belongs to a method that a model here uses."
    gaps = both.with_columns(gap=pl.col("ours_jaccard") - pl.col("published_jaccard"))
    above = gaps.filter(pl.col("gap") > 0).height
    most = gaps.row(int(gaps["gap"].abs().arg_max() or 0), named=True)
    return (
        f"Ours exceed {above} of {counted(both.height, 'published Jaccard')}. The difference is largest for "
        f"{most['model']}: {number(most['ours_jaccard'])}, published {number(most['published_jaccard'])}. The methods "
        "are the same, the movies are not: the published results come from other splits of the data."
    )


def _explain(board: pl.DataFrame) -> str:
    chosen_by = str(board["chosen_by"][0]) if "chosen_by" in board.columns else "jaccard"
    rule = str(board["rule"][0])
    return (
        "Jaccard is the number of genres that are both true and predicted, divided by the number that are either, "
        f"averaged over movies; 1 is perfect. Models are ranked by {METRIC_TITLES.get(chosen_by, chosen_by)} on the "
        f"validation movies. The best one {_RULES.get(rule, f'uses the rule {rule}')}."
    )


def _cell(board: pl.DataFrame, column: str, row: dict[str, Any]) -> Cell:
    value = row.get(column)
    if value is None:
        return Cell(DASH)
    if isinstance(value, str) or column == "rank":
        return Cell(str(value), value)
    low, high = (row.get(f"{column}{bound}") for bound in _BOUNDS)
    decimals = decimals_of(board[column])
    text = number(value, decimals)
    if low is not None and high is not None:
        text += f" ({number(low, decimals)}{_TO}{number(high, decimals)})"
    return Cell(text, value)


def decimals_of(values: pl.Series) -> int:
    """Return the number of decimals that the values of a column need."""
    highest = float(values.cast(pl.Float64).abs().max() or 0)  # type: ignore[arg-type]
    return 0 if values.dtype.is_integer() or highest >= 1000 else 3 if highest <= 1 else 1


def _published_table(published: pl.DataFrame) -> Table:
    metrics = [name.removeprefix("ours_") for name in published.columns if name.startswith("ours_")]
    metrics = [name for name in metrics if published[f"published_{name}"].null_count() < published.height]
    heads = [Column("Published model"), Column("Here")]
    heads += [Column(METRIC_TITLES.get(name, name), True) for name in metrics]
    rows = []
    for row in published.iter_rows(named=True):
        pairs = [(row[f"published_{name}"], row[f"ours_{name}"]) for name in metrics]
        cells = [Cell(" → ".join(DASH if value is None else number(value) for value in pair)) for pair in pairs]
        rows.append([Cell(row["setting"]), Cell(row["model"]), *cells])
    return Table("published", "Published results → ours", heads, rows, say_published(published), is_folded=True)


def cost_section(sources: Sources) -> Section | None:
    """Show quality against cost; None if no cost is known."""
    board = sources.leaderboard
    costs = [column for column in board.columns if COSTS.search(column) and board[column].null_count() < board.height]
    if not costs:
        return None
    blocks: list[Any] = [Text(say_trade(board))] if RATE in costs else []
    pareto = sources.paths.results / "pareto.svg"
    if pareto.is_file():
        blocks.append(Picture("pareto", "Quality against cost", say_frontier(board), file=pareto, is_wide=True))
    shown = [column for column in ("model", "test_jaccard", *costs) if column in board.columns]
    blocks.append(replace(leaderboard_table(board, shown, "costs", "Costs of all models"), is_folded=True))
    blocks.append(Text("Times were measured on the machine of this run: compare them only with each other."))
    return Section("cost", "Quality against cost", blocks)


def say_trade(board: pl.DataFrame) -> str:
    """Say which is the fastest model that is nearly as good as the best."""
    best = board.row(0, named=True)
    if best["test_jaccard"] is None or best[RATE] is None:
        return "The cost of the best model is not known."
    near = board.filter((pl.col("test_jaccard") >= NEARLY * best["test_jaccard"]) & pl.col(RATE).is_not_null())
    fast = near.sort(RATE, "rank", descending=[True, False]).row(0, named=True)
    rate = f"{best['model']} predicts {number(best[RATE], 0)} movies per second"
    if fast[RATE] <= best[RATE]:
        return f"{rate}; no model with at least {percent(NEARLY)} of its Jaccard is faster."
    times = fast[RATE] / best[RATE]
    factor = number(times, 0 if times >= LARGE_FACTOR else 1)
    than = f", {factor} times as fast" if factor != "1.0" else ""
    return (
        f"{rate}; {fast['model']} reaches {percent(fast['test_jaccard'] / best['test_jaccard'])} of its Jaccard at "
        f"{number(fast[RATE], 0)} movies per second{than}."
    )


def say_frontier(board: pl.DataFrame) -> str:
    """Say which models no other beats in both quality and speed of prediction."""
    known = board.drop_nulls(["test_jaccard", RATE]) if RATE in board.columns else board.clear()
    if known.is_empty():
        return "The speed of prediction is not known for any model."
    known = known.sort(RATE, "test_jaccard", descending=True)
    before = known["test_jaccard"].cum_max().shift(1).fill_null(float("-inf"))
    frontier = known.filter(pl.col("test_jaccard") > before)["model"].to_list()
    if known.height == 1:
        return f"{frontier[0]} is the only model."
    if len(frontier) == 1:
        return f"{frontier[0]} is both the best and the fastest of {known.height} models."
    return (
        f"No other model is both better and faster than these {len(frontier)} of {known.height}, from the fastest to "
        f"the best: {', '.join(frontier)}."
    )


def training_section(sources: Sources) -> Section | None:
    """Show the learning curves of models that were trained step by step; None if there is none."""
    pictures = []
    for model in sources.models:
        history = model.optional_table(HISTORY_FILE)
        if history is None or not history.height:
            continue
        history = history.select(pl.col(name).cast(pl.Float64) for name in HISTORY_COLUMNS)
        name, draw = f"training_{model.name}", partial(draw_training, history)
        pictures.append(Picture(name, f"Training of {model.name}", say_training(history), draw, is_wide=True))
    return Section("training", "Training curves", pictures) if pictures else None


def say_training(history: pl.DataFrame) -> str:
    """Say when a training was best, and whether it was still improving or overfitting at its end."""
    known = history.drop_nulls("validation_jaccard")
    if known.is_empty():
        return "The Jaccard on validation was never measured."
    best = known.sort("validation_jaccard", "epoch", descending=[True, False]).row(0, named=True)
    said = f"The Jaccard on validation peaks after {_epochs(best['epoch'])}, at {number(best['validation_jaccard'])}"
    if known.height == 1:
        return f"{said}, the only time it was measured."
    last = known.row(-1, named=True)
    if last["epoch"] == best["epoch"]:
        gain = last["validation_jaccard"] - known["validation_jaccard"][-2]
        return f"{said}, the last point: it was still rising, by {number(gain)} since the point before."
    if last["validation_jaccard"] == best["validation_jaccard"]:
        return f"{said}, and is the same at the end, after {_epochs(last['epoch'])}."
    return f"{said}; by the end, after {_epochs(last['epoch'])}, it fell to {number(last['validation_jaccard'])}."


def _epochs(count: float) -> str:
    return "1 epoch" if count == 1 else f"{count:.3g} epochs"
