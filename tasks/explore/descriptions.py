"""What descriptions are: text or placeholder, and how long. Owns the kinds and the measures; changes no description.

The kinds only describe the data; what is dropped for good is the clean stage's decision.
"""

from typing import Final

import polars as pl

EMPTY, ADD_A_PLOT, OTHER_PLACEHOLDER = "empty", "Add a Plot", "other placeholder"
CUT_OFF, WHOLE = "cut off (See full summary)", "whole text"
KINDS: Final = (WHOLE, CUT_OFF, ADD_A_PLOT, OTHER_PLACEHOLDER, EMPTY)

_CUT_OFF_PATTERN: Final = r"See full (?:summary|synopsis)\s*»?\s*$"
_OTHER_PATTERN: Final = "(?i)" + "|".join(
    (
        r"\bunder wrap",
        r"\bplot\b.*\b(?:unknown|undisclosed)\b",
        r"\bin development\b",
        r"^no plot\b",
        r"\bTBA\b",
        r"^coming soon\b",
        r"^not (?:available|disclosed)\b",
        r"\b(?:plot|outline|details|story)\b.*\bnot (?:available|disclosed)\b",
        r"\b(?:plot|story|synopsis)\b.*\bunavailable\b",
    )
)


def kind_of_description(column: str = "description") -> pl.Expr:
    """Return which of `KINDS` a description is."""
    text = pl.col(column).fill_null("").str.strip_chars()
    return (
        pl.when(text == "")
        .then(pl.lit(EMPTY))
        .when(text.str.contains(r"(?i)\badd a plot\b"))
        .then(pl.lit(ADD_A_PLOT))
        .when(text.str.contains(_OTHER_PATTERN))
        .then(pl.lit(OTHER_PLACEHOLDER))
        .when(text.str.contains(_CUT_OFF_PATTERN))
        .then(pl.lit(CUT_OFF))
        .otherwise(pl.lit(WHOLE))
    )


def is_text() -> pl.Expr:
    """Return whether a row's `kind` holds words about the movie, be they cut off."""
    return pl.col("kind").is_in([WHOLE, CUT_OFF])


def without_tail(text: pl.Expr) -> pl.Expr:
    """Return descriptions without the "... See full summary »" of those that are cut off."""
    return text.str.replace(r"[.\s]*" + _CUT_OFF_PATTERN, "")


def count_kinds(rows: pl.DataFrame) -> pl.DataFrame:
    """Count rows by file and kind: `file`, `rows`, one column per kind; the file with the least text first."""
    per_kind = (pl.col("kind").eq(kind).sum().cast(pl.Int64).alias(kind) for kind in KINDS)
    counts = rows.group_by("file").agg(pl.len().cast(pl.Int64).alias("rows"), *per_kind)
    share_of_text = (pl.col(WHOLE) + pl.col(CUT_OFF)) / pl.col("rows")
    return counts.sort(share_of_text, "file")


def measure_lengths(movies: pl.DataFrame) -> pl.DataFrame:
    """Measure every description that there is: `characters` and `words` (what spaces part), one row each."""
    text = pl.col("description").drop_nulls()
    return movies.select(text).select(
        characters=pl.col("description").str.len_chars().cast(pl.Int64),
        words=pl.col("description").str.count_matches(r"\S+").cast(pl.Int64),
    )


def summarise_lengths(lengths: pl.DataFrame) -> pl.DataFrame:
    """Return `measure`, `descriptions`, `shortest`, three quartiles, `mean` and `longest` of each column."""
    return pl.DataFrame(
        [
            {
                "measure": column.name,
                "descriptions": column.len(),
                "shortest": column.min(),
                "lower_quartile": column.quantile(0.25, "nearest"),
                "median": column.quantile(0.5, "nearest"),
                "upper_quartile": column.quantile(0.75, "nearest"),
                "mean": column.mean(),
                "longest": column.max(),
            }
            for column in lengths
        ],
    )


def say_text_groups(movies: pl.DataFrame) -> str:
    """Say how many movies tell the same text as another, or nearly, by the column `text_group`."""
    sizes = movies["text_group"].drop_nulls().value_counts()["count"]
    shared = sizes.filter(sizes > 1)
    if shared.is_empty():
        return "No two tell the same text."
    return (
        f"{shared.sum():,} of them tell the same text as another, or nearly, in {len(shared):,} groups of up to "
        f"{max(shared):,}; a group stays together when the movies are split."
    )
