"""What the exploration shows: each exhibit with its picture, its table and a sentence computed from the data."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from math import ceil
from typing import Final

import numpy as np
import polars as pl
from matplotlib.axes import Axes
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
    name_rows,
    new_figure,
    place_words,
)
from tasks.explore import tables
from tasks.explore.config import ExploreConfig
from tasks.explore.tables import ADD_A_PLOT, CUT_OFF, EMPTY, FEWEST_FOR_A_SHARE, KINDS, OTHER_PLACEHOLDER, WHOLE

# The pictures of the exploration as figures. Owns their form; counts nothing and writes no file.
#
# They are narrow and tall, so that their labels can still be read on a phone.


WIDTH_IN = 5.6
HISTOGRAM_BARS = 40

_SHARE_LABEL = f"per cent of the {{}} movies\nblank: none, grey: of fewer than {FEWEST_FOR_A_SHARE} movies"
_KIND_COLOURS = {WHOLE: BLUE, CUT_OFF: SKY, ADD_A_PLOT: ORANGE, OTHER_PLACEHOLDER: VERMILION, EMPTY: GREY}


def draw_counts(counts: pl.DataFrame, label: str) -> Figure:
    """Draw `movies` and `share` per value of the column `label` as bars, in the order of the rows."""
    figure = new_figure(WIDTH_IN, 0.6 + 0.25 * counts.height)
    rows = counts.select("movies", "share").iter_rows()
    notes = [f"{movies:,}  ({f'{share:.1%}' if share >= 0.0005 else '<0.1%'})" for movies, share in rows]
    draw_bars(figure.add_subplot(), counts[label].to_list(), counts["movies"].to_list(), notes)
    return figure


def draw_pairs(values: NDArray[np.float64], genres: list[str], *, is_share: bool) -> Figure:
    """Draw how often genres go together: movies on a logarithmic colour scale, or per cent of the row's genre."""
    side = 1.6 + 0.3 * len(genres)
    figure = new_figure(side, side)
    axes = figure.add_subplot()
    draw_heat_map(axes, values, genres, genres, logarithmic=not is_share)
    axes.set_xlabel(_SHARE_LABEL.format("row's") if is_share else "movies; diagonal: all of the genre; blank: none")
    return figure


def draw_decades(decades: pl.DataFrame, genres: list[str]) -> Figure:
    """Draw each genre's share of each decade's movies, in per cent; below each decade stands its number of movies."""
    totals = decades.select("decade", "decade_movies").unique().sort("decade")
    shown = totals["decade"].to_list()
    shares = {(decade, genre): share for decade, genre, share in decades.select("decade", "genre", "share").iter_rows()}
    values = np.array([[100 * shares.get((decade, genre), 0.0) for decade in shown] for genre in genres])
    values = values.reshape(len(genres), len(shown))
    values[:, (totals["decade_movies"] < FEWEST_FOR_A_SHARE).to_numpy()] = np.nan
    figure = new_figure(1.8 + 0.36 * max(len(shown), 6), 1.6 + 0.27 * len(genres))
    axes = figure.add_subplot()
    columns = [f"{decade}s: {count:,}" for decade, count in totals.iter_rows()]
    draw_heat_map(axes, values, genres, columns)
    axes.set_xlabel(_SHARE_LABEL.format("decade's"))
    return figure


def draw_lengths(lengths: pl.DataFrame) -> Figure:
    """Draw how long descriptions are, in characters and in words; the last bar gathers the longest hundredth."""
    figure = new_figure(WIDTH_IN, 5.4)
    for axes, column in zip(figure.subplots(2, 1), lengths, strict=True):
        _draw_histogram(axes, column)
    return figure


def draw_kinds(counts: pl.DataFrame) -> Figure:
    """Draw the shares of the kinds of description in each file's rows, stacked."""
    figure = new_figure(WIDTH_IN, 1.5 + 0.32 * counts.height)
    axes = figure.add_subplot()
    left = np.zeros(counts.height)
    for kind in KINDS:
        shares = (100 * counts[kind] / counts["rows"]).to_numpy()
        bars = axes.barh(
            np.arange(counts.height), shares, left=left, color=_KIND_COLOURS[kind], height=0.76, label=kind
        )
        texts = [f"{share:.0f}" if share >= 6 else "" for share in shares]
        axes.bar_label(bars, texts, label_type="center", fontsize=8, color="white" if kind == WHOLE else "black")
        left += shares
    rows = counts.select("file", "rows").iter_rows()
    name_rows(axes, [f"{file.removesuffix('.csv')}: {count:,}" for file, count in rows])
    axes.set_xlim(0, 100)
    axes.set_xlabel("per cent of the file's rows")
    figure.legend(loc="outside upper left", ncols=2, fontsize=9)
    return figure


def _draw_histogram(axes: Axes, lengths: pl.Series) -> None:
    median, highest = lengths.quantile(0.5, "nearest"), lengths.quantile(0.99, "nearest")
    if median is None or highest is None:
        axes.text(0.5, 0.5, "no descriptions", ha="center", transform=axes.transAxes)
        return
    width = max(1, ceil((int(highest) + 1) / HISTOGRAM_BARS))
    edges = np.arange(0, int(highest) + 2 * width, width)
    counts, _ = np.histogram(np.minimum(lengths.to_numpy(), edges[-1] - 1), edges)
    axes.bar(edges[:-1], counts, width=width * 0.92, align="edge", color=BLUE)
    axes.axvline(float(median), color=VERMILION, linewidth=1.5)
    axes.annotate(
        f"median {int(median):,}",
        (float(median), 1),
        xycoords=("data", "axes fraction"),
        xytext=(5, -2),
        textcoords="offset points",
        va="top",
        color="#A03F00",
    )
    axes.set_xlabel(f"{lengths.name} ({edges[-2]:,} or more in the last bar)")
    axes.set_ylabel("descriptions")
    axes.yaxis.set_major_formatter("{x:,.0f}")
    axes.set_xlim(0, edges[-1])
    axes.set_ylim(0, counts.max() * 1.18)  # room for the median's label


PLACEHOLDERS: Final = "placeholders"
EXHIBITS: Final = ("genres", "combinations", "together", "together_share", "decades", "lengths", "words")


@dataclass(frozen=True)
class Exhibit:
    """One picture with what belongs to it."""

    name: str  # of its files, without ending
    title: str
    sentence: str  # what to see, plain text
    table: pl.DataFrame
    draw: Callable[[], Figure]
    is_wide: bool = False  # too wide for a phone, so it scrolls sideways there


def exhibit_movies(movies: pl.DataFrame, config: ExploreConfig) -> list[Exhibit]:
    """Return the exhibits of `EXHIBITS`, in that order, for one row a movie."""
    counts = tables.count_genres(movies)
    shown = counts["genre"].head(config.max_genres).to_list()
    return [
        _genres(movies, counts.head(config.max_genres), counts),
        _combinations(movies, config.combinations),
        *_pairs(movies, shown),
        _decades(movies, shown),
        _lengths(movies),
        _words(movies, shown, config),
    ]


def exhibit_placeholders(rows: pl.DataFrame) -> Exhibit:
    """Return the exhibit of the kinds of description in each listing."""
    counts = tables.count_kinds(rows)
    usable = counts[tables.WHOLE] + counts[tables.CUT_OFF]
    lacking = 1 - usable.sum() / max(rows.height, 1)
    worst, worst_share = counts["file"][0], 1 - usable[0] / counts["rows"][0]
    cut = counts[tables.CUT_OFF].sum() / max(rows.height, 1)
    sentence = (
        f"{lacking:.0%} of {rows.height:,} rows say nothing about their movie and {cut:.0%} are cut off; "
        f"{worst} is the poorest file, with {worst_share:.0%} of its rows saying nothing."
    )
    return Exhibit(PLACEHOLDERS, "Placeholders by file", sentence, counts, partial(draw_kinds, counts))


def _genres(movies: pl.DataFrame, shown: pl.DataFrame, counts: pl.DataFrame) -> Exhibit:
    sentence = "No movie has a genre."
    if not counts.is_empty():
        first, last = counts.row(0, named=True), counts.row(-1, named=True)
        without = movies.filter(pl.col("genres").list.len() == 0).height
        per_movie = counts["movies"].sum() / (movies.height - without)
        left_out = f" The rarest {counts.height - shown.height} are not drawn." if counts.height > shown.height else ""
        sentence = (
            f"{first['genre']} is the most frequent of {counts.height} genres, in {first['share']:.0%} of the movies, "
            f"and {last['genre']} the rarest, with {last['movies']:,}; a movie has {per_movie:.2f} genres on average"
            f"{f', and {without:,} have none' if without else ''}.{left_out}"
        )
    return Exhibit("genres", "Genres", sentence, counts, partial(draw_counts, shown, "genre"))


def _combinations(movies: pl.DataFrame, most: int) -> Exhibit:
    counts = tables.count_combinations(movies)
    shown = counts.head(most)
    sentence = "No movie has a genre."
    if not counts.is_empty():
        sentence = (
            f"The {shown.height} most frequent of {counts.height:,} combinations cover {shown['share'].sum():.0%} "
            f"of the movies; {counts.filter(pl.col('movies') == 1).height:,} combinations occur once only."
        )
    draw = partial(draw_counts, shown, "combination")
    return Exhibit("combinations", "Most frequent combinations", sentence, counts, draw)


def _pairs(movies: pl.DataFrame, shown: list[str]) -> list[Exhibit]:
    pairs = tables.count_pairs(movies, shown)
    shares = tables.share_of_pairs(pairs)
    return [
        Exhibit(
            "together",
            "Genres that go together",
            _say_pairs(pairs, shown),
            tables.table_of_pairs(pairs, shown),
            partial(draw_pairs, pairs, shown, is_share=False),
            is_wide=True,
        ),
        Exhibit(
            "together_share",
            "Genres that go together, as a share of each genre",
            _say_shares(shares, shown),
            tables.table_of_pairs(shares, shown),
            partial(draw_pairs, shares, shown, is_share=True),
            is_wide=True,
        ),
    ]


def _say_pairs(pairs: NDArray[np.float64], shown: list[str]) -> str:
    upper = np.triu(pairs, 1)
    if not upper.any():
        return "No two genres go together."
    row, column = np.unravel_index(int(upper.argmax()), upper.shape)
    possible = len(shown) * (len(shown) - 1) // 2
    return (
        f"{shown[row]} and {shown[column]} go together most often, in {upper[row, column]:,.0f} movies; "
        f"{possible - np.count_nonzero(upper):,} of {possible:,} pairs never do."
    )


def _say_shares(shares: NDArray[np.float64], shown: list[str]) -> str:
    known = np.nan_to_num(shares)
    if not known.any():
        return f"No genre with {tables.FEWEST_FOR_A_SHARE} or more movies goes together with another."
    row, column = np.unravel_index(int(known.argmax()), known.shape)
    back = shares[column, row]
    answer = "" if np.isnan(back) else f", while {back:.0f}% of {shown[column]} is also {shown[row]}"
    return (
        f"{shown[row]} leans most on another genre: {known[row, column]:.0f}% of its movies are also {shown[column]}"
        f"{answer}."
    )


def _decades(movies: pl.DataFrame, shown: list[str]) -> Exhibit:
    counts = tables.count_decades(movies)
    visible = counts.filter(pl.col("genre").is_in(shown))
    dated = counts.select("decade", "decade_movies").unique()["decade_movies"].sum()
    sentence = f"{dated:,} of {movies.height:,} movies have a year. {_say_change(visible)}".strip()
    draw = partial(draw_decades, counts, shown)
    return Exhibit("decades", "Genres by decade", sentence, counts, draw, is_wide=True)


def _say_change(counts: pl.DataFrame) -> str:
    """Name the genre whose share moves most between two decades that have enough movies."""
    enough = counts.filter(pl.col("decade_movies") >= 5 * tables.FEWEST_FOR_A_SHARE)
    wide = enough.pivot(on="genre", index="decade", values="share").sort("decade")
    if wide.height < 2:
        return "No two decades have enough movies to compare."
    values = wide.drop("decade").fill_null(0.0).to_numpy()
    column = int(np.argmax(values.max(axis=0) - values.min(axis=0)))
    genre, shares = wide.columns[column + 1], values[:, column]
    start, end = sorted((int(shares.argmin()), int(shares.argmax())))
    verb = "rises" if shares[end] > shares[start] else "falls"
    return (
        f"{genre} changes most: it {verb} from {shares[start]:.0%} of the movies of the {wide['decade'][start]}s "
        f"to {shares[end]:.0%} of those of the {wide['decade'][end]}s."
    )


def _lengths(movies: pl.DataFrame) -> Exhibit:
    lengths = tables.measure_lengths(movies)
    summary = tables.summarise_lengths(lengths)
    sentence = "No movie has a description."
    if not lengths.is_empty():
        measured = summary.row(1, named=True)
        sentence = (
            f"Half of the {measured['descriptions']:,} descriptions have between {measured['lower_quartile']:,.0f} and "
            f"{measured['upper_quartile']:,.0f} words, the median {measured['median']:,.0f}; "
            f"the longest has {measured['longest']:,}, the shortest {measured['shortest']:,}."
        )
    return Exhibit("lengths", "Length of descriptions", sentence, summary, partial(draw_lengths, lengths))


def _words(movies: pl.DataFrame, shown: list[str], config: ExploreConfig) -> Exhibit:
    counted = min(config.cloud_movies, movies.height)
    sample = movies.sample(counted, seed=config.seed) if counted < movies.height else movies
    table = tables.weigh_words(sample, shown, config.cloud_words)
    weights: dict[str, dict[str, float]] = {genre: {} for genre in shown}
    for genre, word, weight in table.select("genre", "word", "weight").iter_rows():
        weights[genre][word] = weight
    strongest = (
        table.group_by("genre", maintain_order=True).first().sort("weight", "genre", descending=[True, False]).head(3)
    )
    telling = ", ".join(f"“{word}” for {genre}" for genre, word in strongest.select("genre", "word").iter_rows())
    sentence = (
        f"The words that set a genre apart from the others, larger where they do so more; most telling: {telling}."
    )
    if table.is_empty():
        sentence = "Too few descriptions to find words that set genres apart."

    def draw() -> Figure:
        return draw_clouds({genre: place_words(weights[genre], config.seed) for genre in shown})

    return Exhibit("words", "Telling words of each genre", sentence, table, draw)
