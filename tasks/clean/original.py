"""The earlier system's rules, to the letter, faults included. Owns the profile `original` and the rules both share.

For comparison with the earlier system's results: same input, same ids, genres and descriptions. What a text pattern
means, down to case and spaces, is as in Python's `re` and `str.strip`; a missing value is as in `pandas.read_csv`.
"""

from collections.abc import Sequence
from typing import Final

import polars as pl

from tasks import placeholders
from tasks.clean import text
from tasks.clean.rules import Change, Drop, DropText, Profile

NEEDED: Final = ("movie_id", "movie_name", "genre", "description")

_description = pl.col("description")

NO_GENRE: Final = Drop(
    "no_genre", "The genre text holds nothing but commas and spaces.", pl.col("genres").list.len() == 0
)
CRAWLED_TEXT: Final = Change(
    "crawled_text",
    "A crawled text, the movie's first that is not empty, is whole where the listing's is often cut off.",
    {
        "description": pl.coalesce("crawled", "description"),
        "description_source": pl.when(pl.col("crawled").is_null())
        .then("description_source")
        .otherwise(pl.lit("crawl")),
    },
)
PLACEHOLDERS: Final = tuple(
    DropText(name, f"A placeholder, not a plot: {what}.", placeholders.PLACEHOLDERS[name])
    for name, what in (
        ("add_a_plot", "contains 'add a plot'"),
        ("under_wraps", "a word begins 'under wrap'"),
        ("plot_unknown", "'plot' and later on the line 'unknown'"),
        ("plot_undisclosed", "'plot' and later on the line 'undisclosed'"),
        ("in_development", "contains 'in development'"),
        ("no_plot", "begins 'no plot'"),
        ("tba", "the word 'TBA'"),
        ("coming_soon", "begins 'coming soon'"),
        ("not_available", "begins 'not available', or says so of plot, outline, details or story"),
        ("not_disclosed", "begins 'not disclosed', or says so of plot, outline, details or story"),
        ("unavailable", "calls plot, story or synopsis 'unavailable'"),
    )
)
SAME_DESCRIPTION: Final = Drop(
    "same_description", "An earlier movie has the same description.", ~_description.is_first_distinct()
)


def original_profile(excluded_genres: Sequence[str]) -> Profile:
    """Return the earlier system's rules. Their order matters: placeholders are searched for in untouched texts."""
    excluded = "|".join(placeholders.any_case(pl.escape_regex(genre.lower())) for genre in excluded_genres)
    needed = pl.col(NEEDED)
    return Profile(
        row_rules=(
            Drop(
                "missing_value",
                "Id, name, genre or description is missing, or a word that pandas takes for that, such as 'None'.",
                pl.any_horizontal(needed.is_in(placeholders.WORDS_FOR_NOTHING)),
            ),
            Drop(
                "excluded_genre",
                "The genre text contains an excluded genre, in any case, anywhere.",
                pl.col("genre").str.contains(excluded) if excluded else pl.lit(value=False),
            ),
        ),
        identity=("movie_id", "movie_name"),
        # The longest of those that are not "Add a Plot".
        preference=pl.when(_description == "Add a Plot").then(0).otherwise(_description.str.len_chars()),
        movie_rules=(
            NO_GENRE,
            CRAWLED_TEXT,
            *PLACEHOLDERS,
            Change(
                "truncated",
                "The text was cut off. A mark alone, which the earlier system did not have.",
                {"is_truncated": _description.str.contains(f"{placeholders.EXACT_TAIL}|{placeholders.ELLIPSIS}")},
            ),
            Change(
                "summary_tail",
                "'See full summary »' after three or more dots is the site's, not the plot's.",
                {"description": _description.str.replace(placeholders.EXACT_TAIL, "")},
                where=_description.str.ends_with("»"),
            ),
            Change(
                "outer_spaces",
                "Spaces at the ends say nothing.",
                {"description": _description.str.strip_chars(text.SPACES)},
            ),
            Change(
                "author_signature",
                "All from the first em dash after the last line break, which is taken for the author's signature.",
                {"description": _description.str.replace(text.FROM_LAST_EM_DASH, "").str.strip_chars(text.SPACES)},
                where=_description.str.contains("—", literal=True),
            ),
        ),
        table_rules=(
            SAME_DESCRIPTION,
            Drop(
                "same_id",
                "An earlier movie has the same id and another name.",
                ~pl.col("movie_id").is_first_distinct(),
            ),
        ),
    )
