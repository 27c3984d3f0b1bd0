"""The rules for any table. Owns which there are and their order: those that make sense for whatever the text is."""

from typing import Final

import polars as pl

from tasks import placeholders
from tasks.clean.config import CleanConfig
from tasks.clean.default import HTML_ENTITIES, INVISIBLE_CHARACTERS, ODD_SPACES
from tasks.clean.original import SAME_DESCRIPTION
from tasks.clean.prune import prune_rules
from tasks.clean.rules import Drop, Profile
from tasks.errors import ConfigError

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
                pl.col("description").str.strip_chars().is_in(placeholders.WORDS_FOR_NOTHING),
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
