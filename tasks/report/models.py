"""The report's sections about the models: ranking, cost, training."""

import re
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Any, Final

import polars as pl

from tasks.core.page import Cell, Column, Picture, Section, Table, Text, number
from tasks.report.figures import HISTORY_COLUMNS, HISTORY_FILE, RATE, draw_training, frontier
from tasks.report.leaderboard import NOTHING, Baseline, compare_published
from tasks.report.sources import METRIC_TITLES, Sources, metric_title, optional_table, say

COSTS: Final = re.compile(r"(_s|_mb)$")
NEARLY: Final = 0.9  # of the best Jaccard
_MAIN: Final = ("rank", "model", "val_jaccard", "test_jaccard", "behind", "test_f1_samples", "test_f1_macro",
                "test_at_least_one")  # fmt: skip
_BOUNDS: Final = ("_low", "_high")
_TO: Final = "\N{NO-BREAK SPACE}to\N{NO-BREAK SPACE}"  # an interval may wrap below its number, but not over two lines


def ranking_section(sources: Sources) -> Section:
    """Rank the models, and compare them with the published results of the same methods."""
    board = sources.leaderboard
    chosen_by = str(board["chosen_by"][0]) if "chosen_by" in board.columns else "jaccard"
    explained = say("metric_and_rule", metric=METRIC_TITLES.get(chosen_by, chosen_by), rule=str(board["rule"][0]))
    blocks: list[Any] = [Text(explained)]
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
    models = list(board.iter_rows(named=True))
    if baseline is not None:
        models.append({"model": "constant baseline", **baseline.metrics})
    rows = [[_cell(board, column, row) for column in columns] for row in models]
    marked, head = frozenset([0]), columns.index("model")
    return Table(name, caption, heads, rows, is_sortable=len(rows) > 1, marked=marked, head=head, is_compact=True)


def _cell(board: pl.DataFrame, column: str, row: dict[str, Any]) -> Cell:
    value = row.get(column)
    if value is None:
        return Cell(NOTHING)
    if isinstance(value, str) or column == "rank":
        return Cell(str(value), value)
    highest = float(board[column].cast(pl.Float64).abs().max() or 0)  # type: ignore[arg-type]
    decimals = 0 if board[column].dtype.is_integer() or highest >= 1000 else 3 if highest <= 1 else 1
    low, high = (row.get(f"{column}{bound}") for bound in _BOUNDS)
    text = number(value, decimals)
    if low is not None and high is not None:
        text += f" ({number(low, decimals)}{_TO}{number(high, decimals)})"
    return Cell(text, value)


def say_leader(board: pl.DataFrame) -> str:
    """Say which model leads, by how much, and whether that could be chance."""
    first, *others = board.iter_rows(named=True)
    measured = [row for row in others if row.get("behind") is not None]
    ties = [row["model"] for row in measured if row["behind_low"] <= 0 <= row["behind_high"]]
    return say("leader", first=first, second=others[0] if others else None, ties=ties)


def say_order(board: pl.DataFrame) -> str:
    """Say how far apart the models are, and whether the test agrees with the order on validation."""
    known = board.drop_nulls("test_jaccard")
    top = known.filter(pl.col("test_jaccard") == pl.col("test_jaccard").max()).sort("rank")
    return say("order", scores=known["test_jaccard"].to_list(), first=board["model"][0], top=top["model"].to_list())


def say_published(published: pl.DataFrame) -> str:
    """Say how many of the published Jaccards ours exceed, and where the difference is largest."""
    both = published.drop_nulls(["published_jaccard", "ours_jaccard"])
    gaps = both["ours_jaccard"] - both["published_jaccard"]
    most = both.row(gaps.abs().arg_max() or 0, named=True) if both.height else None
    return say("published", above=int((gaps > 0).sum()), all=both.height, most=most)


def _published_table(published: pl.DataFrame) -> Table:
    metrics = [name.removeprefix("ours_") for name in published.columns if name.startswith("ours_")]
    metrics = [name for name in metrics if published[f"published_{name}"].null_count() < published.height]
    heads = [Column("Published model"), Column("Here")]
    heads += [Column(METRIC_TITLES.get(name, name), True) for name in metrics]
    rows = []
    for row in published.iter_rows(named=True):
        pairs = [(row[f"published_{name}"], row[f"ours_{name}"]) for name in metrics]
        cells = [Cell(" → ".join(NOTHING if value is None else number(value) for value in pair)) for pair in pairs]
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
    best, fast = board.row(0, named=True), None
    if best["test_jaccard"] is not None and best[RATE] is not None:
        near = board.filter((pl.col("test_jaccard") >= NEARLY * best["test_jaccard"]) & pl.col(RATE).is_not_null())
        fast = near.sort(RATE, "rank", descending=[True, False]).row(0, named=True)
    return say("trade", best=best, fast=fast, nearly=NEARLY)


def say_frontier(board: pl.DataFrame) -> str:
    """Say which models no other beats in both quality and speed of prediction."""
    known = board.drop_nulls(["test_jaccard", RATE]) if RATE in board.columns else board.clear()
    models = frontier(known)["model"].to_list() if known.height else []
    return say("frontier", models=models, known=known.height)


def training_section(sources: Sources) -> Section | None:
    """Show the learning curves of models that were trained step by step; None if there is none."""
    pictures = []
    for model in sources.models:
        history = optional_table(model.folder / HISTORY_FILE)
        if history is None or not history.height:
            continue
        history = history.select(pl.col(name).cast(pl.Float64) for name in HISTORY_COLUMNS)
        name, draw = f"training_{model.name}", partial(draw_training, history)
        pictures.append(Picture(name, f"Training of {model.name}", say_training(history), draw, is_wide=True))
    return Section("training", "Training curves", pictures) if pictures else None


def say_training(history: pl.DataFrame) -> str:
    """Say when a training was best, and whether it was still improving or overfitting at its end."""
    points = history.drop_nulls("validation_jaccard").to_dicts()
    best = max(points, key=lambda point: (point["validation_jaccard"], -point["epoch"]), default=None)
    return say("training", best=best, points=points)
