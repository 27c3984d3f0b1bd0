"""What speaks for a genre. Owns the section's table and wording; pictures of it come from other stages."""

from collections.abc import Sequence
from typing import Any, Final

import polars as pl

from tasks.report.page.blocks import Cell, Column, Picture, Section, Table, Words
from tasks.report.page.sources import Model, Sources
from tasks.report.page.wording import counted

STRONGEST: Final = 5  # features of a genre
FEWEST_MOVIES: Final = 3  # a feature of fewer is an anecdote, unless there is no other


def features_section(sources: Sources, further: Sequence[Picture]) -> Section | None:
    """Show the strongest features of each genre for the first model that tells them, and the given pictures."""
    model = next((model for model in sources.models if (model.folder / "importance.parquet").is_file()), None)
    blocks: list[Any] = list(further)
    if model is not None and (table := _strongest(model)) is not None:
        blocks[:0] = [Words(say_strongest(model.name, table)), _table(table)]
    return Section("features", "What speaks for a genre", blocks) if blocks else None


def say_strongest(model: str, table: pl.DataFrame) -> str:
    """Name the strongest feature of all."""
    top = table.sort("weight", "genre", descending=[True, False]).row(0, named=True)
    return (
        f"Strongest for {model}: “{top['feature']}” for {top['genre']}, which adds {top['weight']:.2f} to its log-odds "
        "in the "
        f"mean of {counted(top['movies'], 'movie')}."
    )


def _strongest(model: Model) -> pl.DataFrame | None:
    table = model.optional_table("importance.parquet")
    if table is None:
        return None
    table = table.filter(pl.col("weight") > 0)
    frequent = table.filter(pl.col("movies") >= FEWEST_MOVIES)
    table = table if frequent.is_empty() else frequent
    ordered = table.sort("genre", "weight", "feature", descending=[False, True, False])
    return None if ordered.is_empty() else ordered.group_by("genre", maintain_order=True).head(STRONGEST)


def _table(table: pl.DataFrame) -> Table:
    genres = table.group_by("genre", maintain_order=True).agg("feature", "weight")
    rows = []
    for genre, features, weights in genres.iter_rows():
        said = ", ".join(f"{feature} +{weight:.2f}" for feature, weight in zip(features, weights, strict=True))
        rows.append((Cell(genre), Cell(said)))
    heads = [Column("Genre"), Column("Strongest words and fields, with what they add to the log-odds on average")]
    return Table("strongest", "Strongest words and fields of each genre", heads, rows)
