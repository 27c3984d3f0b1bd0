"""The words that tell genres apart. Owns their weighting; draws nothing."""

from typing import Final

import polars as pl
from wordcloud import STOPWORDS

FEWEST_MOVIES: Final = 5  # a word in fewer of a genre's movies says nothing about the genre

# Letters that the pictures' font has; an apostrophe or hyphen inside a word belongs to it.
_WORD: Final = r"[\p{Latin}\p{Greek}\p{Cyrillic}]{3,}(?:['\x{2019}-][\p{Latin}\p{Greek}\p{Cyrillic}]+)*"
_PRIOR_MOVIES: Final = 500.0
_LEAST_Z: Final = 3.0  # below, a word may be there by chance, with thousands of words to choose from


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
