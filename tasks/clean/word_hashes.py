"""Texts as the hashes of their words, many texts at a time. Owns what a word is; compares no texts.

A word is a run of letters and digits in any case. Its hash is made of its first eight bytes, its last eight and
nothing between: that tells apart all words of up to sixteen bytes and nearly all longer ones.
"""

from typing import Final, NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray

Hashes = NDArray[np.uint64]
NO_HASH: Final = np.uint64(2**64 - 1)

_BETWEEN_WORDS: Final = r"[^\p{L}\p{M}\p{N}]+"
# A letter's or digit's byte in lower case; 0 for every byte between words.
_WORD_BYTES: Final = bytes(
    ord(chr(byte).lower()) if byte < 128 and chr(byte).isalnum() else byte if byte >= 128 else 0 for byte in range(256)
)
_FIRST_BYTES: Final = np.array([2 ** (8 * length) - 1 for length in range(9)], dtype=np.uint64)
_EIGHT_BYTES: Final = 8
# Odd numbers without a pattern: the golden ratio's and the square root of two's first 64 bits.
_FACTOR: Final = np.uint64(0x9E3779B97F4A7C15)
_OTHER_FACTOR: Final = np.uint64(0x6A09E667F3BCC909)


class Words(NamedTuple):
    """The words of some texts, one after another: their hashes, and the number of the text that each is in."""

    hashes: Hashes
    text: NDArray[np.int64]
    n_texts: int


def simplify_others(texts: pl.Series) -> pl.Series:
    """Return texts with those that are not ASCII, which are few, in lower case and with spaces between the words."""
    others = (texts.str.len_bytes() != texts.str.len_chars()).arg_true()
    if others.is_empty():
        return texts
    simple = texts.gather(others).str.to_lowercase().str.replace_all(_BETWEEN_WORDS, " ")
    return texts.clone().scatter(others, simple)


def hash_words(texts: pl.Series) -> Words:
    """Return the hashes of the words of texts, none of them null and all as `simplify_others` leaves them."""
    joined, lengths = _join(texts)
    data = np.frombuffer(joined, dtype=np.uint8)
    is_word = data != 0
    edges = np.flatnonzero(is_word[1:] != is_word[:-1]) + 1
    begins, ends = edges[::2], edges[1::2]
    eights = np.ndarray(data.size - _EIGHT_BYTES + 1, dtype="<u8", buffer=joined, strides=(1,))  # from every byte on
    sizes = ends - begins
    hashes = _mix(eights[begins] & _FIRST_BYTES[np.minimum(sizes, _EIGHT_BYTES)])
    long = np.flatnonzero(sizes > _EIGHT_BYTES)
    hashes[long] += eights[ends[long] - _EIGHT_BYTES] * _OTHER_FACTOR + sizes[long].astype(np.uint64)
    first_bytes = np.cumsum(lengths + 1) - lengths + _EIGHT_BYTES - 1
    first_words = np.append(np.searchsorted(begins, first_bytes), begins.size)
    return Words(hashes, np.repeat(np.arange(lengths.size), np.diff(first_words)), lengths.size)


def hash_runs(words: Words, length: int) -> Hashes:
    """Return the hash of each word and those after it, `length` in all; `NO_HASH` where the text ends before."""
    count = max(words.hashes.size - length + 1, 0)
    runs = np.zeros(count, dtype=np.uint64)
    for place in range(length):
        runs *= _OTHER_FACTOR
        runs += words.hashes[place : place + count]
    runs = _mix(runs)
    runs[words.text[:count] != words.text[length - 1 :]] = NO_HASH
    return runs


def hash_wholes(words: Words) -> Hashes:
    """Return one hash of each text's words in their order, 0 for a text without words."""
    sizes = np.bincount(words.text, minlength=words.n_texts)
    first_words = np.cumsum(sizes) - sizes
    places = np.arange(words.hashes.size) - first_words[words.text]
    wholes = np.zeros(words.n_texts, dtype=np.uint64)
    if filled := np.flatnonzero(sizes).tolist():
        wholes[filled] = np.add.reduceat(words.hashes * (2 * places + 1).astype(np.uint64), first_words[filled])
    return wholes


def _join(texts: pl.Series) -> tuple[bytes, NDArray[np.int64]]:
    """Return the bytes of all texts, those of words in lower case and all others 0, and the length of each text.

    A zero stands between two texts and eight before the first and after the last.
    """
    margin = bytes(_EIGHT_BYTES)
    joined = "\0".join(texts.to_list()).encode().translate(_WORD_BYTES)
    return margin + joined + margin, texts.str.len_bytes().to_numpy().astype(np.int64)


def _mix(values: Hashes) -> Hashes:
    """Return hashes in which every bit depends on all lower bits of the values."""
    mixed = values ^ (values >> np.uint64(32))
    mixed *= _FACTOR
    mixed ^= mixed >> np.uint64(29)
    return mixed
