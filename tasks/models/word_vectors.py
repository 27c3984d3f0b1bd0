"""The training of `WordVectors` with gensim."""

import zlib
from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tasks.errors import ModelError
from tasks.models.mean_vectors import LONGEST_SUBWORD, SHORTEST_SUBWORD, WordVectors
from tasks.models.vectorizers import TOKEN
from tasks.progress import Progress


def train_vectors(documents: Sequence[str], spec: WordVectors) -> tuple[list[str], NDArray[np.float32]]:
    """Train Word2Vec or FastText in one thread, so that the same documents give the same bits.

    Returns:
        The words that occur in `min_movies` documents, sorted, and their vectors, one a row; fastText's n-gram buckets
        are the rows after them. The vector of a fastText word is the mean of its own and those of its n-grams.

    Raises:
        ModelError: no word occurs in so many documents.

    Source: Mikolov et al. 2013, Distributed Representations of Words and Phrases and their Compositionality; Bojanowski
    et al. 2017, Enriching Word Vectors with Subword Information.
    """
    trained = _train(_corpus(documents, spec.min_movies, spec.random_state), spec)
    words = sorted(trained.index_to_key)
    vectors = trained.vectors[[trained.key_to_index[word] for word in words]]
    return words, np.concatenate([vectors, trained.vectors_ngrams]) if spec.algorithm == "fasttext" else vectors


def _train(corpus: list[list[str]], spec: WordVectors) -> Any:
    """Return gensim's `KeyedVectors`."""
    from gensim.models import FastText, Word2Vec  # noqa: PLC0415 - takes seconds to import

    choices = {
        "vector_size": spec.dimensions,
        "window": spec.window,
        "negative": spec.negatives,
        "sample": spec.subsample,
        "epochs": spec.epochs,
        "alpha": spec.learning_rate,
        "sg": int(spec.objective == "skip-gram"),
        "min_count": 1,  # rare words are out of the corpus already
        "workers": 1,  # threads would update the vectors in an order that changes
        "seed": spec.random_state,
        "hashfxn": _stable_hash,
        "callbacks": [_EpochProgress(spec)],
    }
    if spec.algorithm == "fasttext":
        return FastText(corpus, min_n=SHORTEST_SUBWORD, max_n=LONGEST_SUBWORD, bucket=spec.buckets, **choices).wv
    return Word2Vec(corpus, **choices).wv


def _corpus(documents: Sequence[str], min_movies: int, seed: int) -> list[list[str]]:
    """Return the frequent words of the documents, shuffled: their order may mean something."""
    frequencies: Counter[str] = Counter()
    for document in documents:
        frequencies.update(set(TOKEN.findall(document)))
    frequent = {word: word for word, count in frequencies.items() if count >= min_movies}
    if not frequent:
        raise ModelError(f"no word occurs in {min_movies} of {len(documents)} train documents; lower min_movies")
    shuffled = (documents[row] for row in np.random.default_rng(seed).permutation(len(documents)))
    # One string object a word, not one an occurrence: a tenth of the memory.
    return [[frequent[token] for token in TOKEN.findall(document) if token in frequent] for document in shuffled]


def _stable_hash(text: str) -> int:
    """Return what Python's own hash would not: the same number in every process."""
    return zlib.crc32(text.encode())


class _EpochProgress:
    """What gensim calls at its milestones."""

    def __init__(self, spec: WordVectors) -> None:
        self.progress = Progress(f"{spec.algorithm}, epochs", spec.epochs)

    def on_epoch_end(self, _: object) -> None:
        """Count an epoch."""
        self.progress.advance()

    def on_train_end(self, _: object) -> None:
        """Log the last line."""
        self.progress.finish()

    def on_train_begin(self, _: object) -> None:
        """Do nothing; gensim calls it all the same."""

    on_epoch_begin = on_train_begin
