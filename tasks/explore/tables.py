"""Tables about the data: genres alone, together and over time, distinctive words, descriptions, contradicting rows.

Unless stated otherwise, functions take one row per movie with `genres` (list of text), and if needed `year` and
`description`.
"""

from typing import Final

import numpy as np
import polars as pl
from numpy.typing import NDArray
from wordcloud import STOPWORDS

YEARS: Final = (1870, 2049)  # others are errors
FEWEST_FOR_A_SHARE: Final = 20  # with fewer movies a share is mostly chance


def count_genres(movies: pl.DataFrame) -> pl.DataFrame:
    """Count movies per genre: `genre`, `movies`, `share` of all movies that have any; the most frequent genre first."""
    return _count(movies, pl.col("genres").explode().alias("genre"))


def count_combinations(movies: pl.DataFrame) -> pl.DataFrame:
    """Count movies per exact set of genres: `combination` (joined by ` + `), `movies`, `share`; most frequent first."""
    return _count(movies, pl.col("genres").list.sort().list.join(" + ").alias("combination"))


def _count(movies: pl.DataFrame, value: pl.Expr) -> pl.DataFrame:
    with_genre = movies.filter(pl.col("genres").list.len() > 0)
    counts = with_genre.select(value).to_series().value_counts(name="movies")
    return (
        counts.with_columns(pl.col("movies").cast(pl.Int64))
        .with_columns(share=pl.col("movies") / max(with_genre.height, 1))
        .sort("movies", counts.columns[0], descending=[True, False])
    )


def count_pairs(movies: pl.DataFrame, genres: list[str]) -> NDArray[np.float64]:
    """Count movies that have both of two genres: symmetric, with each genre alone on the diagonal."""
    member = movies.select(pl.col("genres").list.contains(genre).cast(pl.Float32).alias(genre) for genre in genres)
    matrix = member.fill_null(0).to_numpy()
    return np.asarray((matrix.T @ matrix).round(), dtype=np.float64)


def share_of_pairs(pairs: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return what % of the movies of each row's genre also have the column's genre.

    NaN on the diagonal and in the rows of genres with fewer movies than `FEWEST_FOR_A_SHARE`.
    """
    alone = np.diag(pairs)[:, np.newaxis]
    shares = np.divide(100 * pairs, alone, out=np.full_like(pairs, np.nan), where=alone >= FEWEST_FOR_A_SHARE)
    np.fill_diagonal(shares, np.nan)
    return shares


def table_of_pairs(values: NDArray[np.float64], genres: list[str]) -> pl.DataFrame:
    """Return a genres × genres array as a table with the row's genre in `genre`."""
    columns = {genre: pl.Series(values[:, index]).fill_nan(None) for index, genre in enumerate(genres)}
    return pl.DataFrame({"genre": genres, **columns})


def count_decades(movies: pl.DataFrame) -> pl.DataFrame:
    """Count movies with year (of `YEARS`) and genre: `decade`, `genre`, `movies`, `share` of the decade; by decade."""
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


FEWEST_MOVIES: Final = 5  # in fewer movies of a genre, a word is chance

# Letters that the pictures' font has; an apostrophe or hyphen inside a word belongs to it.
_WORD: Final = r"[\p{Latin}\p{Greek}\p{Cyrillic}]{3,}(?:['\x{2019}-][\p{Latin}\p{Greek}\p{Cyrillic}]+)*"
_PRIOR_MOVIES: Final = 500.0
_LEAST_Z: Final = 3.0  # less can be chance, with thousands of words to choose from


def weigh_words(movies: pl.DataFrame, genres: list[str], most: int) -> pl.DataFrame:
    """Find the words that occur in a genre's descriptions more often than in the others.

    A word counts once per movie. Its weight is the difference of log odds between the genre's movies and all others,
    with the words' overall frequency as prior, times that difference's z-score: high for words both frequent and
    distinctive. Function words and differences that may be chance are left out.

    Returns:
        `genre`, `word`, `movies` (of the genre, with the word), `weight`; in the order of `genres`, of each the
        `most` with the highest weight. A genre without such a word has no row.

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
    in_genre, everywhere = pl.col("movies").cast(pl.Float64), pl.col("all_movies").cast(pl.Float64)
    genre_words, all_words = in_genre.sum().over("genre"), int(overall["all_movies"].sum())
    prior = everywhere / all_words * _PRIOR_MOVIES
    in_others, other_words = everywhere - in_genre, all_words - genre_words
    log_odds = ((in_genre + prior) / (genre_words + _PRIOR_MOVIES - in_genre - prior)).log() - (
        (in_others + prior) / (other_words + _PRIOR_MOVIES - in_others - prior)
    ).log()
    deviation = (1 / (in_genre + prior) + 1 / (in_others + prior)).sqrt()
    return (
        per_genre.join(overall, on="word")
        .with_columns(log_odds=log_odds, z=log_odds / deviation)
        .filter(pl.col("movies") >= FEWEST_MOVIES, pl.col("z").is_finite(), pl.col("z") >= _LEAST_Z)
        .with_columns(weight=pl.col("log_odds") * pl.col("z"))
        .with_columns(pl.col("genre").cast(pl.Enum(genres)))
        .sort("genre", "weight", "word", descending=[False, True, False])
        .group_by("genre", maintain_order=True)
        .head(most)
        .select(pl.col("genre").cast(pl.String), "word", "movies", "weight")
    )


# Kinds of description, for this page only: the clean stage decides what to drop.
EMPTY, ADD_A_PLOT, OTHER_PLACEHOLDER = "empty", "Add a Plot", "other placeholder"
CUT_OFF, WHOLE = "cut off (See full summary)", "whole text"
KINDS: Final = (WHOLE, CUT_OFF, ADD_A_PLOT, OTHER_PLACEHOLDER, EMPTY)

_CUT_OFF_PATTERN: Final = r"See full (?:summary|synopsis)\s*»?\s*$"
_OTHER_PATTERN: Final = (
    r"(?i)\bunder wrap|\bplot\b.*\b(?:unknown|undisclosed)\b|\bin development\b|^no plot\b|\bTBA\b|^coming soon\b"
    r"|^not (?:available|disclosed)\b|\b(?:plot|outline|details|story)\b.*\bnot (?:available|disclosed)\b"
    r"|\b(?:plot|story|synopsis)\b.*\bunavailable\b"
)


def kind_of_description() -> pl.Expr:
    """Return a description's kind, one of `KINDS`."""
    text = pl.col("description").fill_null("").str.strip_chars()
    patterns = {"^$": EMPTY, r"(?i)\badd a plot\b": ADD_A_PLOT}
    patterns |= {_OTHER_PATTERN: OTHER_PLACEHOLDER, _CUT_OFF_PATTERN: CUT_OFF}
    kinds = (pl.when(text.str.contains(pattern)).then(pl.lit(kind)) for pattern, kind in patterns.items())
    return pl.coalesce(*kinds, pl.lit(WHOLE))


def is_text() -> pl.Expr:
    """Return whether a row's `kind` is a description of the movie, whole or cut off."""
    return pl.col("kind").is_in([WHOLE, CUT_OFF])


def without_tail(text: pl.Expr) -> pl.Expr:
    """Return descriptions without the "... See full summary »" of cut-off ones."""
    return text.str.replace(r"[.\s]*" + _CUT_OFF_PATTERN, "")


def count_kinds(rows: pl.DataFrame) -> pl.DataFrame:
    """Count rows by file and kind: `file`, `rows`, one column per kind; the file with the least text first."""
    per_kind = (pl.col("kind").eq(kind).sum().cast(pl.Int64).alias(kind) for kind in KINDS)
    counts = rows.group_by("file").agg(pl.len().cast(pl.Int64).alias("rows"), *per_kind)
    share_of_text = (pl.col(WHOLE) + pl.col(CUT_OFF)) / pl.col("rows")
    return counts.sort(share_of_text, "file")


def measure_lengths(movies: pl.DataFrame) -> pl.DataFrame:
    """Measure every description: `characters` and `words` (separated by spaces), one row each."""
    text = pl.col("description").drop_nulls()
    return movies.select(text).select(
        characters=pl.col("description").str.len_chars().cast(pl.Int64),
        words=pl.col("description").str.count_matches(r"\S+").cast(pl.Int64),
    )


def summarise_lengths(lengths: pl.DataFrame) -> pl.DataFrame:
    """Return `measure`, `descriptions`, `shortest`, three quartiles, `mean` and `longest` of each column."""
    quartiles = {"lower_quartile": 0.25, "median": 0.5, "upper_quartile": 0.75}
    return pl.DataFrame(
        {"measure": column.name, "descriptions": column.len(), "shortest": column.min()}
        | {name: column.quantile(share, "nearest") for name, share in quartiles.items()}
        | {"mean": column.mean(), "longest": column.max()}
        for column in lengths
    )


KEYS: Final = ("id", "name")
VALUES: Final = ("genres", "names", "descriptions")
CONFLICTS: Final = tuple((key, value) for key in KEYS for value in VALUES)
BETWEEN: Final = " | "


def conflict_file(key: str, value: str) -> str:
    """Return the name of the table of one kind of conflict.

    >>> conflict_file("id", "genres")
    'same_id_different_genres.csv'
    """
    return f"same_{key}_different_{value}.csv"


def find_conflicts(rows: pl.DataFrame, key: str, value: str) -> pl.DataFrame:
    """Find the keys (of `KEYS`) that have more than one value (of `VALUES`) in rows of listings or movies.

    As keys, names are compared without case; as values, with it. Spaces around them do not count. Placeholders and
    empty fields are not values.

    Returns:
        `key`, `rows`, `different` (how many values), `values`, `movie_ids`, and `files` if `rows` has them; several
        values are joined by ` | `. The key with the most values comes first.
    """
    text = pl.when(is_text()).then("description") if "kind" in rows.columns else pl.col("description")
    values = {
        "genres": pl.col("genres").list.sort().list.join(", "),
        "names": pl.col("movie_name").str.strip_chars(),
        "descriptions": text.str.strip_chars(),
    }
    keys = {"id": pl.col("movie_id"), "name": pl.col("movie_name").str.to_lowercase().str.strip_chars()}
    files = [_joined("file").alias("files")] if "file" in rows.columns else []
    named = rows.with_columns(key=keys[key], value=values[value])
    present = named.filter((pl.col("key") != "") & (pl.col("value") != ""))
    several = present.group_by("key").agg(pl.col("value").n_unique().alias("different")).filter(pl.col("different") > 1)
    return (
        present.join(several, on="key", how="semi")
        .group_by("key")
        .agg(
            pl.len().cast(pl.Int64).alias("rows"),
            pl.col("value").n_unique().cast(pl.Int64).alias("different"),
            _joined("value").alias("values"),
            _joined("movie_id").alias("movie_ids"),
            *files,
        )
        .sort("different", "rows", "key", descending=[True, True, False])
    )


def _joined(column: str) -> pl.Expr:
    return pl.col(column).drop_nulls().unique().sort().str.join(BETWEEN)
