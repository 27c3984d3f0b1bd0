"""Counts and weights of terms as sparse float32 vectors, by scikit-learn transformers."""

import re
from array import array
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Annotated, Any, ClassVar, Final, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, PositiveFloat, PositiveInt
from scipy import sparse
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils.validation import check_is_fitted
from typing_extensions import override

from tasks.core.errors import ModelError
from tasks.models.inputs import as_movies, gather, lines_of, own_field_names, read_fields
from tasks.models.spec import FieldName

TOKEN: Final = re.compile(r"(?u)\b\w\w+\b")  # scikit-learn's default
DERIVED: Final = ("_column_of", "_loaded")  # attributes that are not stored
DOCUMENTS_AT_ONCE: Final = 2000  # bounds the memory of counting rare n-grams, most of which are dropped


class Vectorizer(TransformerMixin, BaseEstimator):  # type: ignore[misc]  # scikit-learn has no types
    """Base class: reads texts; a sorted vocabulary, if any, is stored as one text."""

    vocabulary_: list[str]
    idf_: NDArray[np.float32]  # `log((1 + n) / (1 + df)) + 1` of each term over the n train documents

    @property
    def label(self) -> str:
        """Its part of the name of the feature folder."""
        raise NotImplementedError

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.two_d_array, tags.input_tags.string = False, True
        tags.transformer_tags.preserves_dtype = []
        return tags

    def __getstate__(self) -> dict[str, Any]:
        state = {name: value for name, value in super().__getstate__().items() if name not in DERIVED}
        if "vocabulary_" in state:
            state["vocabulary_"] = "\n".join(state["vocabulary_"])  # 80,000 JSON strings take seconds to read
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        if "vocabulary_" in state:
            self._learn(str(state["vocabulary_"]).split("\n"))

    def _learn(self, vocabulary: list[str]) -> None:
        self.vocabulary_ = vocabulary
        self._column_of = {term: column for column, term in enumerate(vocabulary)}


class TermVectorizer(Vectorizer):
    """Base class: counts or weights of the terms that occur in at least `min_movies` train rows."""

    nothing_found: ClassVar = "no word occurs in {} of {} train documents; lower min_movies"
    min_movies: int

    def fit(self, X: Any, y: Any = None) -> Self:
        """Learn the terms of X (texts, or movies for `SideFields`); a ModelError if none is in `min_movies` rows.

        y is (rows × genres) of 0 and 1; only `BagOfWords.common_share` needs it.
        """
        documents = self._read(X)
        frequencies = self._document_frequencies(documents)
        self._learn(sorted(term for term, count in frequencies.items() if count >= self.min_movies))
        self._select(documents, y)
        if not self.vocabulary_:
            raise ModelError(self.nothing_found.format(self.min_movies, len(documents)))
        self.idf_ = inverse_frequencies(self.vocabulary_, frequencies, len(documents))
        return self

    def transform(self, X: Any) -> sparse.csr_array:
        """Return a (rows × terms) float32 matrix with sorted 32-bit indices."""
        check_is_fitted(self)
        return self._weigh(self._count(self._read(X)))

    def get_feature_names_out(self, input_features: Any = None) -> NDArray[np.object_]:
        """Return the terms, sorted."""
        del input_features
        check_is_fitted(self)
        return np.array(self.vocabulary_, dtype=object)

    def _read(self, X: Any) -> Sequence[str]:
        return read_texts(X)

    def _terms(self, document: str) -> Iterable[str]:
        raise NotImplementedError

    def _count(self, documents: Sequence[str]) -> sparse.csr_array:
        return _count_terms(map(self._terms, documents), self._column_of)

    def _document_frequencies(self, documents: Sequence[str]) -> Mapping[str, int]:
        return Counter(chain.from_iterable(set(self._terms(document)) for document in documents))

    def _select(self, documents: Sequence[str], y: Any) -> None:
        """Drop terms by criteria other than `min_movies`."""

    def _weigh(self, counts: sparse.csr_array) -> sparse.csr_array:
        raise NotImplementedError

    def _tfidf(self, counts: sparse.csr_array) -> sparse.csr_array:
        """Replace counts, or `1 + log(count)` if sublinear, by tf-idf weights, in place.

        They are `count * (log((1 + n) / (1 + df)) + 1)`, each row scaled to unit Euclidean length; rows without a known
        term stay zero.

        Source: Manning, Raghavan and Schütze 2008, Introduction to Information Retrieval, section 6.4, smoothed as in
        scikit-learn.
        """
        counts.data *= self.idf_[counts.indices]
        lengths = np.sqrt(np.asarray(counts.multiply(counts).sum(axis=1)).ravel())
        lengths[lengths == 0] = 1
        counts.data /= np.repeat(lengths, np.diff(counts.indptr)).astype(np.float32)
        return counts


@dataclass(eq=False, repr=False)
class BagOfWords(TermVectorizer):
    """Counts or tf-idf weights of n-grams of words; a word is a run of two or more word characters.

    Unlike `TfidfVectorizer` it keeps float32, and takes half the CPU time to fit and three quarters to transform.
    """

    weighting: Literal["counts", "tfidf"] = "tfidf"  # raw counts, or tf-idf with unit length
    max_n: PositiveInt = 1  # longest word n-gram; the shortest is one word
    min_movies: PositiveInt = 2  # train movies that an n-gram must occur in to be kept
    sublinear: bool = False  # use 1 + log(count) instead of the count
    # Drop n-grams that occur in at least this share of the train movies of every genre.
    common_share: Annotated[float, Field(gt=0, le=1)] | None = None

    @property
    @override
    def label(self) -> str:
        weighting = self.weighting + ("-sublinear" if self.sublinear else "")
        return f"{weighting}_" + (f"1-{self.max_n}grams" if self.max_n > 1 else "words")

    def _terms(self, document: str) -> Iterator[str]:
        tokens = TOKEN.findall(document)
        yield from tokens
        for n in range(2, self.max_n + 1):
            yield from (" ".join(tokens[start : start + n]) for start in range(len(tokens) - n + 1))

    def _weigh(self, counts: sparse.csr_array) -> sparse.csr_array:
        if self.sublinear:
            counts.data = 1 + np.log(counts.data)
        return self._tfidf(counts) if self.weighting == "tfidf" else counts

    def _select(self, documents: Sequence[str], y: Any) -> None:
        """Drop the terms that are common in every genre, which do not separate genres."""
        if self.common_share is None:
            return
        if y is None:
            raise ModelError("common_share needs the genres of the movies; pass y to fit")
        present = self._count(documents)
        present.data[:] = 1
        Y = np.asarray(y, dtype=np.float32)
        genres = Y[:, Y.any(axis=0)]
        shares = (present.T @ genres) / genres.sum(axis=0)
        common = shares.min(axis=1) >= self.common_share
        self._learn([term for term, is_common in zip(self.vocabulary_, common, strict=True) if not is_common])


@dataclass(eq=False, repr=False)
class CharacterNgrams(TermVectorizer):
    """tf-idf weights of the character n-grams of words, each word with the spaces around it.

    A word is a run of characters without white space. Each distinct word is cut into n-grams once, which takes a
    fraction of the time of `TfidfVectorizer(analyzer="char_wb")`.
    """

    min_n: PositiveInt = 3  # shortest n-gram
    max_n: PositiveInt = 5
    min_movies: PositiveInt = 5  # train movies that an n-gram must occur in to be kept
    sublinear: bool = True  # use 1 + log(count) instead of the count
    weight: PositiveFloat = 1.0  # length of a movie's vector next to other representations

    @property
    @override
    def label(self) -> str:
        return f"characters_{self.min_n}-{self.max_n}grams"

    def _terms(self, document: str) -> Iterator[str]:
        for word in document.split():
            padded = f" {word} "
            for n in range(self.min_n, self.max_n + 1):
                yield from (padded[start : start + n] for start in range(len(padded) - n + 1))

    def _count(self, documents: Sequence[str]) -> sparse.csr_array:
        words, in_documents = _count_words(documents)
        X = in_documents @ _count_terms(map(self._terms, words), self._column_of)
        X.sort_indices()
        return X

    def _document_frequencies(self, documents: Sequence[str]) -> Mapping[str, int]:
        words, in_documents = _count_words(documents)
        column_of: dict[str, int] = {}
        in_words = _count_terms(map(self._terms, words), column_of, learn=True)
        counted = np.zeros(len(column_of), dtype=np.int64)
        for start in range(0, len(documents), DOCUMENTS_AT_ONCE):
            piece = in_documents[start : start + DOCUMENTS_AT_ONCE] @ in_words
            counted += np.bincount(piece.indices, minlength=len(column_of))
        return dict(zip(column_of, counted.tolist(), strict=True))

    def _weigh(self, counts: sparse.csr_array) -> sparse.csr_array:
        if self.sublinear:
            counts.data = 1 + np.log(counts.data)
        X = self._tfidf(counts)
        X.data *= np.float32(self.weight)
        return X


@dataclass(eq=False, repr=False)
class SideFields(TermVectorizer):
    """One column for each decade, year, certificate, range of runtime and person; it reads movies, as `read_fields`.

    For a user's own table, also for each value of its extra fields and each range of their numbers.
    """

    reads_movies: ClassVar = True
    nothing_found: ClassVar = (
        "no side field has a value that {} of {} train movies share; the listings lack these columns: choose models "
        "that read only text"
    )

    fields: Annotated[tuple[FieldName, ...], Field(min_length=1)] = (
        *("decade", "year", "certificate", "runtime", "director", "star", "own"),
    )
    min_movies: PositiveInt = 2  # train movies that a value must occur in to be kept
    weight: PositiveFloat = 0.5  # value of a column that applies; tf-idf vectors have length 1

    @property
    @override
    def label(self) -> str:
        return "fields"

    def fit(self, X: Any, y: Any = None) -> Self:
        """Learn the values; `own_fields_` are the extra columns of the movies."""
        movies = as_movies(X)
        self.own_fields_ = list(own_field_names(movies)) if "own" in self.fields else []
        super().fit(movies, y)
        return self

    def _read(self, X: Any) -> list[str]:
        return read_fields(gather(as_movies(X), tuple(self.own_fields_)), self.fields)

    def _terms(self, document: str) -> list[str]:
        return lines_of(document)

    def _weigh(self, counts: sparse.csr_array) -> sparse.csr_array:
        counts.data[:] = self.weight
        return counts


def read_texts(X: Any) -> Sequence[str]:
    """Return texts as a sequence; a TypeError if it is one text."""
    if isinstance(X, str):
        raise TypeError("expected a list of texts, not a single text")
    return X if isinstance(X, list | tuple) else list(X)


def inverse_frequencies(terms: Sequence[str], frequencies: Mapping[str, int], n_documents: int) -> NDArray[np.float32]:
    """Return `log((1 + n) / (1 + df)) + 1` of each term."""
    counted = np.array([frequencies[term] for term in terms])
    return (np.log((1 + n_documents) / (1 + counted)) + 1).astype(np.float32)


def _count_words(documents: Sequence[str]) -> tuple[list[str], sparse.csr_array]:
    """Return the distinct words between white space, and their counts (documents × words)."""
    column_of: dict[str, int] = {}
    counts = _count_terms((document.split() for document in documents), column_of, learn=True)
    return list(column_of), counts


def _count_terms(bags: Iterable[Iterable[str]], column_of: dict[str, int], learn: bool = False) -> sparse.csr_array:
    """Count terms, (bags × terms), columns sorted within a row; unknown ones are ignored, or added with `learn`."""
    columns, ends = array("i"), array("i", [0])  # 32 bits, as scikit-learn's solvers require
    for bag in bags:
        if learn:
            columns.extend([column_of.setdefault(term, len(column_of)) for term in bag])
        else:
            columns.extend([column for column in map(column_of.get, bag) if column is not None])
        ends.append(len(columns))
    ones = np.ones(len(columns), dtype=np.float32)
    shape = (len(ends) - 1, len(column_of))
    counts = sparse.csr_array((ones, np.asarray(columns), np.asarray(ends)), shape=shape)
    counts.sum_duplicates()
    return counts
