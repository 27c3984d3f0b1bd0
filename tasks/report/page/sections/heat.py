"""Heat maps of genres over models, for genres with few and with many movies. Owns their figures and wording."""

from functools import partial
from typing import Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from tasks.report.page.blocks import Picture
from tasks.report.page.pictures import draw_model_genres
from tasks.report.page.sources import Model, Sources
from tasks.report.page.wording import counted, figure, listed

MOST_MODELS: Final = 16
MOST_NAMED: Final = 3  # models that stand at one end
METRICS: Final = {"precision": "precision", "recall": "recall", "f1": "F1"}


def heat_maps(sources: Sources) -> list[Picture]:
    """Show precision, recall and F1 of the genres with fewest and with most test movies, over the best models."""
    support = sources.best.per_genre.select("genre", "support").sort("support", "genre")
    half = (support.height + 1) // 2
    groups = {"few": support.head(half), "many": support.slice(half).reverse()}
    return [_heat_map(sources, name, rows) for name, rows in groups.items() if rows.height]


def _heat_map(sources: Sources, name: str, rows: pl.DataFrame) -> Picture:
    models, genres = sources.models[:MOST_MODELS], rows["genre"].to_list()
    names = [model.name for model in models]
    values = {title: _shares(models, genres, metric) for metric, title in METRICS.items()}
    left_out = len(sources.models) - len(models)
    more = f" Left out: the last {counted(left_out, 'model')} of the leaderboard." if left_out else ""
    if any(np.isnan(shares).any() for shares in values.values()):
        more += " A dash is undefined: the genre has no test movie or, for precision, was never predicted."
    labels = [f"{genre}: {count:,}" for genre, count in rows.iter_rows()]
    return Picture(
        f"heat_{name}",
        f"Genres with {name} movies, over models",
        say_heat(values["F1"], genres, names, "fewest" if name == "few" else "most") + more,
        partial(draw_model_genres, values, labels, names),
        is_wide=True,
    )


def _shares(models: tuple[Model, ...], genres: list[str], metric: str) -> NDArray[np.float64]:
    wanted = pl.DataFrame({"genre": genres})
    value = pl.col(metric).cast(pl.Float64)
    if metric == "precision":  # which is zero in the table for what was never predicted, as macro means want it
        value = pl.when(pl.col("tp") + pl.col("fp") > 0).then(value)
    columns = [
        wanted.join(model.per_genre, on="genre", how="left", maintain_order="left").select(value).to_series()
        for model in models
    ]
    return np.column_stack([column.fill_null(float("nan")).to_numpy() for column in columns])


def say_heat(values: NDArray[np.float64], genres: list[str], models: list[str], which: str) -> str:
    """Say which genre the models differ most on, by F1, and which model is most often the best.

    Args:
        values: F1, genres x models; NaN where undefined.
        genres: of the rows.
        models: of the columns.
        which: whether these are the genres with "fewest" or with "most" movies.
    """
    if len(genres) == 1:
        return _say_only(values[0], f"{genres[0]}, the genre with {which} movies,", models)
    what = f"the {len(genres)} genres with {which} movies"
    rows = np.flatnonzero(np.isfinite(values).all(axis=1))
    if not rows.size:
        return f"Of {what}, none has a test movie."
    known, names = values[rows], [genres[row] for row in rows]
    if len(models) == 1:
        row = int(known.argmax())
        best = figure(float(known[row, 0]), 2)
        return f"There is one model; of {what}, it tells {names[row]} best, with an F1 of {best}."
    row = int(np.ptp(known, axis=1).argmax())
    if not np.ptp(known[row]):
        return f"On each of {what}, all models have the same F1."
    if not _differ(known[row]):
        return f"On each of {what}, the F1 of all models is the same to 0.01."
    widest = f"the models differ most on {names[row]}: {_say_range(known[row], models)}"
    return f"Of {what}, {widest}. {_say_wins(known, models)}"


def _say_only(values: NDArray[np.float64], genre: str, models: list[str]) -> str:
    """Say what the models do on the only genre of a heat map."""
    if not np.isfinite(values).all():
        return f"{genre} has no test movie."
    if len(models) == 1:
        return f"There is one model; its F1 on {genre} is {figure(float(values[0]), 2)}."
    if not _differ(values):
        return f"On {genre} all models have the same F1, {figure(float(values[0]), 2)}."
    return f"On {genre} {_say_range(values, models)}."


def _differ(values: NDArray[np.float64]) -> bool:
    return figure(float(values.min()), 2) != figure(float(values.max()), 2)


def _say_range(values: NDArray[np.float64], models: list[str]) -> str:
    """Say from where to where F1 goes, with all models that stand at the ends."""
    ends = (figure(float(value), 2) for value in (values.min(), values.max()))
    told = []
    for end in ends:
        there = [model for model, value in zip(models, values, strict=True) if figure(float(value), 2) == end]
        told.append(f"{end} ({listed(there) if len(there) <= MOST_NAMED else f'{len(there)} models'})")
    return f"F1 goes from {told[0]} to {told[1]}"


def _say_wins(known: NDArray[np.float64], models: list[str]) -> str:
    """Say which models have the highest F1 on most genres, of which at least one is found by some model."""
    found = known[known.max(axis=1) > 0]  # nobody wins a genre that nobody finds
    wins = (found == found.max(axis=1, keepdims=True)).sum(axis=0)
    winners = [model for model, count in zip(models, wins, strict=True) if count == wins.max()]
    who = listed(winners) if len(winners) <= MOST_NAMED else f"{len(winners)} models"
    never = f"; {len(known) - len(found)} no model finds" if len(found) < len(known) else ""
    have = "has" if len(winners) == 1 else "each have"
    return f"{who} {have} the highest F1, or the same, on {wins.max()} of {len(known)}{never}."
