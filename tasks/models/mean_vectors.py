"""Means of word vectors, trained or from a file, as scikit-learn transformers with float32 out."""

from array import array
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Final, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, PositiveFloat, PositiveInt
from scipy import sparse
from sklearn.utils.validation import check_is_fitted
from typing_extensions import override

from tasks.models.vectorizers import TOKEN, Vectorizer, Vocabulary, read_texts
from tasks.schema import DEFAULT_SEED

LEAST_IDF: Final = 1.0  # of a word in every document
SMALLEST_DEVIATION: Final = 1e-6  # of a column of unit vectors; below it is only rounding
SHORTEST_SUBWORD: Final = 3  # characters, with the marks of a word's beginning and end; fastText's own range
LONGEST_SUBWORD: Final = 6
FNV_OFFSET: Final = 2166136261
FNV_PRIME: Final = 16777619


class MeanVectorizer(Vectorizer):
    """Means of word vectors, each word weighted by its idf; where the vectors come from is up to the subclass.

    A mean is scaled to unit length and its columns are standardised to mean 0 and equal variance in train, so that the
    average length of a train movie's vector is `weight`. This removes what all words have in common.

    A token stands for the word as written, or else for its lower-case form. Where neither is known, fastText takes the
    mean of the token's n-gram vectors, with the least idf that a word can have: a guess should not outweigh what is
    known. word2vec and pretrained vectors leave the token out. A document without a known word is a row of zeros,
    which is where the average train document is.

    Attributes:
        vocabulary_: the known words, sorted.
        vectors_: (words + buckets × dimensions) float32; only fastText has buckets of n-grams.
        idf_: (words,) float32, `log((1 + n) / (1 + df)) + 1` over the n train documents.
        columns_: (2 × dimensions) float32, the mean of each column in train and the factor after it is subtracted.
    """

    weight: float
    vectors_: NDArray[np.float32]
    idf_: NDArray[np.float32]
    columns_: NDArray[np.float32]

    def fit(self, X: Any, y: Any = None) -> Self:
        """Learn the words' vectors and weights; the order of the documents does not matter.

        Raises:
            ModelError: no word occurs in `min_movies` documents.
            DataError: the file of pretrained vectors is missing or damaged, or has none of the words.
        """
        del y  # no vector depends on it
        documents = sorted(read_texts(X))
        words, self.vectors_ = self._word_vectors(documents)
        self._learn(words)
        frequencies = Counter[str]()
        for document in documents:
            tokens = set(TOKEN.findall(document))
            named = {token if token in self._column_of else token.lower() for token in tokens}
            frequencies.update(named & self._column_of.keys())
        counted = np.array([frequencies[word] for word in words])
        self.idf_ = (np.log((1 + len(documents)) / (1 + counted)) + 1).astype(np.float32)
        means = self._unit_means(documents)
        means = means[means.any(axis=1)].astype(np.float64)
        deviations = means.std(axis=0)
        deviations[deviations < SMALLEST_DEVIATION] = np.inf
        self.columns_ = np.array([means.mean(axis=0), 1 / deviations / np.sqrt(means.shape[1])], dtype=np.float32)
        return self

    def transform(self, X: Any) -> sparse.csr_array:
        """Return a (documents × dimensions) float32 matrix; a row is full or empty."""
        check_is_fitted(self)
        means = self._unit_means(read_texts(X))
        filled = means.any(axis=1)
        centre, factor = self.columns_
        values = (means[filled] - centre) * (factor * np.float32(self.weight))
        columns = np.tile(np.arange(means.shape[1], dtype=np.int32), len(values))
        ends = np.concatenate([[0], np.cumsum(filled) * means.shape[1]]).astype(np.int32)
        return sparse.csr_array((values.ravel(), columns, ends), shape=means.shape)

    def get_feature_names_out(self, input_features: Any = None) -> NDArray[np.object_]:
        """Return the dimensions, numbered; none has a meaning of its own."""
        del input_features
        check_is_fitted(self)
        return np.array([f"{self.label}:{dimension}" for dimension in range(self.vectors_.shape[1])], dtype=object)

    def _word_vectors(self, documents: Sequence[str]) -> tuple[Vocabulary, NDArray[np.float32]]:
        """Return the known words, sorted, and their vectors, one a row; buckets of n-grams come after them."""
        raise NotImplementedError

    def _unit_means(self, documents: Sequence[str]) -> NDArray[np.float32]:
        means: NDArray[np.float32] = self.weigh(documents) @ self.vectors_
        lengths = np.linalg.norm(means, axis=1, keepdims=True)
        lengths[lengths == 0] = 1
        means /= lengths
        return means

    def weigh(self, documents: Sequence[str]) -> sparse.csr_array:
        """Return how much of each row of `vectors_` is in each document.

        Columns stay in the order of the tokens, so that a sum has the same bits whatever other documents there are.
        """
        idf, column_of = self.idf_.tolist(), self._column_of
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
        shape = (len(documents), len(self.vectors_))
        return sparse.csr_array((np.asarray(weights), np.asarray(columns), np.asarray(ends)), shape=shape)

    def _ngram_columns(self, token: str) -> list[int]:
        buckets = len(self.vectors_) - len(self.vocabulary_)
        return [len(self.vocabulary_) + bucket for bucket in ngram_buckets(token, buckets)] if buckets else []


class WordVectors(MeanVectorizer):
    """Mean of word vectors that are trained on the train documents (gensim), weighted by idf, standardised."""

    def __init__(
        self,
        algorithm: Annotated[
            Literal["word2vec", "fasttext"], Field(description="fastText also reads parts of words.")
        ] = "word2vec",
        objective: Annotated[
            Literal["skip-gram", "cbow"],
            Field(description="Predict the words around from each word, or each word from those around."),
        ] = "skip-gram",
        dimensions: Annotated[PositiveInt, Field(description="Length of the vectors.")] = 100,
        window: Annotated[PositiveInt, Field(description="Words to each side that count as around.")] = 20,
        negatives: Annotated[PositiveInt, Field(description="Random words that each real one is compared with.")] = 5,
        subsample: Annotated[
            PositiveFloat, Field(description="Share of all words above which a word is read less often.")
        ] = 1e-4,
        epochs: Annotated[PositiveInt, Field(description="Passes over the documents.")] = 10,
        learning_rate: Annotated[
            PositiveFloat, Field(description="Of the first word; it falls linearly to next to nothing.")
        ] = 0.05,
        min_movies: Annotated[PositiveInt, Field(description="Train movies that a word must occur in to be kept.")] = 3,
        buckets: Annotated[
            PositiveInt, Field(description="Vectors that the parts of words share (fastText).")
        ] = 20_000,
        weight: Annotated[PositiveFloat, Field(description="Average length of a movie's vector.")] = 1.0,
        random_state: int = DEFAULT_SEED,
    ) -> None:
        self.algorithm = algorithm
        self.objective = objective
        self.dimensions = dimensions
        self.window = window
        self.negatives = negatives
        self.subsample = subsample
        self.epochs = epochs
        self.learning_rate = learning_rate
        self.min_movies = min_movies
        self.buckets = buckets
        self.weight = weight
        self.random_state = random_state

    @property
    @override
    def label(self) -> str:
        return f"{self.algorithm}_{self.dimensions}d"

    def _word_vectors(self, documents: Sequence[str]) -> tuple[Vocabulary, NDArray[np.float32]]:
        from tasks.models.word_vectors import train_vectors  # noqa: PLC0415 - which a fitted one does without

        return train_vectors(documents, self)


class PretrainedVectors(MeanVectorizer):
    """Mean of word vectors from a file, weighted by idf, standardised."""

    def __init__(
        self,
        file: Annotated[
            Path, Field(description="word2vec text or binary, or GloVe text, also gzipped; detected by content.")
        ] = Path("vectors.txt"),
        weight: Annotated[PositiveFloat, Field(description="Average length of a movie's vector.")] = 1.0,
    ) -> None:
        self.file = file
        self.weight = weight

    @property
    @override
    def label(self) -> str:
        return f"pretrained_{Path(self.file).name.split('.')[0]}"

    def _word_vectors(self, documents: Sequence[str]) -> tuple[Vocabulary, NDArray[np.float32]]:
        from tasks.models.vector_file import read_vectors_of  # noqa: PLC0415 - which a fitted one does without

        words = {token for document in documents for token in TOKEN.findall(document)}
        return read_vectors_of(words, Path(self.file))

    def __getstate__(self) -> dict[str, Any]:
        return {**super().__getstate__(), "file": str(self.file)}


def ngram_buckets(word: str, buckets: int) -> list[int]:
    """Return the bucket of each character n-gram of `<word>`, from left to right, the shorter first.

    The hash is FNV-1a with 32 bits over UTF-8 in which bytes from 128 on count as negative, as in fastText.

    Source: Bojanowski et al. 2017, Enriching Word Vectors with Subword Information, section 3.2; `Dictionary::hash`
    and `Dictionary::computeSubwords` of fastText.
    """
    characters = [
        [byte if byte < 128 else byte | 0xFFFFFF00 for byte in character.encode()] for character in f"<{word}>"
    ]
    found = []
    for start in range(len(characters)):
        state = FNV_OFFSET
        for length, character in enumerate(characters[start : start + LONGEST_SUBWORD], start=1):
            for byte in character:
                state = ((state ^ byte) * FNV_PRIME) & 0xFFFFFFFF
            if length >= SHORTEST_SUBWORD:
                found.append(state % buckets)
    return found
