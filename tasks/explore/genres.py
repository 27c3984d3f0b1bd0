"""How often genres occur, alone, together and over time. Owns the counting; draws nothing.

All functions take one row a movie, with `genres` (list of text) and where needed `year`.
"""

from typing import Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

YEARS: Final = (1870, 2049)  # a year outside is a mistake
FEWEST_FOR_A_SHARE: Final = 20  # movies below which a share is mostly chance


def count_genres(movies: pl.DataFrame) -> pl.DataFrame:
    """Count movies per genre: `genre`, `movies`, `share` of all movies that have any; the most frequent genre first."""
    with_genre = movies.filter(pl.col("genres").list.len() > 0)
    return (
        with_genre.select(pl.col("genres").explode().alias("genre"))
        .group_by("genre")
        .agg(pl.len().cast(pl.Int64).alias("movies"))
        .with_columns(share=pl.col("movies") / max(with_genre.height, 1))
        .sort("movies", "genre", descending=[True, False])
    )


def count_pairs(movies: pl.DataFrame, genres: list[str]) -> NDArray[np.float64]:
    """Count movies that have both of two genres: symmetric, with each genre alone on the diagonal."""
    member = movies.select(pl.col("genres").list.contains(genre).cast(pl.Float32).alias(genre) for genre in genres)
    matrix = member.fill_null(0).to_numpy()
    return np.asarray((matrix.T @ matrix).round(), dtype=np.float64)


def share_of_pairs(pairs: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return per cent of each row's genre that also have the column's genre.

    NaN on the diagonal and in the rows of genres with fewer movies than `FEWEST_FOR_A_SHARE`.
    """
    alone = np.diag(pairs)[:, np.newaxis]
    shares = np.divide(100 * pairs, alone, out=np.full_like(pairs, np.nan), where=alone >= FEWEST_FOR_A_SHARE)
    np.fill_diagonal(shares, np.nan)
    return shares


def table_of_pairs(values: NDArray[np.float64], genres: list[str]) -> pl.DataFrame:
    """Return a genres x genres array as a table with the row's genre in `genre`."""
    columns = {genre: pl.Series(values[:, index]).fill_nan(None) for index, genre in enumerate(genres)}
    return pl.DataFrame({"genre": genres, **columns})


def count_combinations(movies: pl.DataFrame) -> pl.DataFrame:
    """Count movies per exact set of genres: `combination` (joined by ` + `), `movies`, `share`; most frequent first."""
    with_genre = movies.filter(pl.col("genres").list.len() > 0)
    return (
        with_genre.group_by(pl.col("genres").list.sort().list.join(" + ").alias("combination"))
        .agg(pl.len().cast(pl.Int64).alias("movies"))
        .with_columns(share=pl.col("movies") / max(with_genre.height, 1))
        .sort("movies", "combination", descending=[True, False])
    )


def count_decades(movies: pl.DataFrame) -> pl.DataFrame:
    """Count movies per decade and genre: `decade`, `genre`, `movies`, `share` of the decade's movies; by decade.

    Movies without a genre or without a year from `YEARS` are left out.
    """
    dated = movies.filter(pl.col("genres").list.len() > 0, pl.col("year").is_between(*YEARS))
    dated = dated.select("genres", decade=pl.col("year") // 10 * 10)
    totals = dated.group_by("decade").agg(pl.len().cast(pl.Int64).alias("decade_movies"))
    return (
        dated.explode("genres")
        .group_by("decade", pl.col("genres").alias("genre"))
        .agg(pl.len().cast(pl.Int64).alias("movies"))
        .join(totals, on="decade")
        .with_columns(share=pl.col("movies") / pl.col("decade_movies"))
        .sort("decade", "genre")
    )
