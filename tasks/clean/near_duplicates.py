"""Movies that tell the same text, so that no split puts a text on both sides. Owns what counts as the same.

Texts are compared by their words: case, punctuation and spaces do not count. Two movies are in one group if their words
are equal, or if they share at least `MIN_SHARED` shingles of three words in a row and the Jaccard similarity of their
sets of shingles is at least `MIN_SIMILARITY`; and so on from neighbour to neighbour.

Both bounds were chosen on 22,821 real descriptions, of which all 918,704 pairs that share a shingle of at most 200
movies were compared, and those with a similarity of at least 0.3 read. The 44 pairs above both bounds are all one text
retold, or parts of one series. With eight shared shingles but a similarity of 0.3 to 0.4 there are eleven more: one
story in other words, no longer one text. With fewer, up to a similarity of 0.67, many are different lives told in one
phrase.

Candidates are found by winnowing: of every `WINDOW` runs of `RUN` words in a row the one with the least hash is the
text's fingerprint, so that two texts with `WINDOW + RUN - 1` words in a row in common have one in common. On the same
descriptions it missed no pair above the bounds, nor any down to a similarity of 0.3. The cost grows with the number of
words: a fingerprint that many texts share, such as a phrase of advertising, makes each a candidate with the next few
alone.

Source: Schleimer, Wilkerson and Aiken, "Winnowing: local algorithms for document fingerprinting", SIGMOD 2003.
"""

from typing import Final, NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray

# Texts as the hashes of their words, many texts at a time. Owns what a word is; compares no texts.
#
# A word is a run of letters and digits in any case. Its hash is made of its first eight bytes, its last eight and
# nothing between: that tells apart all words of up to sixteen bytes and nearly all longer ones.


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


MIN_SIMILARITY: Final = 0.4
MIN_SHARED: Final = 8
SHINGLE: Final = 3
RUN: Final = 6
WINDOW: Final = 5
NEIGHBOURS: Final = 2
SLICE_MOVIES: Final = 10_000  # what becomes of their words fits a processor's cache
SLICE_PAIRS: Final = 20_000

Indices = NDArray[np.int64]


def group_texts(movies: pl.DataFrame) -> pl.DataFrame:
    """Add `text_group`: the id of the first movie, in the order of the rows, of the group of movies with this text.

    A movie whose text nobody else has is a group of its own; so is one whose text holds no word.
    """
    texts = simplify_others(movies["description"])
    fingerprints, whole = _fingerprint(texts)
    same = _pair_equals(whole)
    candidates = _pair_neighbours(fingerprints, texts.len())
    near = _keep_similar(texts, candidates)
    first = _first_of_each_group(texts.len(), np.concatenate([same, near]))
    return movies.with_columns(text_group=movies["movie_id"].gather(first))


def count_groups(movies: pl.DataFrame) -> dict[str, int]:
    """Return how many groups have more than one movie, how many movies these have, and how many the largest has."""
    sizes = movies["text_group"].value_counts()["count"]
    shared = sizes.filter(sizes > 1)
    return {"groups": shared.len(), "movies": int(shared.sum()), "largest": max(shared, default=0)}


def _fingerprint(texts: pl.Series) -> tuple[Hashes, Hashes]:
    """Return all fingerprints, each with its text's number in the low bits, and one hash of each whole text, or 0."""
    n_bits = _bits_of_number(texts.len())
    fingerprints, wholes = [np.empty(0, np.uint64)], [np.empty(0, np.uint64)]
    for start in range(0, texts.len(), SLICE_MOVIES):
        words = hash_words(texts.slice(start, SLICE_MOVIES))
        runs = hash_runs(words, RUN)
        chosen = _choose_least(runs)
        numbers = (words.text[chosen] + start).astype(np.uint64)
        fingerprints.append(runs[chosen] >> n_bits << n_bits | numbers)
        wholes.append(hash_wholes(words))
    return np.concatenate(fingerprints), np.concatenate(wholes)


def _choose_least(runs: Hashes) -> Indices:
    """Return the places of runs that are the least in one of the windows that they are in."""
    padded = np.append(runs, np.full(WINDOW - 1, NO_HASH))
    least = _slide(np.minimum, padded)
    greatest_least = _slide(np.maximum, np.append(np.zeros(WINDOW - 1, np.uint64), least))
    return np.flatnonzero((runs == greatest_least) & (runs != NO_HASH))


def _slide(fold: np.ufunc, values: Hashes) -> Hashes:
    """Return the least or the greatest value of every window, by folding it onto itself."""
    width = 1
    while width < WINDOW:
        step = min(width, WINDOW - width)
        values = fold(values[:-step], values[step:])
        width += step
    return values


def _pair_equals(wholes: Hashes) -> Indices:
    """Return pairs of texts with equal hashes, neighbours among equals, as two columns."""
    order = np.argsort(wholes, kind="stable")
    ordered = wholes[order]
    equal = np.flatnonzero((ordered[1:] == ordered[:-1]) & (ordered[1:] != 0))
    return np.stack([order[equal], order[equal + 1]], axis=1)


def _pair_neighbours(fingerprints: Hashes, n_texts: int) -> Indices:
    """Return pairs of texts that share a fingerprint, each with the next few alone, as two columns, each pair once."""
    n_bits = _bits_of_number(n_texts)
    fingerprints.sort()
    pairs = [np.empty(0, np.uint64)]
    for distance in range(1, NEIGHBOURS + 1):
        earlier, later = fingerprints[:-distance], fingerprints[distance:]
        shared = np.flatnonzero((earlier ^ later) >> n_bits == 0)
        numbers = np.uint64((1 << int(n_bits)) - 1)
        first, second = earlier[shared] & numbers, later[shared] & numbers
        pairs.append((first << np.uint64(32) | second)[first != second])
    distinct = np.unique(np.concatenate(pairs))
    return np.stack([distinct >> np.uint64(32), distinct & np.uint64(2**32 - 1)], axis=1).astype(np.int64)


def _keep_similar(texts: pl.Series, pairs: Indices) -> Indices:
    """Return the pairs of texts that are similar enough."""
    kept = [np.empty((0, 2), np.int64)]
    for start in range(0, len(pairs), SLICE_PAIRS):
        some = pairs[start : start + SLICE_PAIRS]
        numbers, places = np.unique(some, return_inverse=True)
        words = hash_words(texts.gather(numbers))
        shared, either = _compare_shingles(words, places.reshape(-1, 2))
        kept.append(some[(shared >= MIN_SHARED) & (shared >= MIN_SIMILARITY * either)])
    return np.concatenate(kept)


def _compare_shingles(words: Words, pairs: Indices) -> tuple[Indices, Indices]:
    """Return how many different shingles both texts of each pair have, and how many at least one of them has."""
    hashes = hash_runs(words, SHINGLE)
    shingles = pl.DataFrame({"text": words.text[: hashes.size], "shingle": hashes})
    shingles = shingles.filter(pl.col("shingle") != NO_HASH).unique()
    sizes = np.bincount(shingles["text"], minlength=words.n_texts)
    first = pl.DataFrame({"pair": np.arange(len(pairs)), "text": pairs[:, 0], "other": pairs[:, 1]})
    in_first = first.join(shingles, on="text")
    in_both = in_first.join(shingles, left_on=("other", "shingle"), right_on=("text", "shingle"), how="semi")
    shared = np.bincount(in_both["pair"], minlength=len(pairs))
    return shared, sizes[pairs].sum(axis=1) - shared


def _first_of_each_group(n_texts: int, pairs: Indices) -> Indices:
    """Return for each text the least number among the texts that pairs connect it with, over any number of pairs."""
    first = np.arange(n_texts)
    one, other = pairs[:, 0], pairs[:, 1]
    while (first[one] != first[other]).any():
        least = np.minimum(first[one], first[other])
        np.minimum.at(first, first[one], least)
        np.minimum.at(first, first[other], least)
        first = first[first]
    return first


def _bits_of_number(n_texts: int) -> np.uint64:
    """Return how many low bits hold any text's number."""
    return np.uint64(n_texts.bit_length())
