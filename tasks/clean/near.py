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

from typing import Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from tasks.clean.word_hashes import NO_HASH, Hashes, Words, hash_runs, hash_wholes, hash_words, simplify_others

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
