"""The rules for any table. Owns which there are and their order: those that make sense for whatever the text is."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

import polars as pl

from tasks.clean import rules
from tasks.clean.config import CleanConfig
from tasks.clean.prune import prune_rules
from tasks.clean.rules import Change, Drop, DropText, Profile
from tasks.core import parsing, schema
from tasks.core.errors import ConfigError

_BITS: Final = 63  # of a signed 64-bit integer, the sign left alone
_SITE_GENRES: Final = (*schema.GENRES, *schema.EXCLUDED_GENRES)
_ANY_SITE_GENRE: Final = f"(?:{'|'.join(pl.escape_regex(name) for name in _SITE_GENRES)})"
# A genre text that is spelled as on the site throughout, as almost all are.
SITE_TEXT: Final = rf"\A\s*{_ANY_SITE_GENRE}(?:\s*,\s*{_ANY_SITE_GENRE})*\s*\z"


def spell_as_site(text: pl.Expr) -> pl.Expr:
    """Spell those genres of a text that differ from the site's in case or spaces alone as the site does."""
    name = pl.element()
    spelling = name.str.replace_all(r"\s", "").str.to_lowercase()
    spelling = spelling.replace_strict({site.lower(): site for site in _SITE_GENRES}, default=None)
    spelled = pl.when(spelling != name.str.strip_chars()).then(spelling).otherwise(name)  # any other genre stays
    return text.str.split(",").list.eval(spelled).list.join(",")


class GenreCoder:
    """Turn genre texts such as `Action, Sci-Fi` into integer columns `genres_0`, `genres_1`, ... and back into lists.

    One column holds 63 genres; there are as many columns as the texts need.
    """

    def __init__(self, texts: pl.Series) -> None:
        """Learn the genres of some texts, repeated or not; each distinct text is parsed once."""
        distinct = texts.unique().sort()
        split = [_split(text) for text in distinct]
        self.names = sorted(set().union(*split))
        self.codes = {name: 1 << index for index, name in enumerate(self.names)}
        self.columns = [f"genres_{word}" for word in range(max(1, -(-len(self.names) // _BITS)))]
        self.bits = self._in_columns([sum(self.codes[name] for name in names) for names in split])
        self.bits.insert_column(0, distinct.alias("genre"))

    def encode(self, rows: pl.DataFrame) -> pl.DataFrame:
        """Replace the column `genre` by the integer columns; the order of the rows stays."""
        bits = rows.select("genre").join(self.bits, on="genre", how="left", maintain_order="left")
        return rows.drop("genre").hstack(bits.drop("genre"))

    def decode(self, movies: pl.DataFrame) -> pl.DataFrame:
        """Replace the integer columns by `genres`, sorted lists of names; each distinct set is spelled out once."""
        distinct = movies.select(self.columns).unique()
        sets = [sum(bits << (_BITS * word) for word, bits in enumerate(row)) for row in distinct.iter_rows()]
        lists = pl.Series("genres", [self._names(bits) for bits in sets], pl.List(pl.String))
        joined = movies.join(distinct.with_columns(lists), on=self.columns, how="left", maintain_order="left")
        return joined.drop(self.columns)

    def _in_columns(self, sets: Sequence[int]) -> pl.DataFrame:
        word = (1 << _BITS) - 1
        return pl.DataFrame(
            {column: [bits >> (_BITS * place) & word for bits in sets] for place, column in enumerate(self.columns)},
            schema=dict.fromkeys(self.columns, pl.Int64),
        )

    def _names(self, bits: int) -> list[str]:
        return [name for name in self.names if bits & self.codes[name]]


def _split(text: str) -> set[str]:
    return {name.strip() for name in text.split(",")} - {""}


# The earlier system's rules, to the letter, faults included. Owns the profile `original` and the rules both share.
#
# For comparison with the earlier system's results: same input, same ids, genres and descriptions. What a text pattern
# means, down to case and spaces, is as in Python's `re` and `str.strip`; a missing value is as in `pandas.read_csv`.


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
    DropText(name, f"A placeholder, not a plot: {what}.", parsing.PLACEHOLDERS[name])
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
    excluded = "|".join(parsing.any_case(pl.escape_regex(genre.lower())) for genre in excluded_genres)
    needed = pl.col(NEEDED)
    return Profile(
        row_rules=(
            Drop(
                "missing_value",
                "Id, name, genre or description is missing, or a word that pandas takes for that, such as 'None'.",
                pl.any_horizontal(needed.is_in(parsing.WORDS_FOR_NOTHING)),
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
                {"is_truncated": _description.str.contains(f"{parsing.EXACT_TAIL}|{parsing.ELLIPSIS}")},
            ),
            Change(
                "summary_tail",
                "'See full summary »' after three or more dots is the site's, not the plot's.",
                {"description": _description.str.replace(parsing.EXACT_TAIL, "")},
                where=_description.str.ends_with("»"),
            ),
            Change(
                "outer_spaces",
                "Spaces at the ends say nothing.",
                {"description": _description.str.strip_chars(rules.SPACES)},
            ),
            Change(
                "author_signature",
                "All from the first em dash after the last line break, which is taken for the author's signature.",
                {"description": _description.str.replace(rules.FROM_LAST_EM_DASH, "").str.strip_chars(rules.SPACES)},
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


# The rules of the pipeline. Owns the profile `default`, which mends the faults of `original`.
#
# Beside the reasons that begin with "Mends", three faults are mended by how rows merge into movies: an id is one movie
# under whatever names, so that no genre is lost with a second name; a placeholder never wins over a plot by its length;
# and the site's tail does not count as length.


_TEXTS: Final = ("movie_name", "description")
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
                    ~pl.col(NEEDED).str.contains(parsing.VISIBLE),
                    pl.col("movie_id", "genre", "description").is_in(parsing.WORDS_FOR_NOTHING),
                ),
            ),
            Change(
                "genre_spelling",
                "Mends: a genre that differs from the site's in case or spaces alone, such as 'horror', is the site's.",
                {"genre": spell_as_site(pl.col("genre"))},
                where=~pl.col("genre").str.contains(SITE_TEXT),
            ),
            Drop(
                "excluded_genre",
                "One of the genres is excluded. Mends: the name of another genre may contain an excluded one's.",
                _has_genre(excluded_genres),
            ),
        ),
        identity=("movie_id",),
        preference=pl.when(_description.str.contains(parsing.ANY_PLACEHOLDER))
        .then(0)
        .otherwise(_description.str.replace(parsing.ANY_TAIL, "").str.len_chars()),
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
_crawled_is_plot = _crawled.contains(parsing.VISIBLE) & ~_crawled.contains(parsing.ANY_PLACEHOLDER)
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
    {name: pl.col(name).map_batches(rules.unescape_entities, pl.String, is_elementwise=True) for name in _TEXTS},
    where=_either_text("&", literal=True),
)
INVISIBLE_CHARACTERS: Final = Change(
    "invisible_characters",
    "Mends: controls, soft hyphens, zero-width and direction marks, and U+FFFD for bytes lost, are no text.",
    {name: pl.col(name).str.replace_all(parsing.INVISIBLE, "") for name in _TEXTS},
    where=_either_text(parsing.INVISIBLE),
)
_WITHOUT_SITE_MARKS: Final = (
    Change(
        "summary_tail",
        "'See full summary »' is the site's. Mends: however it is spaced, and the text is marked as cut off.",
        {
            "is_truncated": _is_truncated | _description.str.contains(parsing.ANY_TAIL),
            "description": _description.str.replace(parsing.ANY_TAIL, ""),
        },
        where=_description.str.contains(parsing.ANY_TAIL),
    ),
    Change(
        "author_signature",
        "Mends: a signature is a name after an em dash after a line break or the end of a sentence, and an em dash "
        "inside a sentence is none; a text that is cut off has lost its signature.",
        {"description": _description.str.replace(rules.SIGNATURE, "${1}")},
        where=~_is_truncated & _description.str.contains("—", literal=True),
    ),
)
ODD_SPACES: Final = Change(
    "odd_spaces",
    "Mends: line breaks, no-break spaces and runs of spaces are one space.",
    {name: rules.tidy_spaces(pl.col(name)) for name in _TEXTS},
    where=_either_text(rules.UNTIDY_SPACE),
)
_TRAILING_ELLIPSIS: Final = Change(
    "trailing_ellipsis",
    "Mends: a text that ends in three dots or an ellipsis was cut off, and is marked so.",
    {"is_truncated": _is_truncated | _description.str.contains(parsing.ELLIPSIS)},
)
_EMPTY_TEXT: Final = Drop(
    "empty_text",
    "Mends: of the name or the description nothing is left, or of the latter only a word for nothing, such as 'N/A'.",
    (pl.col("movie_name") == "") | _description.is_in(parsing.WORDS_FOR_NOTHING),
)


_PROFILES: Final = {"default": default_profile, "original": original_profile}


def build_profile(config: CleanConfig) -> Profile:
    """Return the configured profile with the rules of pruning that are asked for, without the disabled ones.

    Raises:
        ConfigError: a disabled rule is not in the profile.
    """
    profile = replace(_PROFILES[config.profile](config.excluded_genres), prune_rules=prune_rules(config.prune))
    known = [rule.name for rule in profile.rules]
    if unknown := sorted(set(config.disable).difference(known)):
        raise ConfigError(
            f"clean.disable: profile '{config.profile}' has no rule {', '.join(unknown)}. "
            f"Choose among {', '.join(known)}."
        )
    return profile.without(config.disable)


_LISTINGS_ONLY: Final = ("profile", "excluded_genres")  # options of cleaning that say nothing about other tables


def table_profile(config: CleanConfig) -> Profile:
    """Return the rules for a table, with those of pruning that are asked for and without the disabled ones.

    Raises:
        ConfigError: a disabled rule does not exist, or an option for listings is changed.
    """
    if changed := [name for name in _LISTINGS_ONLY if getattr(config, name) != CleanConfig.model_fields[name].default]:
        raise ConfigError(
            f"clean.{changed[0]} is about listings and does nothing for a table of your own: leave it out. Labels are "
            "left out with --without-genres or --table.min-rows."
        )
    profile = Profile(
        row_rules=(
            Drop(
                "short_row",
                "A row with fewer fields than the header does not say which of them are missing.",
                pl.col("is_short"),
            ),
            Drop("no_id", "The id is blank.", pl.col("movie_id") == ""),
            Drop(
                "no_text",
                "The text is blank, or a word for nothing such as 'N/A'.",
                pl.col("description").str.strip_chars().is_in(parsing.WORDS_FOR_NOTHING),
            ),
            Drop("no_label", "The row has no label.", pl.col("genres").list.len() == 0),
        ),
        identity=("movie_id",),
        preference=pl.lit(0),
        movie_rules=(
            HTML_ENTITIES,
            INVISIBLE_CHARACTERS,
            ODD_SPACES,
            Drop("empty_text", "Nothing is left of the text.", pl.col("description") == ""),
        ),
        table_rules=(SAME_DESCRIPTION,),
        prune_rules=prune_rules(config.prune),
    )
    known = [rule.name for rule in profile.rules]
    if unknown := sorted(set(config.disable).difference(known)):
        raise ConfigError(f"clean.disable: tables have no rule {', '.join(unknown)}. Choose among {', '.join(known)}.")
    return profile.without(config.disable)
