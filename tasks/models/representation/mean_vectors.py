"""Documents as the mean of their words' vectors. Owns the averaging, its weights and how it is stored.

The vectors come from `tasks.models.representation.word_vectors` (trained) or `.pretrained` (read from a file).
"""

import json
from array import array
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Final, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import TypeAdapter
from scipy import sparse

from tasks.models.representation.subwords import ngram_buckets
from tasks.models.representation.terms import TOKEN
from tasks.models.representations import PretrainedVectors, WordVectors

MeanSpec = WordVectors | PretrainedVectors

FILES: Final = ("representation.json", "words.json", "vectors.npy", "idf.npy", "columns.npy")
LEAST_IDF: Final = 1.0  # of a word in every document
SMALLEST_DEVIATION: Final = 1e-6  # of a column of unit vectors; below it is only rounding
_SPEC: Final[TypeAdapter[MeanSpec]] = TypeAdapter(MeanSpec)


class MeanVectors:
    """Means of word vectors, each word weighted by its idf.

    A mean is scaled to unit length and its columns are standardised: mean 0 and the same variance in train, so that a
    train movie's vector has on average the length 1 (times the representation's weight). Words have much in common
    that tells nothing; without it the rest counts more.

    A token stands for the word as written, or else for its lower-case form. Where neither is known, fastText takes the
    mean of the token's n-gram vectors, with the least idf that a word can have: a guess should not outweigh what is
    known. word2vec and pretrained vectors leave the token out. A document without a known word is a row of zeros,
    which is where the average train document is.

    Attributes:
        words: the known words, sorted.
        vectors: (words + buckets × dimensions) float32; only fastText has buckets of n-grams.
        idf: (words,) float32, `log((1 + n) / (1 + df)) + 1` over the n train documents.
        columns: (2 × dimensions) float32, the mean of each column in train and the factor after it is subtracted.
    """

    def __init__(self, spec: MeanSpec) -> None:
        self.spec = spec
        self.words: list[str] = []
        self.vectors = np.empty((0, 0), dtype=np.float32)
        self.idf = np.empty(0, dtype=np.float32)
        self.columns = np.empty((2, 0), dtype=np.float32)

    @property
    def feature_names(self) -> Sequence[str]:
        """The dimensions, numbered; none has a meaning of its own."""
        return [f"{self.spec.label}:{dimension}" for dimension in range(self.vectors.shape[1])]

    def fit(self, documents: Sequence[str], Y: NDArray[np.bool_], seed: int) -> Self:
        """Train the words' vectors on the documents, or read those of the documents' words.

        The order of the documents does not matter.

        Raises:
            ModelError: no word occurs in `min_movies` documents.
            DataError: the file of pretrained vectors is missing or damaged, or has none of the words.
        """
        del Y  # no vector depends on it
        # Neither module is needed to score, nor what they import.
        from tasks.models.representation.pretrained import read_vectors_of  # noqa: PLC0415
        from tasks.models.representation.word_vectors import train_vectors  # noqa: PLC0415

        documents = sorted(documents)
        if isinstance(self.spec, WordVectors):
            self.words, self.vectors = train_vectors(documents, self.spec, seed)
        else:
            self.words, self.vectors = read_vectors_of(documents, self.spec.file)
        known, frequencies = set(self.words), Counter[str]()
        for document in documents:
            tokens = set(TOKEN.findall(document))
            frequencies.update({token if token in known else token.lower() for token in tokens} & known)
        counted = np.array([frequencies[word] for word in self.words])
        self.idf = (np.log((1 + len(documents)) / (1 + counted)) + 1).astype(np.float32)
        means = self._unit_means(documents)
        means = means[means.any(axis=1)].astype(np.float64)
        deviations = means.std(axis=0)
        deviations[deviations < SMALLEST_DEVIATION] = np.inf
        self.columns = np.array([means.mean(axis=0), 1 / deviations / np.sqrt(means.shape[1])], dtype=np.float32)
        return self

    def transform(self, documents: Sequence[str]) -> sparse.csr_array:
        """Return a (documents × dimensions) float32 matrix; a row is full or empty."""
        means = self._unit_means(documents)
        filled = means.any(axis=1)
        centre, factor = self.columns
        values = (means[filled] - centre) * (factor * np.float32(self.spec.weight))
        columns = np.tile(np.arange(means.shape[1], dtype=np.int32), len(values))
        ends = np.concatenate([[0], np.cumsum(filled) * means.shape[1]]).astype(np.int32)
        return sparse.csr_array((values.ravel(), columns, ends), shape=means.shape)

    def _unit_means(self, documents: Sequence[str]) -> NDArray[np.float32]:
        means: NDArray[np.float32] = self.weigh(documents) @ self.vectors
        lengths = np.linalg.norm(means, axis=1, keepdims=True)
        lengths[lengths == 0] = 1
        means /= lengths
        return means

    def weigh(self, documents: Sequence[str]) -> sparse.csr_array:
        """Return how much of each row of `vectors` is in each document.

        Columns stay in the order of the tokens, so that a sum has the same bits whatever other documents there are.
        """
        column_of = {word: column for column, word in enumerate(self.words)}
        idf = self.idf.tolist()
        columns, weights, ends = array("i"), array("f"), array("i", [0])
        for document in documents:
            for token in TOKEN.findall(document):
                column = column_of.get(token, column_of.get(token.lower()))
                if column is not None:
                    columns.append(column)
                    weights.append(idf[column])
                elif ngrams := self._ngram_columns(token):
                    columns.extend(ngrams)
                    weights.extend([LEAST_IDF / len(ngrams)] * len(ngrams))
            ends.append(len(columns))
        shape = (len(documents), len(self.vectors))
        return sparse.csr_array((np.asarray(weights), np.asarray(columns), np.asarray(ends)), shape=shape)

    def _ngram_columns(self, token: str) -> list[int]:
        buckets = len(self.vectors) - len(self.words)
        return [len(self.words) + bucket for bucket in ngram_buckets(token, buckets)] if buckets else []

    def save(self, folder: Path) -> None:
        """Write the files named in `FILES` into a folder that exists."""
        (folder / "representation.json").write_text(self.spec.model_dump_json() + "\n", encoding="utf-8")
        (folder / "words.json").write_text(json.dumps(self.words, ensure_ascii=False) + "\n", encoding="utf-8")
        np.save(folder / "vectors.npy", self.vectors, allow_pickle=False)
        np.save(folder / "idf.npy", self.idf, allow_pickle=False)
        np.save(folder / "columns.npy", self.columns, allow_pickle=False)

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read what `save` wrote."""
        loaded = cls(_SPEC.validate_json((folder / "representation.json").read_text(encoding="utf-8")))
        loaded.words = json.loads((folder / "words.json").read_text(encoding="utf-8"))
        loaded.vectors = np.load(folder / "vectors.npy", allow_pickle=False)
        loaded.idf = np.load(folder / "idf.npy", allow_pickle=False)
        loaded.columns = np.load(folder / "columns.npy", allow_pickle=False)
        return loaded
