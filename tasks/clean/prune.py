"""Rules that leave whole movies out because their descriptions teach little. Owns which there are and their order.

They come after all other rules, so that with them off the result is what it was, and only if they are asked for.
"""

from typing import Final

import polars as pl

from tasks.clean.config import PruneConfig
from tasks.clean.english import is_foreign
from tasks.clean.gibberish import is_gibberish
from tasks.clean.rules import Drop, DropText, Rule
from tasks.placeholders import SPACE

# Of the making of a film, not of its plot. Only where a word begins: "attracted by" is no credit.
PRODUCTION_PHRASES: Final = ("directed by", "produced by", "starring", "stars as", "filmed in", "acted by")

_description = pl.col("description")
_n_words = _description.str.count_matches(rf"[^{SPACE[1:-1]}]+")


def prune_rules(config: PruneConfig) -> tuple[Rule, ...]:
    """Return the rules that are asked for."""
    rules: list[Rule] = []
    if config.min_words:
        reason = f"The description has fewer than {config.min_words} words."
        rules.append(Drop("too_few_words", reason, _n_words < config.min_words))
    if config.max_words:
        reason = f"The description has more than {config.max_words} words."
        rules.append(Drop("too_many_words", reason, _n_words > config.max_words))
    if config.production_phrases:
        reason = f"The description tells of the making: {', '.join(PRODUCTION_PHRASES)}."
        rules.append(DropText("production_phrase", reason, rf"(?i)\b(?:{'|'.join(PRODUCTION_PHRASES)})"))
    if config.gibberish:
        reason = "The letters of the description follow one another as in no language."
        rules.append(Drop("gibberish", reason, _description.map_batches(is_gibberish, pl.Boolean)))
    if config.not_english:
        reason = "Most words of the description are not English, or most letters not Latin."
        rules.append(Drop("not_english", reason, _description.map_batches(is_foreign, pl.Boolean)))
    return tuple(rules)
