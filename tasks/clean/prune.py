"""Optional rules, applied last, that drop movies with useless descriptions.

English: at least half of a text's words are in simplemma's English dictionary. Capitalised words are ignored, since
names are of every language; the commonest words of other languages are not English, although the dictionary has them as
loans. Texts with fewer than `FEWEST_WORDS` such words are not judged by them, but a text with mostly non-Latin letters
is foreign.

Gibberish: a model of the probability of each letter after two others is learnt from the words of the same dictionary
(learnt from the listings, keyboard runs in two texts of a hundred would teach it to let half of them pass). Everything
between words is one sign, every byte beyond ASCII another. A text's score is the mean natural logarithm of these
probabilities; docs/models.md has the measurements behind the bounds.
"""

from functools import cache
from typing import Final, Self

import numpy as np
import polars as pl
from numpy.typing import NDArray
from pydantic import BaseModel, Field, model_validator

from tasks.clean.rules import Drop, DropText, Rule
from tasks.core.schema import SPACE


class PruneConfig(BaseModel, frozen=True, extra="forbid"):
    """Which movies to drop because of their descriptions. Default: none."""

    min_words: int | None = Field(None, ge=1, description="Drop descriptions with fewer words; earlier: 10.")
    max_words: int | None = Field(None, ge=1, description="Drop descriptions with more words; earlier: 200.")
    production_phrases: bool = Field(False, description="Drop descriptions with 'directed by', 'filmed in' and so on.")
    gibberish: bool = Field(False, description="Drop gibberish descriptions.")
    not_english: bool = Field(False, description="Drop descriptions with mostly non-English words.")

    @model_validator(mode="after")
    def _bounds_leave_room(self) -> Self:
        if self.min_words and self.max_words and self.min_words > self.max_words:
            raise ValueError(f"min_words {self.min_words} is more than max_words {self.max_words}")
        return self


LEAST_KNOWN: Final = 0.5
FEWEST_WORDS: Final = 5
SLICE_TEXTS_FOREIGN: Final = 50_000

# Articles, prepositions and conjunctions that no English sentence needs.
LOANS: Final = (
    "la", "le", "les", "des", "du", "de", "et", "un", "une", "en", "el", "los", "las", "il", "di", "da", "che", "der",
    "das", "und", "von", "que", "por", "para", "con", "su", "se", "si", "na", "os", "um", "uma",
)  # fmt: skip
_COMMON_WORD: Final = r"\b[\p{Ll}\p{Lo}][\p{L}\p{M}]+"  # of at least two letters


def is_foreign(texts: pl.Series) -> pl.Series:
    """Return whether each text is not English."""
    import simplemma  # noqa: PLC0415 - reads its dictionary, on the first word

    found = [pl.Series(texts.name, [], pl.Boolean)]
    for some in texts.to_frame().iter_slices(SLICE_TEXTS_FOREIGN):
        words = some.to_series().str.extract_all(_COMMON_WORD)
        distinct = words.explode().drop_nulls().unique()
        is_known = [word not in LOANS and simplemma.is_known(word, lang="en") for word in distinct]
        known = distinct.filter(pl.Series(is_known, dtype=pl.Boolean)).implode()
        n_words, n_known = words.list.len(), words.list.eval(pl.element().is_in(known)).list.sum()
        n_letters, n_latin = (some.to_series().str.count_matches(kind) for kind in (r"\p{L}", r"\p{Latin}"))
        has_few_known = (n_words >= FEWEST_WORDS) & (n_known < LEAST_KNOWN * n_words)
        found.append(has_few_known | (2 * n_latin < n_letters))
    return pl.concat(found)


LEAST_SCORE: Final = -3.9
FEWEST_LETTERS: Final = 10
SLICE_TEXTS: Final = 20_000

_SIGNS: Final = 28  # between words, a to z, beyond ASCII
_BETWEEN_WORDS: Final = 0
_SIGN_OF_BYTE: Final = np.array(
    [ord(chr(byte).lower()) - 96 if byte < 128 and chr(byte).isalpha() else 27 * (byte > 127) for byte in range(256)],
    dtype=np.int32,
)
_PRIOR_COUNT: Final = 10.0  # of letters by their overall share, seen after any two others


def is_gibberish(texts: pl.Series) -> pl.Series:
    """Return whether each text has at least `FEWEST_LETTERS` letters and scores below `LEAST_SCORE`."""
    model, means = _learn(), [np.empty(0)]
    for some in texts.to_frame().iter_slices(SLICE_TEXTS):
        triples, text = _triples(some.to_series())
        counts = np.bincount(text, minlength=some.height)
        sums = np.bincount(text, weights=model[triples], minlength=some.height)
        means.append(np.where(counts >= FEWEST_LETTERS, sums / np.maximum(counts, 1), 0.0))
    return pl.Series(texts.name, np.concatenate(means) < LEAST_SCORE)


@cache
def _learn() -> NDArray[np.float64]:
    """Return the log probability of each sign after two others, by the index of the triple."""
    from simplemma.strategies import DefaultDictionaryFactory  # noqa: PLC0415 - reads megabytes

    words = pl.Series([str(word) for word in DefaultDictionaryFactory().get_dictionary("en")], dtype=pl.String)
    triples, _ = _triples(words)
    counts = np.bincount(triples, minlength=_SIGNS**3).reshape(-1, _SIGNS)
    shares = (counts.sum(axis=0) + 1) / (counts.sum() + _SIGNS)
    after_two = (counts + _PRIOR_COUNT * shares) / (counts.sum(axis=1, keepdims=True) + _PRIOR_COUNT)
    model: NDArray[np.float64] = np.log(after_two).ravel()
    return model


def _triples(texts: pl.Series) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
    """Return the index of each triple of signs around a letter, and the number of its text."""
    signs = _SIGN_OF_BYTE[np.frombuffer(("\n" + "\n".join(texts) + "\n").encode(), dtype=np.uint8)]
    lengths = texts.str.len_bytes().to_numpy().astype(np.int64) + 1
    text = np.append(np.repeat(np.arange(lengths.size), lengths), lengths.size - 1)  # a text's separator before it
    is_repeated = np.append(False, (signs[1:] == _BETWEEN_WORDS) & (signs[:-1] == _BETWEEN_WORDS))
    signs, text = signs[~is_repeated], text[~is_repeated]
    middles = np.flatnonzero(signs != _BETWEEN_WORDS)
    triples = (signs[middles - 1] * _SIGNS + signs[middles]) * _SIGNS + signs[middles + 1]
    return triples, text[middles]


# About the production, not the plot. Only at the beginning of a word: "attracted by" is not a credit.
PRODUCTION_PHRASES: Final = ("directed by", "produced by", "starring", "stars as", "filmed in", "acted by")

_description = pl.col("description")
_n_words = _description.str.count_matches(rf"[^{SPACE[1:-1]}]+")


def prune_rules(config: PruneConfig) -> tuple[Rule, ...]:
    """Return the enabled rules."""
    rules: list[Rule] = []
    if fewest := config.min_words:
        rules.append(Drop("too_few_words", f"The description has fewer than {fewest} words.", _n_words < fewest))
    if most := config.max_words:
        rules.append(Drop("too_many_words", f"The description has more than {most} words.", _n_words > most))
    if config.production_phrases:
        reason = f"The description is about the production: {', '.join(PRODUCTION_PHRASES)}."
        rules.append(DropText("production_phrase", reason, rf"(?i)\b(?:{'|'.join(PRODUCTION_PHRASES)})"))
    if config.gibberish:
        is_caught = _description.map_batches(is_gibberish, pl.Boolean)
        rules.append(Drop("gibberish", "The description is gibberish.", is_caught))
    if config.not_english:
        reason = "Most words of the description are not English, or most letters are not Latin."
        rules.append(Drop("not_english", reason, _description.map_batches(is_foreign, pl.Boolean)))
    return tuple(rules)
