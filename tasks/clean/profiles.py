"""The profiles of cleaning: `default`, `original` (the earlier system's rules) and the one for a user's own table.

`original` is for comparison with the earlier system's results: same input, same ids, genres and descriptions. Text
patterns mean exactly what they mean in Python's `re` and `str.strip`, and missing values are as in `pandas.read_csv`.

`default` fixes its faults; where a rule exists in both, a comment says what is fixed. Three faults are fixed by how
rows merge into movies: an id is one movie under any names, so that no genre is lost with a second name; a placeholder
never wins over a plot by its length; and the site's "See full summary" does not count as length.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Final, Literal

import polars as pl
from pydantic import BaseModel, Field

from tasks.clean import rules
from tasks.clean.prune import PruneConfig, prune_rules
from tasks.clean.rules import Change, Drop, DropText, Profile
from tasks.core import schema
from tasks.core.errors import ConfigError


class CleanConfig(BaseModel, frozen=True, extra="forbid"):
    """Options of the clean stage."""

    profile: Literal["default", "original"] = Field(
        "default", description="Rules: 'original' is exactly the earlier system's, 'default' fixes its faults."
    )
    disable: tuple[str, ...] = Field((), description="Rules to disable, such as 'author_signature'.")
    excluded_genres: tuple[str, ...] = Field(schema.EXCLUDED_GENRES, description="Drop rows with one of these genres.")
    prune: PruneConfig = Field(PruneConfig(), description="Movies to drop because of their descriptions.")


def build_profile(config: CleanConfig) -> Profile:
    """Return the configured profile with the enabled rules of pruning, without the disabled rules."""
    build = original_profile if config.profile == "original" else default_profile
    profile = replace(build(config.excluded_genres), prune_rules=prune_rules(config.prune))
    return profile.without(config.disable)


_NEEDED: Final = pl.col("movie_id", "movie_name", "genre", "description")
_description = pl.col("description")
_is_truncated = pl.col("is_truncated")

_SHORT_ROW: Final = Drop(
    "short_row", "The row has fewer fields than the header, so it is unknown which are missing.", pl.col("is_short")
)
_NO_GENRE: Final = Drop("no_genre", "The genre text has only commas and spaces.", pl.col("genres").list.len() == 0)
_PLACEHOLDERS: Final = tuple(
    DropText(name, f"The text is a placeholder: {what}.", schema.PLACEHOLDERS[name])
    for name, what in (
        ("add_a_plot", "contains 'add a plot'"),
        ("under_wraps", "contains 'under wraps'"),
        ("plot_unknown", "'plot' and later in the line 'unknown'"),
        ("plot_undisclosed", "'plot' and later in the line 'undisclosed'"),
        ("in_development", "contains 'in development'"),
        ("no_plot", "starts with 'no plot'"),
        ("tba", "contains 'TBA'"),
        ("coming_soon", "starts with 'coming soon'"),
        ("not_available", "starts with 'not available', or has it after plot, outline, details or story"),
        ("not_disclosed", "starts with 'not disclosed', or has it after plot, outline, details or story"),
        ("unavailable", "'plot', 'story' or 'synopsis' and later in the line 'unavailable'"),
    )
)
_SAME_DESCRIPTION: Final = Drop(
    "same_description", "An earlier movie has the same description.", ~_description.is_first_distinct()
)


def split_genres(texts: pl.Series) -> pl.DataFrame:
    """Return the distinct texts, `genre`, with `genres`, the sorted list of names in each."""
    names = pl.col("genre").str.split(",").list.eval(pl.element().str.strip_chars(rules.SPACES))
    names = names.list.eval(pl.element().filter(pl.element() != "").unique().sort())
    return texts.unique().to_frame("genre").select("genre", names.alias("genres"))


def _take_crawled(is_better: pl.Expr) -> Change:
    return Change(
        "crawled_text",
        "The movie has a crawled text, which is whole; that of the listing is often cut off.",
        {
            "description": pl.when(is_better).then("crawled").otherwise("description"),
            "description_source": pl.when(is_better).then(pl.lit("crawl")).otherwise("description_source"),
        },
    )


def original_profile(excluded_genres: Sequence[str]) -> Profile:
    """Return the earlier system's rules. Order matters: placeholders are searched in unchanged texts."""
    excluded = "|".join(schema.any_case(pl.escape_regex(genre.lower())) for genre in excluded_genres)
    return Profile(
        row_rules=(
            Drop(
                "missing_value",
                "Id, name, genre or description is missing, or a word that pandas reads as missing, such as 'None'.",
                pl.any_horizontal(_NEEDED.is_in(schema.MISSING_TEXTS)),
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
            _NO_GENRE,
            _take_crawled(pl.col("crawled").is_not_null()),
            *_PLACEHOLDERS,
            Change(
                "truncated",
                "The text was cut off; it is only marked, which the earlier system did not do.",
                {"is_truncated": _description.str.contains(f"{schema.EXACT_TAIL}|{schema.ELLIPSIS}")},
            ),
            Change(
                "summary_tail",
                "'See full summary »' after three or more dots is not part of the plot.",
                {"description": _description.str.replace(schema.EXACT_TAIL, "")},
                where=_description.str.ends_with("»"),
            ),
            Change("outer_spaces", "Spaces at both ends.", {"description": _description.str.strip_chars(rules.SPACES)}),
            Change(
                "author_signature",
                "Everything from the first em dash after the last line break counts as the author's signature.",
                {"description": _description.str.replace(rules.FROM_LAST_EM_DASH, "").str.strip_chars(rules.SPACES)},
                where=_description.str.contains("—", literal=True),
            ),
        ),
        table_rules=(
            _SAME_DESCRIPTION,
            Drop(
                "same_id", "An earlier movie has the same id and another name.", ~pl.col("movie_id").is_first_distinct()
            ),
        ),
    )


_TEXTS: Final = ("movie_name", "description")


def _either_text(pattern: str, *, literal: bool = False) -> pl.Expr:
    return pl.any_horizontal(pl.col(_TEXTS).str.contains(pattern, literal=literal))


_HTML_ENTITIES: Final = Change(
    "html_entities",
    "'&quot;' is a quotation mark, '&amp;#39;' an apostrophe.",
    {name: pl.col(name).map_batches(rules.unescape_entities, pl.String, is_elementwise=True) for name in _TEXTS},
    where=_either_text("&", literal=True),
)
_INVISIBLE_CHARACTERS: Final = Change(
    "invisible_characters",
    "Control characters, soft hyphens, zero-width and direction marks, and U+FFFD for lost bytes.",
    {name: pl.col(name).str.replace_all(schema.INVISIBLE, "") for name in _TEXTS},
    where=_either_text(schema.INVISIBLE),
)
_ODD_SPACES: Final = Change(
    "odd_spaces",
    "Line breaks, no-break spaces and runs of spaces become one space.",
    {name: rules.tidy_spaces(pl.col(name)) for name in _TEXTS},
    where=_either_text(rules.UNTIDY_SPACE),
)


def default_profile(excluded_genres: Sequence[str]) -> Profile:
    """Return the fixed rules. Texts are tidied first, so that placeholders and equal texts are found."""
    crawled = pl.col("crawled").str
    return Profile(
        row_rules=(
            _SHORT_ROW,
            Drop(  # fixed: a movie may be named 'None', 'Null' or 'NA'
                "missing_value",
                "Id, name, genre or description is blank.",
                pl.any_horizontal(
                    ~_NEEDED.str.contains(schema.VISIBLE),
                    pl.col("movie_id", "genre", "description").is_in(schema.MISSING_TEXTS),
                ),
            ),
            _spell_genres(),
            # Fixed: the name of another genre may contain that of an excluded one.
            Drop("excluded_genre", "One of the genres is excluded.", _has_genre(excluded_genres)),
        ),
        identity=("movie_id",),
        preference=pl.when(_description.str.contains(schema.ANY_PLACEHOLDER))
        .then(0)
        .otherwise(_description.str.replace(schema.ANY_TAIL, "").str.len_chars()),
        movie_rules=(
            _NO_GENRE,
            # Fixed: a crawled placeholder does not replace a plot.
            _take_crawled(crawled.contains(schema.VISIBLE) & ~crawled.contains(schema.ANY_PLACEHOLDER)),
            _HTML_ENTITIES,
            _INVISIBLE_CHARACTERS,
            Change(
                "summary_tail",
                "'See full summary »' is not part of the plot; the text is marked as cut off.",  # fixed: any spaces
                {
                    "is_truncated": _is_truncated | _description.str.contains(schema.ANY_TAIL),
                    "description": _description.str.replace(schema.ANY_TAIL, ""),
                },
                where=_description.str.contains(schema.ANY_TAIL),
            ),
            Change(
                "author_signature",
                "A name after an em dash after a line break or the end of a sentence is the author's signature.",
                {"description": _description.str.replace(rules.SIGNATURE, "${1}")},
                where=~_is_truncated & _description.str.contains("—", literal=True),  # a cut-off text has lost its own
            ),
            _ODD_SPACES,
            Change(
                "trailing_ellipsis",
                "A text that ends in three dots or an ellipsis is marked as cut off.",
                {"is_truncated": _is_truncated | _description.str.contains(schema.ELLIPSIS)},
            ),
            *_PLACEHOLDERS,
            Drop(
                "empty_text",
                "The name or the description is empty after cleaning, or the description is a word such as 'N/A'.",
                (pl.col("movie_name") == "") | _description.is_in(schema.MISSING_TEXTS),
            ),
        ),
        table_rules=(_SAME_DESCRIPTION,),
    )


def _spell_genres() -> Change:
    """Respell genres that differ from the site's only in case or spaces; any other genre stays."""
    names = (*schema.GENRES, *schema.EXCLUDED_GENRES)
    name = pl.element()
    spelling = name.str.replace_all(r"\s", "").str.to_lowercase()
    spelling = spelling.replace_strict({site.lower(): site for site in names}, default=None)
    spelled = pl.when(spelling != name.str.strip_chars()).then(spelling).otherwise(name)
    of_site = rf"\s*(?:{'|'.join(map(pl.escape_regex, names))})\s*"
    return Change(
        "genre_spelling",
        "A genre differs from the site's only in case or spaces, such as 'horror'.",
        {"genre": pl.col("genre").str.split(",").list.eval(spelled).list.join(",")},
        where=~pl.col("genre").str.contains(rf"\A{of_site}(?:,{of_site})*\z"),  # almost all are spelled as on the site
    )


def _has_genre(names: Sequence[str]) -> pl.Expr:
    if not names:
        return pl.lit(value=False)
    together = "|".join(pl.escape_regex(name) for name in names)
    return pl.col("genre").str.contains(rf"(?i)(?:^|,)\s*(?:{together})\s*(?:,|$)")


def table_profile(config: CleanConfig) -> Profile:
    """Return the rules for a user's own table; a ConfigError if an option for listings is changed."""
    for name in ("profile", "excluded_genres"):
        if getattr(config, name) != CleanConfig.model_fields[name].default:
            raise ConfigError(
                f"clean.{name} applies to listings only, not to your own table: leave it out. To leave out labels, "
                "use --without-genres or --table.min-rows."
            )
    is_blank = _description.str.strip_chars().is_in(schema.MISSING_TEXTS)
    return Profile(
        row_rules=(
            _SHORT_ROW,
            Drop("no_id", "The id is blank.", pl.col("movie_id") == ""),
            Drop("no_text", "The text is blank, or a word such as 'N/A'.", is_blank),
            Drop("no_label", "The row has no label.", pl.col("genres").list.len() == 0),
        ),
        identity=("movie_id",),
        preference=pl.lit(0),
        movie_rules=(
            _HTML_ENTITIES,
            _INVISIBLE_CHARACTERS,
            _ODD_SPACES,
            Drop("empty_text", "The text is empty after cleaning.", _description == ""),
        ),
        table_rules=(_SAME_DESCRIPTION,),
        prune_rules=prune_rules(config.prune),
    ).without(config.disable)
