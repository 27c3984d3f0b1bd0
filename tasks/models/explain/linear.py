"""Exact explanations of models that are linear in their vectors.

A column adds its value times its weight to the log-odds. This is shared among the words and fields behind the value:

- a term (word, n-gram, character n-gram) equally among its occurrences, an n-gram equally among its words, a character
  n-gram equally among its characters;
- a side field goes to its original value: the decade to the year, the runtime range to the runtime;
- the mean of word vectors is the sum of its words, for a given length. Contributions are measured from the average
  train movie: its vector is subtracted from each word by the word's share of the weights;
- a frozen encoder is not linear in its words: integrated gradients.

tf-idf vectors and means are normalised by a length that depends on all words. It is taken as given: a contribution says
what the word did in this movie, not what the score would be without it.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, Final

import numpy as np
from scipy import sparse

from tasks.models.encoder.frozen import FrozenEncoder
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

# A term and the pieces of one of its occurrences, among them NONE for characters outside of pieces.
Occurrence = tuple[str, Sequence[int]]


def is_linear(model: GenreModel) -> bool:
    """Return whether `explain_linear` can explain a model."""
    is_sum = isinstance(model.classifier, OneVsRestLinear) and not isinstance(model.classifier, ClassifierChains)
    return is_sum and all(isinstance(each, (*TERMS, MeanVectorizer, FrozenEncoder)) for each in model.vectorizers)


def explain_linear(model: GenreModel, movies: ExplainedMovies) -> list[Explanation]:
    """Explain a linear or a stacked classifier; clipping by a stack's first level is as in `pieces.clipped`."""
    if not isinstance(model.classifier, StackedLogisticRegression):
        return _explain_level(model, movies)
    first = _explain_level(model, replace(movies, asked=[tuple(range(len(model.genres)))] * len(movies.asked)))
    explained = []
    for of_movie, asked in zip(first, movies.asked, strict=True):
        cut = clipped(of_movie, MAX_LOGIT)
        weights = model.classifier.second_coef_.T[:, list(asked)].astype(np.float64)
        bias = model.classifier.second_intercept_[list(asked)].astype(np.float64)
        ends = (cut.base @ weights + bias, cut.value @ weights + bias)
        explained.append(Explanation(cut.method, *ends, cut.contributions @ weights))
    return explained


def _explain_level(model: GenreModel, movies: ExplainedMovies) -> list[Explanation]:
    """Explain `X W + b`: each vectorizer has its own columns of X and rows of W."""
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
    """Share each column of a row among the pieces of its term's occurrences."""
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
    """Return the terms of a text, each as often as it occurs, with the pieces of each occurrence."""
    occurrences: list[Occurrence] = []
    if isinstance(vectorizer, CharacterNgrams):
        for chunk in CHUNK.finditer(reading.text):
            padded = f" {chunk.group()} "
            origins = reading.origins[chunk.start() : chunk.end()].tolist()
            occurrences += [
                (padded[start : start + n], origins[max(start - 1, 0) : start - 1 + n] or origins[:1])
                for n in range(vectorizer.min_n, vectorizer.max_n + 1)
                for start in range(len(padded) - n + 1)
            ]
        return occurrences
    assert isinstance(vectorizer, BagOfWords)
    found = list(TOKEN.finditer(reading.text))
    words = [token.group() for token in found]
    origins = [int(reading.origins[token.start()]) for token in found]
    return [
        (" ".join(words[start : start + n]), origins[start : start + n])
        for n in range(1, vectorizer.max_n + 1)
        for start in range(len(words) - n + 1)
    ]


def _explain_means(
    model: GenreModel, vectorizer: MeanVectorizer, movies: ExplainedMovies, weights: Matrix
) -> list[Explanation]:
    centre, factor = vectorizer.columns_.astype(np.float64)
    scaled = factor[:, None] * vectorizer.weight * weights
    readings = trace_documents(movies.table, model.spec.input, movies.pieces)
    explained = []
    for reading, of_movie, asked in zip(readings, movies.pieces, movies.asked, strict=True):
        contributions = np.zeros((len(of_movie) + 1, len(asked)))  # the last row is for NONE
        value = np.zeros(len(asked))
        tokens = list(TOKEN.finditer(reading.text))
        of_words = vectorizer.weigh([token.group() for token in tokens])
        of_tokens = (of_words @ vectorizer.vectors_).astype(np.float64)
        length = np.linalg.norm(of_tokens.sum(axis=0))
        if length > 0:
            shares = np.asarray(of_words.sum(axis=1), dtype=np.float64)
            # What each token adds to the unit mean minus the centre.
            effects = (of_tokens / length - np.outer(shares / shares.sum(), centre)) @ scaled[:, list(asked)]
            np.add.at(contributions, reading.origins[[token.start() for token in tokens]], effects)
            value = effects.sum(axis=0)
        explained.append(_from_nothing(value, contributions[:-1]))
    return explained


def _explain_frozen(
    model: GenreModel, vectorizer: FrozenEncoder, movies: ExplainedMovies, weights: Matrix
) -> list[Explanation]:
    from tasks.models.explain.encoders import explain_frozen  # noqa: PLC0415 - torch takes seconds to import

    return explain_frozen(vectorizer, weights, movies, trace_documents(movies.table, model.spec.input, movies.pieces))


def _from_nothing(value: Vector, contributions: Matrix) -> Explanation:
    return Explanation("exact", np.zeros(len(value)), value, contributions)


_EXPLAINERS: Final[tuple[tuple[Any, Callable[..., list[Explanation]]], ...]] = (
    (TERMS, _explain_terms),
    (MeanVectorizer, _explain_means),
    (FrozenEncoder, _explain_frozen),
)
