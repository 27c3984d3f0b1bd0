"""What models cost. Owns the section's figures and wording."""

from typing import Any, Final

import polars as pl

from tasks.report.page.blocks import Picture, Section, Words
from tasks.report.page.sections.ranking import COSTS, leaderboard_table
from tasks.report.page.sources import Sources
from tasks.report.page.wording import figure, percent

RATE: Final = "predict_docs_per_s"
NEARLY: Final = 0.9  # of the best Jaccard
LARGE_FACTOR: Final = 10  # from which one does without decimals


def cost_section(sources: Sources) -> Section | None:
    """Show quality against cost, or None where no cost is known."""
    board = sources.leaderboard
    costs = [column for column in board.columns if COSTS.search(column) and board[column].null_count() < board.height]
    if not costs:
        return None
    blocks: list[Any] = [Words(say_trade(board))] if RATE in costs else []
    pareto = sources.paths.results / "pareto.svg"
    if pareto.is_file():
        blocks.append(Picture("pareto", "Quality against cost", say_frontier(board), file=pareto, is_wide=True))
    shown = ["model", "test_jaccard", *costs]
    blocks.append(leaderboard_table(board, [column for column in shown if column in board.columns], "costs", "Costs"))
    blocks.append(Words("Times are of this run's machine: compare them with each other."))
    return Section("cost", "What it costs", blocks)


def say_trade(board: pl.DataFrame) -> str:
    """Say what the fastest model is that is nearly as good as the best."""
    best = board.row(0, named=True)
    if best["test_jaccard"] is None or best[RATE] is None:
        return "The cost of the best model is not known."
    near = board.filter((pl.col("test_jaccard") >= NEARLY * best["test_jaccard"]) & pl.col(RATE).is_not_null())
    fast = near.sort(RATE, "rank", descending=[True, False]).row(0, named=True)
    rate = f"{best['model']} predicts {figure(best[RATE], 0)} movies a second"
    if fast[RATE] <= best[RATE]:
        return f"{rate}; no model with at least {percent(NEARLY)} of its Jaccard is faster."
    times = fast[RATE] / best[RATE]
    factor = figure(times, 0 if times >= LARGE_FACTOR else 1)
    than = f", {factor} times as fast" if factor != "1.0" else ""
    return (
        f"{rate}; {fast['model']} has {percent(fast['test_jaccard'] / best['test_jaccard'])} of its Jaccard at "
        f"{figure(fast[RATE], 0)} movies a second{than}."
    )


def say_frontier(board: pl.DataFrame) -> str:
    """Say how many models no other beats in both quality and rate of prediction."""
    known = board.drop_nulls(["test_jaccard", RATE]) if RATE in board.columns else board.clear()
    if known.is_empty():
        return "No model's rate of prediction is known."
    frontier, quality = [], float("-inf")
    for row in known.sort(RATE, "test_jaccard", descending=True).iter_rows(named=True):
        if row["test_jaccard"] > quality:
            frontier.append(row["model"])
            quality = row["test_jaccard"]
    if known.height == 1:
        return f"{frontier[0]} is the only model."
    if len(frontier) == 1:
        return f"{frontier[0]} is both the best and the fastest of {known.height} models."
    return (
        f"{len(frontier)} of {known.height} models are beaten by no other in both Jaccard and rate, from the fastest "
        f"to the best: {', '.join(frontier)}."
    )
