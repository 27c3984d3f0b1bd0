"""Groups of movies with the same or nearly the same text, so that no split puts a text on both sides.

Texts are compared by their words, that is runs of letters and digits in any case. Two movies are in one group if their
words are equal, or if they share at least `MIN_SHARED` shingles of three consecutive words and the Jaccard similarity
of their sets of shingles is at least `MIN_SIMILARITY`; groups are transitive.

Both bounds were chosen on 22,821 real descriptions: all 918,704 pairs that share a shingle of at most 200 movies were
compared, and those with a similarity of at least 0.3 read. The 44 pairs above both bounds are versions of one text or
parts of one series. Eight shared shingles and a similarity of 0.3 to 0.4 give eleven more: one story in other words.
With fewer shared shingles, up to a similarity of 0.67, many are different lives in one common phrase.

Candidates are found by winnowing: of every `WINDOW` runs of `RUN` consecutive words the one with the smallest hash is
the text's fingerprint, so two texts with `WINDOW + RUN - 1` consecutive words in common share one. On the same
descriptions it missed no pair above the bounds, nor any down to a similarity of 0.3. The cost grows with the number of
words: each text is compared only with the next few of the same fingerprint, such as a phrase of advertising.

Source: Schleimer, Wilkerson and Aiken, "Winnowing: local algorithms for document fingerprinting", SIGMOD 2003.
"""

from typing import Final, NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray

MIN_SIMILARITY: Final = 0.4
MIN_SHARED: Final = 8
SHINGLE: Final = 3
RUN: Final = 6
WINDOW: Final = 5
NEIGHBOURS: Final = 2
SLICE_MOVIES: Final = 10_000  # the arrays of their words fit a processor's cache
SLICE_PAIRS: Final = 20_000

Hashes = NDArray[np.uint64]
Indices = NDArray[np.int64]
NO_HASH: Final = np.uint64(2**64 - 1)

_BETWEEN_WORDS: Final = r"[^\p{L}\p{M}\p{N}]+"
# The lower-case byte of letters and digits; 0 for every byte between words.
_WORD_BYTES: Final = bytes(
    ord(chr(byte).lower()) if byte < 128 and chr(byte).isalnum() else byte if byte >= 128 else 0 for byte in range(256)
)
_EIGHT_BYTES: Final = 8
_FIRST_BYTES: Final = np.array([2 ** (8 * length) - 1 for length in range(_EIGHT_BYTES + 1)], dtype=np.uint64)
# Odd numbers without a pattern: the first 64 bits of the golden ratio and of the square root of two.
_FACTOR: Final = np.uint64(0x9E3779B97F4A7C15)
_OTHER_FACTOR: Final = np.uint64(0x6A09E667F3BCC909)


class Words(NamedTuple):
    """The words of some texts, in order: their hashes, and the number of each word's text."""

    hashes: Hashes
    text: Indices
    n_texts: int


def group_texts(movies: pl.DataFrame) -> pl.DataFrame:
    """Add `text_group`: the id of the first movie, in row order, with (nearly) the same text, often the movie's own."""
    texts = movies["description"]
    others = (texts.str.len_bytes() != texts.str.len_chars()).arg_true()
    if others.len():  # the few that are not ASCII
        simple = texts.gather(others).str.to_lowercase().str.replace_all(_BETWEEN_WORDS, " ")
        texts = texts.clone().scatter(others, simple)
    fingerprints, wholes = _fingerprint(texts)
    order = np.argsort(wholes, kind="stable")
    ordered = wholes[order]
    equal = np.flatnonzero((ordered[1:] == ordered[:-1]) & (ordered[1:] != 0))  # each with the next equal one
    equals = np.stack([order[equal], order[equal + 1]], axis=1)
    similar = _keep_similar(texts, _pair_neighbours(fingerprints, texts.len()))
    first = _first_of_each_group(texts.len(), np.concatenate([equals, similar]))
    return movies.with_columns(text_group=movies["movie_id"].gather(first))


def count_groups(movies: pl.DataFrame) -> dict[str, int]:
    """Return the number of groups of more than one movie, of the movies in them, and of those in the largest."""
    sizes = movies["text_group"].value_counts()["count"]
    shared = sizes.filter(sizes > 1)
    return {"groups": shared.len(), "movies": int(shared.sum()), "largest": max(shared, default=0)}


def _hash_words(texts: pl.Series) -> Words:
    """Return the hashes of the words of texts, which are ASCII or in lower case with single spaces.

    A hash is made of a word's first and last eight bytes and its length: it distinguishes all words of up to sixteen
    bytes and nearly all longer ones.
    """
    margin = bytes(_EIGHT_BYTES)
    joined = margin + "\0".join(texts.to_list()).encode().translate(_WORD_BYTES) + margin
    lengths = texts.str.len_bytes().to_numpy().astype(np.int64)
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


def _hash_runs(words: Words, length: int) -> Hashes:
    """Return the hash of each run of `length` words, by its first word; `NO_HASH` if the text ends before."""
    count = max(words.hashes.size - length + 1, 0)
    runs = np.zeros(count, dtype=np.uint64)
    for place in range(length):
        runs *= _OTHER_FACTOR
        runs += words.hashes[place : place + count]
    runs = _mix(runs)
    runs[words.text[:count] != words.text[length - 1 :]] = NO_HASH
    return runs


def _hash_wholes(words: Words) -> Hashes:
    """Return one hash of all words of each text in order, 0 for a text without words."""
    sizes = np.bincount(words.text, minlength=words.n_texts)
    first_words = np.cumsum(sizes) - sizes
    places = np.arange(words.hashes.size) - first_words[words.text]
    wholes = np.zeros(words.n_texts, dtype=np.uint64)
    if filled := np.flatnonzero(sizes).tolist():
        wholes[filled] = np.add.reduceat(words.hashes * (2 * places + 1).astype(np.uint64), first_words[filled])
    return wholes


def _mix(values: Hashes) -> Hashes:
    """Return values in which every bit depends on all lower bits."""
    mixed = values ^ (values >> np.uint64(32))
    mixed *= _FACTOR
    mixed ^= mixed >> np.uint64(29)
    return mixed


def _fingerprint(texts: pl.Series) -> tuple[Hashes, Hashes]:
    """Return all fingerprints, each with the number of its text in the low bits, and the hash of each whole text."""
    n_bits = np.uint64(texts.len().bit_length())
    fingerprints, wholes = [np.empty(0, np.uint64)], [np.empty(0, np.uint64)]
    for start in range(0, texts.len(), SLICE_MOVIES):
        words = _hash_words(texts.slice(start, SLICE_MOVIES))
        runs = _hash_runs(words, RUN)
        # Chosen are runs that are the smallest in one of their windows.
        smallest = _slide(np.minimum, np.append(runs, np.full(WINDOW - 1, NO_HASH)))
        greatest_smallest = _slide(np.maximum, np.append(np.zeros(WINDOW - 1, np.uint64), smallest))
        chosen = np.flatnonzero((runs == greatest_smallest) & (runs != NO_HASH))
        numbers = (words.text[chosen] + start).astype(np.uint64)
        fingerprints.append(runs[chosen] >> n_bits << n_bits | numbers)
        wholes.append(_hash_wholes(words))
    return np.concatenate(fingerprints), np.concatenate(wholes)


def _slide(fold: np.ufunc, values: Hashes) -> Hashes:
    """Return the minimum or maximum of every window, by folding it onto itself."""
    width = 1
    while width < WINDOW:
        step = min(width, WINDOW - width)
        values = fold(values[:-step], values[step:])
        width += step
    return values


def _pair_neighbours(fingerprints: Hashes, n_texts: int) -> Indices:
    """Return distinct pairs of texts that share a fingerprint, (n_pairs, 2): each with the next few only."""
    n_bits, numbers = np.uint64(n_texts.bit_length()), np.uint64((1 << n_texts.bit_length()) - 1)
    fingerprints.sort()
    pairs = [np.empty(0, np.uint64)]
    for distance in range(1, NEIGHBOURS + 1):
        earlier, later = fingerprints[:-distance], fingerprints[distance:]
        shared = np.flatnonzero((earlier ^ later) >> n_bits == 0)
        first, second = earlier[shared] & numbers, later[shared] & numbers
        pairs.append((first << np.uint64(32) | second)[first != second])
    distinct = np.unique(np.concatenate(pairs))
    return np.stack([distinct >> np.uint64(32), distinct & np.uint64(2**32 - 1)], axis=1).astype(np.int64)


def _keep_similar(texts: pl.Series, pairs: Indices) -> Indices:
    kept = [np.empty((0, 2), np.int64)]
    for start in range(0, len(pairs), SLICE_PAIRS):
        some = pairs[start : start + SLICE_PAIRS]
        numbers, places = np.unique(some, return_inverse=True)
        words = _hash_words(texts.gather(numbers))
        shared, either = _compare_shingles(words, places.reshape(-1, 2))
        kept.append(some[(shared >= MIN_SHARED) & (shared >= MIN_SIMILARITY * either)])
    return np.concatenate(kept)


def _compare_shingles(words: Words, pairs: Indices) -> tuple[Indices, Indices]:
    """Return the sizes of the intersection and of the union of the shingles of each pair of texts."""
    hashes = _hash_runs(words, SHINGLE)
    shingles = pl.DataFrame({"text": words.text[: hashes.size], "shingle": hashes})
    shingles = shingles.filter(pl.col("shingle") != NO_HASH).unique()
    sizes = np.bincount(shingles["text"], minlength=words.n_texts)
    first = pl.DataFrame({"pair": np.arange(len(pairs)), "text": pairs[:, 0], "other": pairs[:, 1]})
    in_first = first.join(shingles, on="text")
    in_both = in_first.join(shingles, left_on=("other", "shingle"), right_on=("text", "shingle"), how="semi")
    shared = np.bincount(in_both["pair"], minlength=len(pairs))
    return shared, sizes[pairs].sum(axis=1) - shared


def _first_of_each_group(n_texts: int, pairs: Indices) -> Indices:
    """Return for each text the smallest number in its connected component."""
    first = np.arange(n_texts)
    one, other = pairs[:, 0], pairs[:, 1]
    while (first[one] != first[other]).any():
        smallest = np.minimum(first[one], first[other])
        np.minimum.at(first, first[one], smallest)
        np.minimum.at(first, first[other], smallest)
        first = first[first]
    return first
