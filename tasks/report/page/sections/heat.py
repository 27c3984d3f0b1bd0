"""Heat maps of genres over models, for genres with few and with many movies. Owns their figures and wording."""

from functools import partial
from typing import Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from tasks.report.page.blocks import Picture
from tasks.report.page.pictures import draw_model_genres
from tasks.report.page.sources import Model, Sources
from tasks.report.page.wording import figure

MOST_MODELS: Final = 16
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
    what = f"the {len(genres)} genres with {'fewest' if name == 'few' else 'most'} movies"
    left_out = len(sources.models) - len(models)
    more = f" The {left_out} last models of the leaderboard are left out." if left_out else ""
    labels = [f"{genre}: {count:,}" for genre, count in rows.iter_rows()]
    return Picture(
        f"heat_{name}",
        f"Genres with {name} movies, over models",
        say_heat(values["F1"], genres, names, what) + more,
        partial(draw_model_genres, values, labels, names),
        is_wide=True,
    )


def _shares(models: tuple[Model, ...], genres: list[str], metric: str) -> NDArray[np.float64]:
    wanted = pl.DataFrame({"genre": genres})
    columns = [
        wanted.join(model.per_genre, on="genre", how="left", maintain_order="left")[metric].cast(pl.Float64)
        for model in models
    ]
    return np.column_stack([column.fill_null(float("nan")).to_numpy() for column in columns])


def say_heat(values: NDArray[np.float64], genres: list[str], models: list[str], what: str) -> str:
    """Say which genre the models differ most on, by F1, and which model is most often the best.

    Args:
        values: F1, genres x models; NaN where undefined.
        genres: of the rows.
        models: of the columns.
        what: which genres these are.
    """
    rows = np.flatnonzero(np.isfinite(values).all(axis=1))
    if not rows.size:
        return f"Of {what}, none has a test movie."
    known, names = values[rows], [genres[row] for row in rows]
    if len(models) == 1:
        row = int(known.argmax())
        best = figure(float(known[row, 0]), 2)
        return f"There is one model; of {what}, it tells {names[row]} best, with an F1 of {best}."
    row = int(np.ptp(known, axis=1).argmax())
    lowest, highest = int(known[row].argmin()), int(known[row].argmax())
    if lowest == highest:
        return f"On each of {what}, all models have the same F1."
    found = known[known.max(axis=1) > 0]  # nobody wins a genre that nobody finds
    wins = (found == found.max(axis=1, keepdims=True)).sum(axis=0)
    never = f"; {len(rows) - len(found)} no model finds" if len(found) < len(rows) else ""
    return (
        f"Of {what}, the models differ most on {names[row]}: F1 goes from {figure(float(known[row, lowest]), 2)} "
        f"({models[lowest]}) to {figure(float(known[row, highest]), 2)} ({models[highest]}). "
        f"{models[int(wins.argmax())]} has "
        f"the highest F1, or the same, on {wins.max()} of {len(rows)}{never}."
    )
