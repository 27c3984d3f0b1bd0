"""Texts that are not English. Owns the test and its bounds.

A text is English if at least half of its words are in the English dictionary of simplemma. Words that begin with a
capital do not count, since names are of every language; and the commonest words of other languages are not English,
though the dictionary has them as loans. Texts with fewer than `FEWEST_WORDS` words that count are not judged by them,
but any text is foreign whose letters are mostly of another script than the Latin.

Measured on 22,821 real descriptions, of which all with a share of known words below 0.75 were read: the 28 in other
languages (Spanish, French, Italian, Hungarian, Romanian, Finnish) and one of keyboard runs are at 0.37 or below; the
lowest English one is at 0.56, and one in a hundred is below 0.88.
"""

from typing import Final

import polars as pl

LEAST_KNOWN: Final = 0.5
FEWEST_WORDS: Final = 5
SLICE_TEXTS: Final = 50_000

# Articles, prepositions and conjunctions that no English sentence needs.
LOANS: Final = (
    "la", "le", "les", "des", "du", "de", "et", "un", "une", "en", "el", "los", "las", "il", "di", "da", "che", "der",
    "das", "und", "von", "que", "por", "para", "con", "su", "se", "si", "na", "os", "um", "uma",
)  # fmt: skip
_COMMON_WORD: Final = r"\b[\p{Ll}\p{Lo}][\p{L}\p{M}]+"  # of at least two letters


def is_foreign(texts: pl.Series) -> pl.Series:
    """Tell of each text whether it is not English."""
    parts = [_is_foreign(some.to_series()) for some in texts.to_frame().iter_slices(SLICE_TEXTS)]
    return pl.concat(parts) if parts else pl.Series(texts.name, [], pl.Boolean)


def _is_foreign(texts: pl.Series) -> pl.Series:
    words = texts.str.extract_all(_COMMON_WORD)
    known = _known(words.explode().drop_nulls().unique().sort())
    n_words, n_known = words.list.len(), words.list.eval(pl.element().is_in(known.implode())).list.sum()
    has_few_known = (n_words >= FEWEST_WORDS) & (n_known < LEAST_KNOWN * n_words)
    n_letters, n_latin = texts.str.count_matches(r"\p{L}"), texts.str.count_matches(r"\p{Latin}")
    return has_few_known | (2 * n_latin < n_letters)


def _known(words: pl.Series) -> pl.Series:
    """Return those of some words that are English."""
    import simplemma  # noqa: PLC0415 - reads its dictionary, on the first word

    is_known = [word not in LOANS and simplemma.is_known(word, lang="en") for word in words]
    return words.filter(pl.Series(is_known, dtype=pl.Boolean))
