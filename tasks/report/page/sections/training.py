"""How trainings went. Owns the section's wording."""

from functools import partial

import polars as pl

from tasks.report.page.blocks import Picture, Section
from tasks.report.page.sources import Sources
from tasks.report.page.wording import figure
from tasks.report.training import COLUMNS, HISTORY_FILE, draw_training


def training_section(sources: Sources) -> Section | None:
    """Show the course of each model that was trained step by step, or None where there is none."""
    pictures = []
    for model in sources.models:
        history = model.optional_table(HISTORY_FILE)
        if history is None or not history.height:
            continue
        history = history.select(pl.col(name).cast(pl.Float64) for name in COLUMNS)
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
