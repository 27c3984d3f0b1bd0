"""Which model is best, by how much, and how that compares with what others published. Owns the section's wording."""

import re
from collections.abc import Sequence
from typing import Any, Final

import polars as pl

from tasks.report.page.blocks import Cell, Column, Picture, Section, Table, Words
from tasks.report.page.sources import Sources
from tasks.report.page.wording import METRICS, counted, figure, listed, metric_title
from tasks.report.published import beside_published

COSTS: Final = re.compile(r"(_s|_mb)$")
_MAIN: Final = ("rank", "model", "val_jaccard", "test_jaccard", "behind", "test_f1_samples", "test_f1_macro",
                "test_at_least_one")  # fmt: skip
_BOUNDS: Final = ("_low", "_high")
_TO: Final = "\N{NO-BREAK SPACE}to\N{NO-BREAK SPACE}"  # an interval may stand under its figure, but not on two lines
_RULES: Final = {
    "expected-jaccard": "the set of genres with the highest expected Jaccard",
    "expected-f1": "the set of genres with the highest expected F1",
    "per-genre": "a threshold for each genre, fitted for Jaccard",
    "per-genre-f1": "a threshold for each genre, fitted for F1",
    "global": "one fitted threshold for all genres",
    "top": "the same number of genres for each movie",
}


def ranking_section(sources: Sources) -> Section:
    """Set the models in order, and beside the published figures of the same work."""
    board = sources.leaderboard
    blocks: list[Any] = [Words(say_leader(board)), Words(_explain(board))]
    picture = sources.paths.results / "leaderboard.svg"
    if picture.is_file():
        blocks.append(Picture("leaderboard", "Models by Jaccard", say_order(board), file=picture))
    shown = [column for column in _MAIN if column in board.columns]
    blocks.append(leaderboard_table(board, shown, "leaderboard", "Leaderboard"))
    if set(board.columns) - set(shown):
        rest = [column for column in board.columns if not column.endswith(_BOUNDS)]
        blocks.append(leaderboard_table(board, rest, "all-figures", "All figures of all models", is_folded=True))
    published = beside_published([model.folder for model in sources.models])
    if published.height:
        blocks.append(_published_table(published))
    return Section("leaderboard", "Which model is best", blocks)


def leaderboard_table(
    board: pl.DataFrame, columns: Sequence[str], name: str, caption: str, *, is_folded: bool = False
) -> Table:
    """Return columns of the leaderboard as a table to sort; intervals stand in the cells of their figures."""
    columns = [column for column in columns if board[column].null_count() < board.height]
    heads = [Column(metric_title(column), board[column].dtype.is_numeric()) for column in columns]
    rows = [[_cell(board, column, row) for column in columns] for row in board.iter_rows(named=True)]
    return Table(
        name,
        caption,
        heads,
        rows,
        is_sortable=board.height > 1,
        is_folded=is_folded,
        marked=frozenset([0]),
        head=columns.index("model"),
        is_compact=True,
    )


def say_leader(board: pl.DataFrame) -> str:
    """Say which model leads, by how much, and whether that could be chance."""
    first = board.row(0, named=True)
    score = figure(first["test_jaccard"])
    if board.height == 1:
        return f"{first['model']} is the only model of this run; its Jaccard on the test movies is {score}."
    second = board.row(1, named=True)
    lead = f"{first['model']} leads with a Jaccard of {score} on the test movies"
    if second.get("behind") is None:
        return f"{lead}; how far the others are behind is undefined."
    interval = f"95 % interval {figure(second['behind_low'])} to {figure(second['behind_high'])}"
    even = [
        row["model"]
        for row in board.slice(1).iter_rows(named=True)
        if row["behind"] is not None and row["behind_low"] <= 0 <= row["behind_high"]
    ]
    if second["behind"] == 0:
        return f"{lead}; {second['model']} has exactly the same, and validation alone sets their order."
    ahead = f"{figure(abs(second['behind']))} {'more' if second['behind'] > 0 else 'less'} than {second['model']}"
    verdict = (
        f"chance could explain its distance to {listed(even)}"
        if even
        else "chance does not explain its lead over any other"
    )
    return f"{lead}, {ahead}, the second ({interval}); {verdict}."


def say_order(board: pl.DataFrame) -> str:
    """Say how far apart the models are, and whether the test agrees with the order that validation set."""
    known = board.drop_nulls("test_jaccard")
    if known.height < 2:
        return "There is no other model to compare with."
    best, worst = (float(value) for value in (known["test_jaccard"].max(), known["test_jaccard"].min()))  # type: ignore[arg-type]
    if figure(best) == figure(worst):
        whose = "Both models" if known.height == 2 else f"All {known.height} models"
        rounded = "" if best == worst else ", to three decimals,"
        return f"{whose} have{rounded} the same Jaccard on test, {figure(best)}; validation alone sets the order."
    top = known.filter(pl.col("test_jaccard") == best).sort("rank")["model"].to_list()
    agrees = (
        f"on the test alone {listed(top)} would be first, but the test has no say"
        if board["model"][0] not in top
        else "the test puts the same model first"
        if len(top) == 1
        else f"the test puts it level with {listed(top[1:])}"
    )
    return f"Jaccard on test goes from {figure(worst)} to {figure(best)}; validation sets the order, and {agrees}."


def say_published(published: pl.DataFrame) -> str:
    """Say how many of the published Jaccards ours exceed, and where the distance is greatest."""
    both = published.drop_nulls(["published_jaccard", "ours_jaccard"])
    if both.is_empty():
        return "No published Jaccard is of work that a model here does."
    gaps = both.with_columns(gap=pl.col("ours_jaccard") - pl.col("published_jaccard"))
    above = gaps.filter(pl.col("gap") > 0).height
    most = gaps.row(int(gaps["gap"].abs().arg_max() or 0), named=True)
    return (
        f"{above} of {counted(both.height, 'published Jaccard')} {'is' if above == 1 else 'are'} exceeded here; the "
        f"greatest distance is {most['model']}'s, {figure(most['ours_jaccard'])} against "
        f"{figure(most['published_jaccard'])}. The work is the same, the movies are not: the published figures are of "
        "other parts of the data."
    )


def _explain(board: pl.DataFrame) -> str:
    metric = (
        METRICS.get(str(board["chosen_by"][0]), str(board["chosen_by"][0]))
        if "chosen_by" in board.columns
        else "Jaccard"
    )
    rule = _RULES.get(str(board["rule"][0]), f"the rule {board['rule'][0]}")
    return (
        "Jaccard is the share that a movie's predicted and true genres have in common, averaged over movies: 1 is "
        "perfect. "
        f"Models stand in the order of their {metric} on the validation movies. The first one decides by {rule}."
    )


def _cell(board: pl.DataFrame, column: str, row: dict[str, Any]) -> Cell:
    value = row[column]
    if value is None:
        return Cell("\N{EN DASH}")
    if isinstance(value, str) or column == "rank":
        return Cell(str(value), value)
    low, high = (row.get(f"{column}{bound}") for bound in _BOUNDS)
    decimals = decimals_of(board[column])
    text = figure(value, decimals)
    if low is not None and high is not None:
        text += f" ({figure(low, decimals)}{_TO}{figure(high, decimals)})"
    return Cell(text, value)


def decimals_of(values: pl.Series) -> int:
    """Return how many decimals tell the values of a column apart without a wall of figures."""
    highest = float(values.cast(pl.Float64).abs().max() or 0)  # type: ignore[arg-type]
    is_whole = values.dtype.is_integer()
    return 0 if is_whole or highest >= 1000 else 3 if highest <= 1 else 1


def _published_table(published: pl.DataFrame) -> Table:
    metrics = [name.removeprefix("ours_") for name in published.columns if name.startswith("ours_")]
    metrics = [name for name in metrics if published[f"published_{name}"].null_count() < published.height]
    heads = [Column("Earlier system"), Column("Here"), *(Column(METRICS.get(name, name), True) for name in metrics)]
    rows = []
    for row in published.iter_rows(named=True):
        pairs = [(row[f"published_{name}"], row[f"ours_{name}"]) for name in metrics]
        figures = [Cell(" → ".join("\N{EN DASH}" if v is None else figure(v) for v in pair)) for pair in pairs]
        rows.append([Cell(row["setting"]), Cell(row["model"]), *figures])
    return Table("published", "Published figures → ours", heads, rows, say_published(published))
