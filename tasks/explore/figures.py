"""The exhibits of the exploration: each has a picture, a table and a sentence computed from the data.

Pictures are narrow and tall, so that their labels can be read on a phone.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from math import ceil
from pathlib import Path
from typing import Any, Final

import numpy as np
import polars as pl
from matplotlib.figure import Figure
from numpy.typing import NDArray

from tasks.core.figures import (
    BLUE,
    GREY,
    ORANGE,
    SKY,
    VERMILION,
    draw_bars,
    draw_clouds,
    draw_heat_map,
    draw_shares,
    new_figure,
)
from tasks.core.page import fill
from tasks.explore import tables
from tasks.explore.config import ExploreConfig
from tasks.explore.tables import ADD_A_PLOT, CUT_OFF, EMPTY, FEWEST_FOR_A_SHARE, OTHER_PLACEHOLDER, WHOLE

WIDTH_IN: Final = 5.6
HISTOGRAM_BARS: Final = 40

_SHARE_LABEL: Final = f"% of the {{}} movies\nblank: none, grey: fewer than {FEWEST_FOR_A_SHARE} movies"
_KIND_COLOURS = {WHOLE: BLUE, CUT_OFF: SKY, ADD_A_PLOT: ORANGE, OTHER_PLACEHOLDER: VERMILION, EMPTY: GREY}


def draw_counts(counts: pl.DataFrame, label: str) -> Figure:
    """Draw `movies` and `share` per value of the column `label` as bars, in the order of the rows."""
    figure = new_figure(WIDTH_IN, 0.6 + 0.25 * counts.height)
    rows = counts.select("movies", "share").iter_rows()
    notes = [f"{movies:,}  ({f'{share:.1%}' if share >= 0.0005 else '<0.1%'})" for movies, share in rows]
    draw_bars(figure.add_subplot(), counts[label].to_list(), counts["movies"].to_list(), notes)
    return figure


def draw_pairs(values: NDArray[np.float64], genres: list[str], *, is_share: bool) -> Figure:
    """Draw how often genres occur together: movies on a logarithmic colour scale, or % of the row's genre."""
    side = 1.6 + 0.3 * len(genres)
    figure = new_figure(side, side)
    label = _SHARE_LABEL.format("row genre's") if is_share else "movies; diagonal: all movies of the genre; blank: none"
    draw_heat_map(figure.add_subplot(xlabel=label), values, genres, genres, logarithmic=not is_share)
    return figure


def draw_decades(decades: pl.DataFrame, genres: list[str]) -> Figure:
    """Draw each genre's share of each decade's movies, in %, with the decades' number of movies."""
    totals = decades.select("decade", "decade_movies").unique().sort("decade")
    shown = totals["decade"].to_list()
    shares = {(decade, genre): share for decade, genre, share in decades.select("decade", "genre", "share").iter_rows()}
    values = np.array([[100 * shares.get((decade, genre), 0.0) for decade in shown] for genre in genres])
    values = values.reshape(len(genres), len(shown))
    values[:, (totals["decade_movies"] < FEWEST_FOR_A_SHARE).to_numpy()] = np.nan
    figure = new_figure(1.8 + 0.36 * max(len(shown), 6), 1.6 + 0.27 * len(genres))
    columns = [f"{decade}s ({count:,})" for decade, count in totals.iter_rows()]
    draw_heat_map(figure.add_subplot(xlabel=_SHARE_LABEL.format("decade's")), values, genres, columns)
    return figure


def draw_lengths(lengths: pl.DataFrame) -> Figure:
    """Draw the lengths of descriptions in characters and words; the last bar gathers the longest hundredth."""
    figure = new_figure(WIDTH_IN, 5.4)
    for axes, column in zip(figure.subplots(2, 1), lengths, strict=True):
        median, highest = column.quantile(0.5, "nearest"), column.quantile(0.99, "nearest")
        if median is None or highest is None:
            axes.text(0.5, 0.5, "no descriptions", ha="center", transform=axes.transAxes)
            continue
        width = max(1, ceil((int(highest) + 1) / HISTOGRAM_BARS))
        edges = np.arange(0, int(highest) + 2 * width, width)
        counts, _ = np.histogram(np.minimum(column.to_numpy(), edges[-1] - 1), edges)
        axes.bar(edges[:-1], counts, width=width * 0.92, align="edge", color=BLUE)
        axes.axvline(float(median), color=ORANGE, linewidth=1.5)
        look: dict[str, Any] = {"xycoords": ("data", "axes fraction"), "textcoords": "offset points", "va": "top"}
        axes.annotate(f"median {int(median):,}", (float(median), 1), xytext=(5, -2), **look)
        axes.set(xlabel=f"{column.name} (last bar: {edges[-2]:,} or more)", ylabel="descriptions")
        axes.yaxis.set_major_formatter("{x:,.0f}")
        axes.set_xlim(0, edges[-1])
        axes.set_ylim(0, counts.max() * 1.18)  # space for the median's label
    return figure


def draw_kinds(counts: pl.DataFrame) -> Figure:
    """Draw the shares of the kinds of description in each file's rows, stacked."""
    figure = new_figure(WIDTH_IN, 1.5 + 0.32 * counts.height)
    labels = [f"{file.removesuffix('.csv')} ({count:,})" for file, count in counts.select("file", "rows").iter_rows()]
    parts = {kind: (colour, counts[kind].to_list()) for kind, colour in _KIND_COLOURS.items()}
    draw_shares(figure, labels, parts).set_xlabel("% of the file's rows; numbers are rows")
    return figure


PLACEHOLDERS: Final = "placeholders"
HEADINGS: Final = {
    "genres": "Genres",
    "combinations": "Most frequent combinations",
    "together": "Genres that occur together",
    "together_share": "Genres that occur together, as a share of each genre",
    "decades": "Genres by decade",
    "lengths": "Length of descriptions",
    "words": "Distinctive words of each genre",
    PLACEHOLDERS: "Placeholders by file",
}
EXHIBITS: Final = tuple(name for name in HEADINGS if name != PLACEHOLDERS)
WIDE: Final = ("together", "together_share", "decades")


@dataclass(frozen=True)
class Exhibit:
    """A picture with its sentence and table."""

    name: str  # of its files, without ending
    sentence: str  # the finding, plain text
    table: pl.DataFrame
    draw: Callable[[], Figure]


SENTENCES: Final = Path(__file__).with_name("sentences.jinja")
say = partial(fill, SENTENCES)  # a text of the exploration by its name there, and its data


def exhibit_movies(movies: pl.DataFrame, config: ExploreConfig) -> list[Exhibit]:
    """Return the exhibits of `EXHIBITS`, in that order, for one row per movie."""
    counts, combinations = tables.count_genres(movies), tables.count_combinations(movies)
    most, most_combinations = counts.head(config.max_genres), combinations.head(config.combinations)
    shown = most["genre"].to_list()
    without = movies.filter(pl.col("genres").list.len() == 0).height
    genres = say(
        "genres",
        counts=counts.to_dicts(),
        per_movie=counts["movies"].sum() / max(movies.height - without, 1),
        without=without,
        left_out=counts.height - most.height,
    )
    combined = say(
        "combinations",
        all=combinations.height,
        shown=most_combinations.height,
        covered=most_combinations["share"].sum(),
        once=combinations.filter(pl.col("movies") == 1).height,
    )
    lengths, decades = tables.measure_lengths(movies), tables.count_decades(movies)
    summary = tables.summarise_lengths(lengths)
    return [
        Exhibit("genres", genres, counts, partial(draw_counts, most, "genre")),
        Exhibit("combinations", combined, combinations, partial(draw_counts, most_combinations, "combination")),
        *_pairs(tables.count_pairs(movies, shown), shown),
        Exhibit("decades", _say_decades(movies, decades, shown), decades, partial(draw_decades, decades, shown)),
        Exhibit("lengths", say("lengths", words=summary.row(1, named=True)), summary, partial(draw_lengths, lengths)),
        _words(movies, shown, config),
    ]


def exhibit_placeholders(rows: pl.DataFrame) -> Exhibit:
    """Return the exhibit of the kinds of description in each listing."""
    counts = tables.count_kinds(rows)
    usable, n_rows = counts[WHOLE] + counts[CUT_OFF], max(rows.height, 1)
    shares = {"without": 1 - usable.sum() / n_rows, "cut_off": counts[CUT_OFF].sum() / n_rows}
    of_worst = 1 - usable[0] / counts["rows"][0]
    said = say("placeholders", rows=rows.height, **shares, worst=counts["file"][0], without_of_worst=of_worst)
    return Exhibit(PLACEHOLDERS, said, counts, partial(draw_kinds, counts))


def _pairs(pairs: NDArray[np.float64], genres: list[str]) -> list[Exhibit]:
    """Return the exhibits of the number of movies with two genres, and of its share of the movies of each."""
    shares, upper = tables.share_of_pairs(pairs), np.triu(pairs, 1)
    together = say("together", movies=0)
    if upper.any():
        row, column = np.unravel_index(int(upper.argmax()), upper.shape)
        possible = len(genres) * (len(genres) - 1) // 2
        facts = {"movies": upper[row, column], "never": possible - np.count_nonzero(upper), "possible": possible}
        together = say("together", one=genres[row], other=genres[column], **facts)
    known = np.nan_to_num(shares)
    shared = say("together_share", share=0, fewest=FEWEST_FOR_A_SHARE)
    if known.any():
        row, column = np.unravel_index(int(known.argmax()), known.shape)
        back = None if np.isnan(shares[column, row]) else shares[column, row]
        shared = say("together_share", one=genres[row], other=genres[column], share=known[row, column], back=back)
    return [
        Exhibit(
            name, said, tables.table_of_pairs(values, genres), partial(draw_pairs, values, genres, is_share=is_share)
        )
        for name, said, values, is_share in (
            ("together", together, pairs, False),
            ("together_share", shared, shares, True),
        )
    ]


def _say_decades(movies: pl.DataFrame, counts: pl.DataFrame, shown: list[str]) -> str:
    """Say how many movies have a year, and which genre's share changes most between decades with enough movies."""
    dated = counts.select("decade", "decade_movies").unique()["decade_movies"].sum()
    enough = counts.filter(pl.col("genre").is_in(shown), pl.col("decade_movies") >= 5 * FEWEST_FOR_A_SHARE)
    wide = enough.pivot(on="genre", index="decade", values="share").sort("decade")
    if wide.height < 2:
        return say("decades", dated=dated, movies=movies.height, genre="")
    values = wide.drop("decade").fill_null(0.0).to_numpy()
    column = int(np.argmax(np.ptp(values, axis=0)))
    genre, shares = wide.columns[column + 1], values[:, column]
    ends = sorted((int(shares.argmin()), int(shares.argmax())))
    start, end = ((wide["decade"][row], shares[row]) for row in ends)
    return say("decades", dated=dated, movies=movies.height, genre=genre, start=start, end=end)


def _words(movies: pl.DataFrame, shown: list[str], config: ExploreConfig) -> Exhibit:
    counted = min(config.cloud_movies, movies.height)
    sample = movies.sample(counted, seed=config.seed) if counted < movies.height else movies
    table = tables.weigh_words(sample, shown, config.cloud_words)
    words = table.partition_by("genre", as_dict=True, maintain_order=True).items()
    weights = {genre: dict(rows.select("word", "weight").iter_rows()) for (genre,), rows in words}
    strongest = table.unique("genre", keep="first").sort("weight", "genre", descending=[True, False]).head(3)
    said = say("words", examples=strongest.select("genre", "word").rows())
    return Exhibit("words", said, table, partial(draw_clouds, weights, config.seed))
