"""What the exploration shows: each exhibit with its picture, its table and a sentence computed from the data."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Final

import numpy as np
import polars as pl
from matplotlib.figure import Figure
from numpy.typing import NDArray

from tasks.explore import descriptions, genres, pictures, words
from tasks.explore.config import ExploreConfig
from tasks.word_cloud import draw_clouds, place_words

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
    counts = genres.count_genres(movies)
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
    counts = descriptions.count_kinds(rows)
    usable = counts[descriptions.WHOLE] + counts[descriptions.CUT_OFF]
    lacking = 1 - usable.sum() / max(rows.height, 1)
    worst, worst_share = counts["file"][0], 1 - usable[0] / counts["rows"][0]
    cut = counts[descriptions.CUT_OFF].sum() / max(rows.height, 1)
    sentence = (
        f"{lacking:.0%} of {rows.height:,} rows say nothing about their movie and {cut:.0%} are cut off; "
        f"{worst} is the poorest file, with {worst_share:.0%} of its rows saying nothing."
    )
    return Exhibit(PLACEHOLDERS, "Placeholders by file", sentence, counts, partial(pictures.draw_kinds, counts))


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
    return Exhibit("genres", "Genres", sentence, counts, partial(pictures.draw_counts, shown, "genre"))


def _combinations(movies: pl.DataFrame, most: int) -> Exhibit:
    counts = genres.count_combinations(movies)
    shown = counts.head(most)
    sentence = "No movie has a genre."
    if not counts.is_empty():
        sentence = (
            f"The {shown.height} most frequent of {counts.height:,} combinations cover {shown['share'].sum():.0%} "
            f"of the movies; {counts.filter(pl.col('movies') == 1).height:,} combinations occur once only."
        )
    draw = partial(pictures.draw_counts, shown, "combination")
    return Exhibit("combinations", "Most frequent combinations", sentence, counts, draw)


def _pairs(movies: pl.DataFrame, shown: list[str]) -> list[Exhibit]:
    pairs = genres.count_pairs(movies, shown)
    shares = genres.share_of_pairs(pairs)
    return [
        Exhibit(
            "together",
            "Genres that go together",
            _say_pairs(pairs, shown),
            genres.table_of_pairs(pairs, shown),
            partial(pictures.draw_pairs, pairs, shown, is_share=False),
            is_wide=True,
        ),
        Exhibit(
            "together_share",
            "Genres that go together, as a share of each genre",
            _say_shares(shares, shown),
            genres.table_of_pairs(shares, shown),
            partial(pictures.draw_pairs, shares, shown, is_share=True),
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
        return f"No genre with {genres.FEWEST_FOR_A_SHARE} or more movies goes together with another."
    row, column = np.unravel_index(int(known.argmax()), known.shape)
    back = shares[column, row]
    answer = "" if np.isnan(back) else f", while {back:.0f}% of {shown[column]} is also {shown[row]}"
    return (
        f"{shown[row]} leans most on another genre: {known[row, column]:.0f}% of its movies are also {shown[column]}"
        f"{answer}."
    )


def _decades(movies: pl.DataFrame, shown: list[str]) -> Exhibit:
    counts = genres.count_decades(movies)
    visible = counts.filter(pl.col("genre").is_in(shown))
    dated = counts.select("decade", "decade_movies").unique()["decade_movies"].sum()
    sentence = f"{dated:,} of {movies.height:,} movies have a year. {_say_change(visible)}".strip()
    draw = partial(pictures.draw_decades, counts, shown)
    return Exhibit("decades", "Genres by decade", sentence, counts, draw, is_wide=True)


def _say_change(counts: pl.DataFrame) -> str:
    """Name the genre whose share moves most between two decades that have enough movies."""
    enough = counts.filter(pl.col("decade_movies") >= 5 * genres.FEWEST_FOR_A_SHARE)
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
    lengths = descriptions.measure_lengths(movies)
    summary = descriptions.summarise_lengths(lengths)
    sentence = "No movie has a description."
    if not lengths.is_empty():
        measured = summary.row(1, named=True)
        sentence = (
            f"Half of the {measured['descriptions']:,} descriptions have between {measured['lower_quartile']:,.0f} and "
            f"{measured['upper_quartile']:,.0f} words, the median {measured['median']:,.0f}; "
            f"the longest has {measured['longest']:,}, the shortest {measured['shortest']:,}."
        )
    return Exhibit("lengths", "Length of descriptions", sentence, summary, partial(pictures.draw_lengths, lengths))


def _words(movies: pl.DataFrame, shown: list[str], config: ExploreConfig) -> Exhibit:
    counted = min(config.cloud_movies, movies.height)
    sample = movies.sample(counted, seed=config.seed) if counted < movies.height else movies
    table = words.weigh_words(sample, shown, config.cloud_words)
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
