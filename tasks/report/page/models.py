"""How trainings went. Owns the section's wording."""

import re
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, Final

import polars as pl

from tasks.report.figures import HISTORY_COLUMNS, HISTORY_FILE, draw_training
from tasks.report.leaderboard import compare_published
from tasks.report.page.sources import (
    METRIC_TITLES,
    RunFacts,
    Sources,
    counted,
    figure,
    listed,
    metric_title,
    percent,
    read_json,
    sidecars,
)
from tasks.report.page.writer import Cell, Column, Picture, Section, Table, Words

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
    published = compare_published([model.folder for model in sources.models])
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
        METRIC_TITLES.get(str(board["chosen_by"][0]), str(board["chosen_by"][0]))
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
    heads = [
        Column("Earlier system"),
        Column("Here"),
        *(Column(METRIC_TITLES.get(name, name), True) for name in metrics),
    ]
    rows = []
    for row in published.iter_rows(named=True):
        pairs = [(row[f"published_{name}"], row[f"ours_{name}"]) for name in metrics]
        figures = [Cell(" → ".join("\N{EN DASH}" if v is None else figure(v) for v in pair)) for pair in pairs]
        rows.append([Cell(row["setting"]), Cell(row["model"]), *figures])
    return Table("published", "Published figures → ours", heads, rows, say_published(published))


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


_HIDDEN: Final = "genreflow.data_dir"  # a folder of the machine, which says nothing to readers elsewhere


def run_section(sources: Sources, facts: RunFacts) -> Section:
    """Say which run this is, of which data, code and versions, and how it was configured."""
    split = read_json(sources.paths.splits.parent / "split.stage.json")
    blocks: list[Any] = [Words(_say_parts(sources, split.get("counts", {})))]
    rows = [(name, value) for name, value in _facts(sources, facts, split).items() if value]
    blocks.append(_pairs("run-facts", "The run at a glance", ("What", "Value"), dict(rows)))
    versions = _versions(sources)
    if versions:
        blocks.append(_pairs("versions", "Versions of packages", ("Package", "Version"), versions, is_folded=True))
    if facts.params:
        params = {name: shorten_paths(value) for name, value in facts.params.items()}
        blocks.append(_pairs("config", "The whole configuration", ("Option", "Value"), params, is_folded=True))
    return Section("run", "What ran on what", blocks)


def shorten_paths(text: str) -> str:
    """Leave the last two parts of absolute paths in a text: where else they lie says nothing to readers.

    >>> shorten_paths("pipeline /home/me/data/raw 2026")
    'pipeline …/data/raw 2026'
    """
    words = text.split(" ")
    return " ".join(
        f"…/{'/'.join(word.split('/')[-2:])}" if word.startswith("/") and word.count("/") > 2 else word
        for word in words
    )


def say_duration(duration_s: float) -> str:
    """Write a time in the units that people use.

    >>> say_duration(42.4), say_duration(300), say_duration(7500)
    ('42 s', '5 min', '2 h 5 min')
    """
    if duration_s < 120:
        return f"{duration_s:.0f} s"
    hours, minutes = divmod(round(duration_s / 60), 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min"


def _say_parts(sources: Sources, parts: Mapping[str, Any]) -> str:
    models, test = len(sources.models), sources.best.predictions.height
    if {"train", "validation"} <= parts.keys():
        return (
            f"{counted(models, 'model')} learned from {counted(parts['train'], 'movie')}; "
            f"{counted(parts['validation'], 'other')} chose the decision rules and the order of models; the figures "
            f"are of {counted(test, 'further movie')}, which had no part in any choice."
        )
    were = "was" if models == 1 else "were"
    return f"{counted(models, 'model')} {were} tested on {counted(test, 'movie')} that had no part in any choice."


def _facts(sources: Sources, facts: RunFacts, split: Mapping[str, Any]) -> dict[str, str]:
    tag = {name.removeprefix("genreflow."): value for name, value in facts.tags.items() if name != _HIDDEN}
    counts = split.get("counts", {})
    parts = [f"{counts[part]:,} {part}" for part in ("train", "validation", "test") if part in counts]
    return {
        "Run": shorten_paths(facts.name),
        "MLflow run": facts.run_id,
        "Source of the listings": shorten_paths(facts.params.get("source", "")),
        "Preset": facts.params.get("preset", ""),
        "Seed": facts.params.get("seed", ""),
        "Movies": ", ".join(parts),
        "Genres": f"{len(sources.best.scores.genres)}",
        "Models": f"{len(sources.models)}",
        "Time until the report": "" if facts.duration_s is None else say_duration(facts.duration_s),
        "Code revision": tag.get("git_revision", ""),
        "Hash of the data": tag.get("data_hash", ""),
    }


def _versions(sources: Sources) -> dict[str, str]:
    files = [*sidecars(sources.paths), *(model.folder / "train.stage.json" for model in sources.models)]
    found: dict[str, str] = {}
    for path in files:
        found |= {name: str(version) for name, version in read_json(path).get("versions", {}).items()}
    return dict(sorted(found.items()))


def _pairs(
    name: str, caption: str, titles: tuple[str, str], pairs: Mapping[str, str], *, is_folded: bool = False
) -> Table:
    rows = [(Cell(key), Cell(value)) for key, value in pairs.items()]
    return Table(name, caption, [Column(title) for title in titles], rows, is_folded=is_folded)


def training_section(sources: Sources) -> Section | None:
    """Show the course of each model that was trained step by step, or None where there is none."""
    pictures = []
    for model in sources.models:
        history = model.optional_table(HISTORY_FILE)
        if history is None or not history.height:
            continue
        history = history.select(pl.col(name).cast(pl.Float64) for name in HISTORY_COLUMNS)
        name, draw = f"training_{model.name}", partial(draw_training, history)
        pictures.append(Picture(name, f"Training of {model.name}", say_training(history), draw, is_wide=True))
    return Section("training", "How training went", pictures) if pictures else None


def say_training(history: pl.DataFrame) -> str:
    """Say when a training was best, and whether it could have gone on or was overfitting by then."""
    known = history.drop_nulls("validation_jaccard")
    if known.is_empty():
        return "The Jaccard on validation was never measured."
    best = known.sort("validation_jaccard", "epoch", descending=[True, False]).row(0, named=True)
    highest = figure(best["validation_jaccard"])
    say = f"The Jaccard on validation is highest after {_epochs(best['epoch'])}, at {highest}"
    if known.height == 1:
        return f"{say}, the only time it was measured."
    last = known.row(-1, named=True)
    if last["epoch"] == best["epoch"]:
        gain = last["validation_jaccard"] - known["validation_jaccard"][-2]
        return f"{say}, the last point: it was still rising, by {figure(gain)} since the point before."
    if last["validation_jaccard"] == best["validation_jaccard"]:
        return f"{say}, and the same at the end, after {_epochs(last['epoch'])}."
    return f"{say}; until the end, after {_epochs(last['epoch'])}, it fell to {figure(last['validation_jaccard'])}."


def _epochs(number: float) -> str:
    return "1 epoch" if number == 1 else f"{number:.3g} epochs"
