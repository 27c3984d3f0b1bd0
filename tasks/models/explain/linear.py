"""Explanations of models that are linear in their vectors: exact. Owns how vectors are shared among words.

A column's share in the log-odds is its value times its weight, and goes to the words and fields that made the value:

- a term (word, n-gram, character n-gram) that occurs several times is shared equally among its occurrences; an n-gram
  equally among its words, a character n-gram equally among its characters;
- a side field goes to the value that it was read from: the decade to the year, the range of runtimes to the runtime;
- the mean of word vectors is the sum of its words, given its length. What a word adds is counted from the average train
  movie: where all known words together are as far from it as they are, each is so by its share of the weights;
- a frozen encoder is not linear in its words: integrated gradients.

tf-idf vectors and means have a fixed length, which depends on all words of the movie. It is taken as given: a
contribution says what the word did in this movie, not what the score would be without it.
"""

import re
from collections.abc import Callable, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from tasks.models.encoder.frozen import FrozenEncoder
from tasks.models.explain.encoders import explain_frozen
from tasks.models.explain.pieces import (
    NONE,
    ExplainedMovies,
    Explanation,
    Matrix,
    Reading,
    Vector,
    clipped,
    trace_documents,
    trace_fields,
    weighted_sum,
)
from tasks.models.linear import MAX_LOGIT, ClassifierChains, OneVsRestLinear, StackedLogisticRegression
from tasks.models.pipeline import GenreModel
from tasks.models.vectorizers import TOKEN, BagOfWords, CharacterNgrams, SideFields, TermVectorizer
from tasks.models.word_vectors import MeanVectorizer

TERMS: Final = (BagOfWords, CharacterNgrams, SideFields)
CHUNK: Final = re.compile(r"\S+")

# A term, and the pieces that an occurrence of it is from: NONE among them if it is not of a piece alone.
Occurrence = tuple[str, Sequence[int]]


def is_linear(model: GenreModel) -> bool:
    """Return whether `explain_linear` can explain a model."""
    explained = all(isinstance(each, (*TERMS, MeanVectorizer, FrozenEncoder)) for each in model.vectorizers)
    is_sum = isinstance(model.classifier, OneVsRestLinear) and not isinstance(model.classifier, ClassifierChains)
    return explained and is_sum


def explain_linear(model: GenreModel, movies: ExplainedMovies) -> list[Explanation]:
    """Explain a model with a linear or a stacked classifier.

    Columns that the stacked one's first level cuts off are treated as in `explanation.clipped`.
    """
    if isinstance(model.classifier, StackedLogisticRegression):
        first = _explain_level(model, movies.for_all(len(model.genres)))
        return [
            _second_level(clipped(of_movie, MAX_LOGIT), model.classifier, list(asked))
            for of_movie, asked in zip(first, movies.asked, strict=True)
        ]
    return _explain_level(model, movies)


def _second_level(first: Explanation, classifier: StackedLogisticRegression, asked: list[int]) -> Explanation:
    weights = classifier.second_coef_.T[:, asked].astype(np.float64)
    bias = classifier.second_intercept_[asked].astype(np.float64)
    return Explanation(
        first.method, first.base @ weights + bias, first.value @ weights + bias, first.contributions @ weights
    )


def _explain_level(model: GenreModel, movies: ExplainedMovies) -> list[Explanation]:
    """Explain `X W + b`: each vectorizer has columns of X and rows of W of its own."""
    weights, at = model.classifier.coef_.T.astype(np.float64), 0
    parts: list[list[Explanation]] = []
    for vectorizer in model.vectorizers:
        width = len(vectorizer.get_feature_names_out())
        explain = next(explain for kind, explain in _EXPLAINERS if isinstance(vectorizer, kind))
        parts.append(explain(model, vectorizer, movies, weights[at : at + width]))
        at += width
    return [
        weighted_sum(of_movie, [1.0] * len(parts), model.classifier.intercept_[list(asked)].astype(np.float64))
        for *of_movie, asked in zip(*parts, movies.asked, strict=True)
    ]


def _explain_terms(
    model: GenreModel, vectorizer: TermVectorizer, movies: ExplainedMovies, weights: Matrix
) -> list[Explanation]:
    column_of = {term: column for column, term in enumerate(vectorizer.vocabulary_)}
    occurrences: list[list[Occurrence]]
    if isinstance(vectorizer, SideFields):
        lines = trace_fields(movies.table, vectorizer.fields, movies.pieces)
        occurrences = [[(line, (piece,)) for line, piece in of_movie] for of_movie in lines]
        X = vectorizer.transform(movies.table)
    else:
        readings = trace_documents(movies.table, model.spec.input, movies.pieces)
        occurrences = [_occurrences(reading, vectorizer) for reading in readings]
        X = vectorizer.transform([reading.text for reading in readings])
    return [
        _shared(X[[row]], weights[:, list(asked)], column_of, occurrences[row], len(movies.pieces[row]))
        for row, asked in enumerate(movies.asked)
    ]


def _shared(
    x: sparse.csr_array, weights: Matrix, column_of: dict[str, int], occurrences: Sequence[Occurrence], n_pieces: int
) -> Explanation:
    """Share each column of a row among the pieces of the term's occurrences."""
    place = {column: at for at, column in enumerate(x.indices.tolist())}
    rows, columns, amounts = [], [], []
    for term, origins in occurrences:
        at = place.get(column_of.get(term, NONE))
        if at is not None:
            rows += list(origins)
            columns += [at] * len(origins)
            amounts += [1 / len(origins)] * len(origins)
    shares = np.zeros((n_pieces + 1, len(place)))  # the last row is for NONE
    np.add.at(shares, (rows, columns), amounts)
    in_all = shares.sum(axis=0)
    effects = x.data[:, None].astype(np.float64) * weights[x.indices]
    contributions = (shares / np.where(in_all > 0, in_all, 1))[:n_pieces] @ effects
    return _from_nothing(effects.sum(axis=0), contributions)


def _occurrences(reading: Reading, vectorizer: TermVectorizer) -> list[Occurrence]:
    """Return the terms of a text, each as often as it occurs, with the pieces that each is from."""
    if isinstance(vectorizer, CharacterNgrams):
        return _character_ngrams(reading, vectorizer)
    assert isinstance(vectorizer, BagOfWords)
    return _word_ngrams(reading, vectorizer)


def _word_ngrams(reading: Reading, vectorizer: BagOfWords) -> list[Occurrence]:
    found = list(TOKEN.finditer(reading.text))
    words = [token.group() for token in found]
    origins = [int(reading.origins[token.start()]) for token in found]
    return [
        (" ".join(words[start : start + n]), origins[start : start + n])
        for n in range(1, vectorizer.max_n + 1)
        for start in range(len(words) - n + 1)
    ]


def _character_ngrams(reading: Reading, vectorizer: CharacterNgrams) -> list[Occurrence]:
    occurrences: list[Occurrence] = []
    for chunk in CHUNK.finditer(reading.text):
        padded = f" {chunk.group()} "
        origins = reading.origins[chunk.start() : chunk.end()].tolist()
        occurrences += [
            (padded[start : start + n], origins[max(start - 1, 0) : start - 1 + n] or origins[:1])
            for n in range(vectorizer.min_n, vectorizer.max_n + 1)
            for start in range(len(padded) - n + 1)
        ]
    return occurrences


def _explain_means(
    model: GenreModel, vectorizer: MeanVectorizer, movies: ExplainedMovies, weights: Matrix
) -> list[Explanation]:
    centre, factor = vectorizer.columns_.astype(np.float64)
    scaled = factor[:, None] * vectorizer.weight * weights
    explained = []
    for reading, of_movie, asked in zip(
        trace_documents(movies.table, model.spec.input, movies.pieces), movies.pieces, movies.asked, strict=True
    ):
        effects, origins = _effects_of_words(vectorizer, reading, centre)
        effects = effects @ scaled[:, list(asked)]
        contributions = np.zeros((len(of_movie) + 1, len(asked)))
        np.add.at(contributions, origins, effects)
        explained.append(_from_nothing(effects.sum(axis=0), contributions[:-1]))
    return explained


def _effects_of_words(vectorizer: MeanVectorizer, reading: Reading, centre: Vector) -> tuple[Matrix, NDArray[np.int64]]:
    """Return what each token adds to the unit mean less the centre, (tokens × dimensions), and its piece."""
    found = list(TOKEN.finditer(reading.text))
    weights = vectorizer.weigh([token.group() for token in found])
    of_tokens = (weights @ vectorizer.vectors_).astype(np.float64)
    length = np.linalg.norm(of_tokens.sum(axis=0))
    if length == 0:
        return np.zeros((0, len(centre))), np.zeros(0, dtype=np.int64)
    shares = np.asarray(weights.sum(axis=1), dtype=np.float64)
    effects = of_tokens / length - np.outer(shares / shares.sum(), centre)
    return effects, reading.origins[[token.start() for token in found]]


def _explain_frozen(
    model: GenreModel, vectorizer: FrozenEncoder, movies: ExplainedMovies, weights: Matrix
) -> list[Explanation]:
    readings = trace_documents(movies.table, model.spec.input, movies.pieces)
    return explain_frozen(vectorizer, weights, movies, readings)


def _from_nothing(value: Vector, contributions: Matrix) -> Explanation:
    return Explanation("exact", np.zeros(len(value)), value, contributions)


_EXPLAINERS: Final[tuple[tuple[Any, Callable[..., list[Explanation]]], ...]] = (
    (TERMS, _explain_terms),
    (MeanVectorizer, _explain_means),
    (FrozenEncoder, _explain_frozen),
)
