"""Movies that tell the same text, so that no split puts a text on both sides. Owns what counts as the same.

Texts are compared by their letters and digits alone: in lower case, with one space for whatever stands between words.
"""

from typing import Final

import polars as pl

_BETWEEN_WORDS: Final = r"[^\p{L}\p{M}\p{N}]+"


def normalised(text: pl.Expr) -> pl.Expr:
    """Return a text's words in lower case, with one space between them."""
    return text.str.to_lowercase().str.replace_all(_BETWEEN_WORDS, " ").str.strip_chars(" ")


def group_texts(movies: pl.DataFrame) -> pl.DataFrame:
    """Add `text_group`: the id of the first movie, in the order of the rows, that tells the same text.

    A movie that is alone with its text has its own id; so has one whose text holds no word.
    """
    words = normalised(pl.col("description"))
    own = pl.col("movie_id")
    return movies.with_columns(text_group=pl.when(words == "").then(own).otherwise(own.first().over(words)))
