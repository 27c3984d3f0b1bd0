"""The rules of the pipeline. Owns the profile `default`, which mends the faults of `original`.

Beside the reasons that begin with "Mends", three faults are mended by how rows merge into movies: an id is one movie
under whatever names, so that no genre is lost with a second name; a placeholder never wins over a plot by its length;
and the site's tail does not count as length.
"""

from collections.abc import Sequence
from typing import Final

import polars as pl

from tasks import placeholders
from tasks.clean import genres, text
from tasks.clean.original import CRAWLED_TEXT, NEEDED, NO_GENRE, PLACEHOLDERS, SAME_DESCRIPTION
from tasks.clean.rules import Change, Drop, Profile

_TEXTS: Final = ("movie_name", "description")
_description = pl.col("description")
_is_truncated = pl.col("is_truncated")


def default_profile(excluded_genres: Sequence[str]) -> Profile:
    """Return the mended rules. Texts are tidied first, so that placeholders and equal texts are found as they read."""
    return Profile(
        row_rules=(
            Drop(
                "short_row",
                "Mends: a row with fewer fields than the header does not say which of them are missing.",
                pl.col("is_short"),
            ),
            Drop(
                "missing_value",
                "Id, name, genre or description is blank. Mends: a movie may be named 'None', 'Null' or 'NA'.",
                pl.any_horizontal(
                    ~pl.col(NEEDED).str.contains(placeholders.VISIBLE),
                    pl.col("movie_id", "genre", "description").is_in(placeholders.WORDS_FOR_NOTHING),
                ),
            ),
            Change(
                "genre_spelling",
                "Mends: a genre that differs from the site's in case or spaces alone, such as 'horror', is the site's.",
                {"genre": genres.spell_as_site(pl.col("genre"))},
                where=~pl.col("genre").str.contains(genres.SITE_TEXT),
            ),
            Drop(
                "excluded_genre",
                "One of the genres is excluded. Mends: the name of another genre may contain an excluded one's.",
                _has_genre(excluded_genres),
            ),
        ),
        identity=("movie_id",),
        preference=pl.when(_description.str.contains(placeholders.ANY_PLACEHOLDER))
        .then(0)
        .otherwise(_description.str.replace(placeholders.ANY_TAIL, "").str.len_chars()),
        movie_rules=(
            NO_GENRE,
            _WHOLE_CRAWLED_TEXT,
            HTML_ENTITIES,
            INVISIBLE_CHARACTERS,
            *_WITHOUT_SITE_MARKS,
            ODD_SPACES,
            _TRAILING_ELLIPSIS,
            *PLACEHOLDERS,
            _EMPTY_TEXT,
        ),
        table_rules=(SAME_DESCRIPTION,),
    )


def _has_genre(names: Sequence[str]) -> pl.Expr:
    if not names:
        return pl.lit(value=False)
    together = "|".join(pl.escape_regex(name) for name in names)
    return pl.col("genre").str.contains(rf"(?i)(?:^|,)\s*(?:{together})\s*(?:,|$)")


def _either_text(pattern: str, *, literal: bool = False) -> pl.Expr:
    return pl.any_horizontal(pl.col(_TEXTS).str.contains(pattern, literal=literal))


_crawled = pl.col("crawled").str
_crawled_is_plot = _crawled.contains(placeholders.VISIBLE) & ~_crawled.contains(placeholders.ANY_PLACEHOLDER)
_WHOLE_CRAWLED_TEXT: Final = Change(
    "crawled_text",
    f"{CRAWLED_TEXT.reason} Mends: a crawled placeholder does not replace a plot.",
    {
        "description": pl.when(_crawled_is_plot).then("crawled").otherwise("description"),
        "description_source": pl.when(_crawled_is_plot).then(pl.lit("crawl")).otherwise("description_source"),
    },
)
HTML_ENTITIES: Final = Change(
    "html_entities",
    "Mends: '&quot;' is a quotation mark, '&amp;#39;' an apostrophe.",
    {name: pl.col(name).map_batches(text.unescape_entities, pl.String, is_elementwise=True) for name in _TEXTS},
    where=_either_text("&", literal=True),
)
INVISIBLE_CHARACTERS: Final = Change(
    "invisible_characters",
    "Mends: controls, soft hyphens, zero-width and direction marks, and U+FFFD for bytes lost, are no text.",
    {name: pl.col(name).str.replace_all(placeholders.INVISIBLE, "") for name in _TEXTS},
    where=_either_text(placeholders.INVISIBLE),
)
_WITHOUT_SITE_MARKS: Final = (
    Change(
        "summary_tail",
        "'See full summary »' is the site's. Mends: however it is spaced, and the text is marked as cut off.",
        {
            "is_truncated": _is_truncated | _description.str.contains(placeholders.ANY_TAIL),
            "description": _description.str.replace(placeholders.ANY_TAIL, ""),
        },
        where=_description.str.contains(placeholders.ANY_TAIL),
    ),
    Change(
        "author_signature",
        "Mends: a signature is a name after an em dash after a line break or the end of a sentence, and an em dash "
        "inside a sentence is none; a text that is cut off has lost its signature.",
        {"description": _description.str.replace(text.SIGNATURE, "${1}")},
        where=~_is_truncated & _description.str.contains("—", literal=True),
    ),
)
ODD_SPACES: Final = Change(
    "odd_spaces",
    "Mends: line breaks, no-break spaces and runs of spaces are one space.",
    {name: text.tidy_spaces(pl.col(name)) for name in _TEXTS},
    where=_either_text(text.UNTIDY_SPACE),
)
_TRAILING_ELLIPSIS: Final = Change(
    "trailing_ellipsis",
    "Mends: a text that ends in three dots or an ellipsis was cut off, and is marked so.",
    {"is_truncated": _is_truncated | _description.str.contains(placeholders.ELLIPSIS)},
)
_EMPTY_TEXT: Final = Drop(
    "empty_text",
    "Mends: of the name or the description nothing is left, or of the latter only a word for nothing, such as 'N/A'.",
    (pl.col("movie_name") == "") | _description.is_in(placeholders.WORDS_FOR_NOTHING),
)
