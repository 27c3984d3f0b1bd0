"""The words that tell genres apart, and clouds of them. Owns the weighting and the placing; draws no figure."""

from dataclasses import dataclass
from functools import cache
from math import ceil
from random import Random
from typing import Final

import numpy as np
import polars as pl
from PIL import ImageFont
from wordcloud import STOPWORDS
from wordcloud.wordcloud import IntegralOccupancyMap

from tasks.picture import font_file

CLOUD_WIDTH, CLOUD_HEIGHT = 360, 230  # units of PlacedWord
LARGEST, SMALLEST, GAP = 52, 15, 4
FEWEST_MOVIES: Final = 5  # a word in fewer of a genre's movies says nothing about the genre

# Letters that the pictures' font has; an apostrophe or hyphen inside a word belongs to it.
_WORD: Final = r"[\p{Latin}\p{Greek}\p{Cyrillic}]{3,}(?:['\x{2019}-][\p{Latin}\p{Greek}\p{Cyrillic}]+)*"
_PRIOR_MOVIES: Final = 500.0
_LEAST_Z: Final = 3.0  # below, a word may be there by chance, with thousands of words to choose from


@dataclass(frozen=True)
class PlacedWord:
    """A word's place in a cloud: left end of its baseline from the upper left corner, and its font's size."""

    word: str
    left: float
    baseline: float
    size: float


def weigh_words(movies: pl.DataFrame, genres: list[str], most: int) -> pl.DataFrame:
    """Find the words that occur in a genre's descriptions more often than in the others.

    A word counts once a movie. Its weight is the difference of log odds between the genre's movies and all others, with
    the words' overall frequency as prior, times that difference's z-score: high for words both frequent and telling.
    Function words are left out, and words that may be there by chance.

    Returns:
        `genre`, `word`, `movies` (of the genre, with the word), `weight`; per genre the `most` weightiest first,
        in the order of `genres`. A genre without such a word has no row.

    Source: Monroe, Colaresi and Quinn, "Fightin' Words", Political Analysis 16 (2008), section 3.5.1.
    """
    words = (
        movies.select(
            "genres", word=pl.col("description").fill_null("").str.to_lowercase().str.extract_all(_WORD).list.unique()
        )
        .explode("word")
        .filter(pl.col("word").is_in(STOPWORDS).not_())
        .drop_nulls("word")
    )
    overall = words.group_by("word").agg(pl.len().alias("all_movies")).filter(pl.col("all_movies") >= FEWEST_MOVIES)
    per_genre = (
        words.join(overall, on="word", how="semi")
        .explode("genres")
        .filter(pl.col("genres").is_in(genres))
        .group_by(pl.col("genres").alias("genre"), "word")
        .agg(pl.len().cast(pl.Int64).alias("movies"))
    )
    return (
        per_genre.join(overall, on="word")
        .with_columns(_odds_and_z(int(overall["all_movies"].sum())))
        .filter(pl.col("movies") >= FEWEST_MOVIES, pl.col("z").is_finite(), pl.col("z") >= _LEAST_Z)
        .with_columns(weight=pl.col("log_odds") * pl.col("z"))
        .with_columns(pl.col("genre").cast(pl.Enum(genres)))
        .sort("genre", "weight", "word", descending=[False, True, False])
        .group_by("genre", maintain_order=True)
        .head(most)
        .select(pl.col("genre").cast(pl.String), "word", "movies", "weight")
    )


def place_words(weights: dict[str, float], seed: int) -> list[PlacedWord]:
    """Arrange words in a cloud, larger ones for higher weights, none over another; what finds no room is left out.

    Only wordcloud's search for free places is used: its own arrangement measures words from the top of their letters
    but draws them from the top of the line, so that low ones run into each other.
    """
    places, chance = IntegralOccupancyMap(CLOUD_HEIGHT, CLOUD_WIDTH, None), Random(seed)  # noqa: S311  no secret
    taken = np.zeros((CLOUD_HEIGHT, CLOUD_WIDTH), dtype=np.uint8)
    placed = []
    highest = max(weights.values(), default=1.0)
    for word, weight in sorted(weights.items(), key=lambda item: (-item[1], item[0])):
        for size in range(max(round(LARGEST * (weight / highest) ** 0.5), SMALLEST), SMALLEST - 1, -2):
            left, top, right, bottom = _font(size).getbbox(word, anchor="ls")
            height, width = ceil(bottom - top) + 2 * GAP, ceil(right - left) + 2 * GAP
            corner = places.sample_position(height, width, chance)
            if corner is not None:
                row, column = corner
                taken[row : row + height, column : column + width] = 255
                places.update(taken, row, column)
                placed.append(PlacedWord(word, column + GAP - left, row + GAP - top, size))
                break
    return placed


@cache
def _font(size: int) -> ImageFont.FreeTypeFont:
    return ImageFont.truetype(str(font_file()), size)


def _odds_and_z(all_words: int) -> list[pl.Expr]:
    """Return `log_odds`, the difference of log odds, and `z`, its z-score, from `movies` and `all_movies`."""
    in_genre, everywhere = pl.col("movies").cast(pl.Float64), pl.col("all_movies").cast(pl.Float64)
    genre_words = in_genre.sum().over("genre")
    prior = everywhere / all_words * _PRIOR_MOVIES
    elsewhere, other_words = everywhere - in_genre, all_words - genre_words
    log_odds = ((in_genre + prior) / (genre_words + _PRIOR_MOVIES - in_genre - prior)).log() - (
        (elsewhere + prior) / (other_words + _PRIOR_MOVIES - elsewhere - prior)
    ).log()
    deviation = (1 / (in_genre + prior) + 1 / (elsewhere + prior)).sqrt()
    return [log_odds.alias("log_odds"), (log_odds / deviation).alias("z")]
