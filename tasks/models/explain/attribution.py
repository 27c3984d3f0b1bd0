"""Attribution of any model's scores to words and fields of movies, as a table; docs/models.md lists the methods.

In linear and stacked classifiers a column adds its value times its weight to the log-odds. A term is shared equally
among its occurrences, an n-gram among its words, a character n-gram among its characters. A side field goes to its
original value: the decade to the year, the runtime range to the runtime. Contributions to a mean of word vectors are
measured from the average train movie: its vector is subtracted from each word by the word's share of the weights.
Lengths by which vectors are normalised depend on all words and are taken as given: a contribution says what the word
did in this movie, not what the score would be without it.
"""

import re
import zlib
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, Final, TypeGuard

import numpy as np
import polars as pl
from scipy import sparse

from tasks.core.logs import Progress
from tasks.core.schema import DEFAULT_SEED, EXPLANATIONS
from tasks.decision.calibration import log_odds
from tasks.models.encoder.frozen import FrozenEncoder, choose_device, mean_pool, padding_id
from tasks.models.explain import pieces as movie_pieces
from tasks.models.explain.pieces import NONE, TEXTS, ExplainedMovies, Explanation, Matrix, Reading, Vector, clipped
from tasks.models.genre_classifier import CLIP, EnsembleModel, GenreClassifier, SingleModel
from tasks.models.inputs import gather
from tasks.models.linear import MAX_LOGIT, ClassifierChains, OneVsRestLinear, StackedLogisticRegression
from tasks.models.pipeline import GenreModel
from tasks.models.vectorizers import TOKEN, BagOfWords, CharacterNgrams, SideFields, TermVectorizer
from tasks.models.word_vectors import MeanVectorizer

REST: Final = "rest"
N_ORDERS: Final = 10  # every second one is the reverse of the one before, which lowers the variance
MAX_LOG_ODDS: Final = float(np.log((1 - CLIP) / CLIP))  # of a member of an ensemble
# Integration steps; the second number only if the first leaves a difference above the tolerance. For a fine-tuned
# MiniLM, 16 leave 0.1 on average and 8 leave 1; for a frozen one, 8 leave 0.002.
TUNED_STEPS: Final = (16, 64)
FROZEN_STEPS: Final = (8, 32)
TOLERANCE: Final = 0.15  # log-odds
ROWS_AT_ONCE: Final = 64

# A term and the pieces of one of its occurrences, among them NONE for characters outside of pieces.
Occurrence = tuple[str, Sequence[int]]


def explain(
    model: SingleModel | EnsembleModel, movies: pl.DataFrame, asked: Sequence[Sequence[int]]
) -> tuple[ExplainedMovies, list[Explanation]]:
    """Return the movies' pieces, and for each movie what they add to the scores of the genres (columns) in `asked`."""
    movies = gather(movies, model.own_fields)
    cut = ExplainedMovies(movies, movie_pieces.cut_movies(movies), [tuple(columns) for columns in asked])
    return cut, _explain(model, cut)


def is_linear(model: SingleModel | EnsembleModel) -> TypeGuard[GenreModel]:
    """Return whether a model is a sum over its columns that can be shared among words and fields."""
    if not isinstance(model, GenreModel) or isinstance(model.classifier, ClassifierChains):
        return False
    kinds = (BagOfWords, CharacterNgrams, SideFields, MeanVectorizer, FrozenEncoder)
    return isinstance(model.classifier, OneVsRestLinear) and all(isinstance(each, kinds) for each in model.vectorizers)


def is_exact(model: SingleModel | EnsembleModel) -> bool:
    """Return whether a model's weights alone explain it: for all genres at once, and fast."""
    return is_linear(model) and not any(isinstance(each, FrozenEncoder) for each in model.vectorizers)


def _explain(model: SingleModel | EnsembleModel, movies: ExplainedMovies) -> list[Explanation]:
    if isinstance(model, EnsembleModel):
        return _explain_ensemble(model, movies)
    if not isinstance(model, GenreModel):
        return _explain_tuned(model, movies)
    if not is_linear(model):
        return explain_by_sampling(model, movies)
    if isinstance(model.classifier, StackedLogisticRegression):
        return _explain_stacked(model, movies)
    return _explain_linear(model, movies)


def _explain_ensemble(model: EnsembleModel, movies: ExplainedMovies) -> list[Explanation]:
    progress = Progress(f"explain {model.name}", len(model.members))
    members = []
    for member in model.members.values():
        members.append([clipped(of_movie, MAX_LOG_ODDS) for of_movie in _explain(member, movies)])
        progress.advance()
    progress.finish()
    weights = [np.broadcast_to(np.asarray(weight, dtype=np.float64), len(model.genres)) for weight in model.weights]
    bias = weights[len(members)] if len(weights) > len(members) else np.zeros(len(model.genres))
    return _sum(members, weights[: len(members)], bias, movies)


def _sum(
    parts: Sequence[Sequence[Explanation]], weights: Sequence[Vector], bias: Vector, movies: ExplainedMovies
) -> list[Explanation]:
    """Return the weighted sum of the parts' explanations of each movie; weights and bias are by genre."""
    return [
        movie_pieces.weighted_sum(of_movie, [weight[list(asked)] for weight in weights], bias[list(asked)])
        for *of_movie, asked in zip(*parts, movies.asked, strict=True)
    ]


def explain_by_sampling(
    model: GenreModel, movies: ExplainedMovies, seed: int = DEFAULT_SEED, n_orders: int = N_ORDERS
) -> list[Explanation]:
    """Explain each movie by what a piece adds to the log-odds when it joins those before it, averaged over orders.

    Contributions sum to the difference exactly for any number of orders; each is an unbiased estimate. Scores are
    clipped to `CLIP` and 1 - `CLIP`, since some classifiers give 0 and 1. Movies do not affect each other.

    Source: Castro, Gómez and Tejada 2009, Polynomial calculation of the Shapley value based on sampling; Štrumbelj and
    Kononenko 2014, Explaining prediction models and individual predictions with feature contributions.
    """
    fields = {field for each in model.vectorizers if isinstance(each, SideFields) for field in each.fields}
    read = {"description", *(["movie_name"] if model.spec.input.title else []), *fields}
    read |= {"year"} if "decade" in read else set()
    explained = []
    for text, pieces, asked in zip(movie_pieces.texts_of(movies.table), movies.pieces, movies.asked, strict=True):
        sources = (piece.source if piece.source in (*TEXTS, *movie_pieces.FIELDS) else "own" for piece in pieces)
        players = np.array([number for number, source in enumerate(sources) if source in read], dtype=np.int64)
        generator = np.random.default_rng([seed, zlib.crc32("\n".join(text).encode("utf-8", "surrogatepass"))])
        drawn = [generator.permutation(players) for _ in range((n_orders + 1) // 2)]
        orders = [order for forwards in drawn for order in (forwards, forwards[::-1])][:n_orders]
        joins = np.full((n_orders, 1, len(pieces)), len(players))  # the step after which a piece is present
        for number, order in enumerate(orders):
            joins[number, 0, order] = np.arange(len(players))
        present = joins < np.arange(len(players) + 1)[:, None]
        scores = model.scores(movie_pieces.rows_with(text, pieces, present.reshape(-1, len(pieces))))[:, list(asked)]
        values = log_odds(scores, CLIP).reshape(n_orders, len(players) + 1, len(asked))
        values[:, 0], values[:, -1] = values[0, 0], values[0, -1]  # the last digits depend on batches
        contributions = np.zeros((len(pieces), len(asked)))
        for order, steps in zip(orders, np.diff(values, axis=1), strict=True):
            contributions[order] += steps / n_orders
        explained.append(Explanation("shapley", values[0, 0], values[0, -1], contributions))
    return explained


def _explain_stacked(model: GenreModel, movies: ExplainedMovies) -> list[Explanation]:
    """Explain the second level by the first, which is clipped as in `pieces.clipped`."""
    first = _explain_linear(model, replace(movies, asked=[tuple(range(len(model.genres)))] * len(movies.asked)))
    explained = []
    for of_movie, asked in zip(first, movies.asked, strict=True):
        cut = clipped(of_movie, MAX_LOGIT)
        weights = model.classifier.second_coef_.T[:, list(asked)].astype(np.float64)
        bias = model.classifier.second_intercept_[list(asked)].astype(np.float64)
        ends = (cut.base @ weights + bias, cut.value @ weights + bias)
        explained.append(Explanation(cut.method, *ends, cut.contributions @ weights))
    return explained


def _explain_linear(model: GenreModel, movies: ExplainedMovies) -> list[Explanation]:
    """Explain `X W + b`: each vectorizer has its own columns of X and rows of W."""
    weights, at = model.classifier.coef_.T.astype(np.float64), 0
    readings = movie_pieces.trace_documents(movies, model.spec.input)
    parts: list[list[Explanation]] = []
    for vectorizer in model.vectorizers:
        of_columns = weights[at : (at := at + len(vectorizer.get_feature_names_out()))]
        if isinstance(vectorizer, FrozenEncoder):
            parts.append(_explain_frozen(vectorizer, of_columns, movies, readings))
        elif isinstance(vectorizer, MeanVectorizer):
            parts.append(_explain_means(vectorizer, of_columns, movies, readings))
        else:
            parts.append(_explain_terms(vectorizer, of_columns, movies, readings))
    bias = model.classifier.intercept_.astype(np.float64)
    return _sum(parts, [np.ones(len(bias))] * len(parts), bias, movies)


def _explain_terms(
    vectorizer: TermVectorizer, weights: Matrix, movies: ExplainedMovies, readings: Sequence[Reading]
) -> list[Explanation]:
    column_of = {term: column for column, term in enumerate(vectorizer.vocabulary_)}
    occurrences: list[list[Occurrence]]
    if isinstance(vectorizer, SideFields):
        lines = movie_pieces.trace_fields(movies, vectorizer.fields)
        occurrences = [[(line, (piece,)) for line, piece in of_movie] for of_movie in lines]
        X = vectorizer.transform(movies.table)
    else:
        occurrences = [_occurrences(reading, vectorizer) for reading in readings]
        X = vectorizer.transform([reading.text for reading in readings])
    return [
        _share(X[[row]], weights[:, list(asked)], column_of, occurrences[row], len(movies.pieces[row]))
        for row, asked in enumerate(movies.asked)
    ]


def _share(
    x: sparse.csr_array, weights: Matrix, column_of: dict[str, int], occurrences: Sequence[Occurrence], n_pieces: int
) -> Explanation:
    """Share each column of a row among the pieces of its term's occurrences."""
    place = {column: at for at, column in enumerate(x.indices.tolist())}
    known = [(place.get(column_of.get(term, NONE)), origins) for term, origins in occurrences]
    found = [(at, origins, 1 / len(origins)) for at, origins in known if at is not None]
    rows = [origin for _, origins, _ in found for origin in origins]
    columns = [at for at, origins, _ in found for _ in origins]
    shares = np.zeros((n_pieces + 1, len(place)))  # the last row is for NONE
    np.add.at(shares, (rows, columns), [share for _, origins, share in found for _ in origins])
    in_all = shares.sum(axis=0)
    effects = x.data[:, None].astype(np.float64) * weights[x.indices]
    contributions = (shares / np.where(in_all > 0, in_all, 1))[:n_pieces] @ effects
    value = effects.sum(axis=0)
    return Explanation("exact", np.zeros(len(value)), value, contributions)


def _occurrences(reading: Reading, vectorizer: TermVectorizer) -> list[Occurrence]:
    """Return the terms of a text, each as often as it occurs, with the pieces of each occurrence."""
    if isinstance(vectorizer, CharacterNgrams):
        return [
            (padded[start : start + n], origins[max(start - 1, 0) : start - 1 + n] or origins[:1])
            for chunk in re.finditer(r"\S+", reading.text)
            for padded, origins in [(f" {chunk.group()} ", reading.origins[slice(*chunk.span())].tolist())]
            for n in range(vectorizer.min_n, vectorizer.max_n + 1)
            for start in range(len(padded) - n + 1)
        ]
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
    vectorizer: MeanVectorizer, weights: Matrix, movies: ExplainedMovies, readings: Sequence[Reading]
) -> list[Explanation]:
    centre, factor = vectorizer.columns_.astype(np.float64)
    scaled = factor[:, None] * vectorizer.weight * weights
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
        explained.append(Explanation("exact", np.zeros(len(asked)), value, contributions[:-1]))
    return explained


def _explain_tuned(model: Any, movies: ExplainedMovies) -> list[Explanation]:
    """Explain a `TransformerModel`; the rest is from the template's words, special tokens, and the integral's error."""
    readings = movie_pieces.trace_template(movies, model.spec.input, model.spec.template)
    network = model.network.to(choose_device()).eval().requires_grad_(False)  # only the word embeddings have gradients
    model.tokenizer.enable_truncation(model.spec.max_tokens)
    attribute = partial(attribute_tokens, network, network.encoder, TUNED_STEPS)
    return _explain_tokens(attribute, model.tokenizer, movies, readings)


def _explain_frozen(
    vectorizer: FrozenEncoder, weights: Matrix, movies: ExplainedMovies, readings: Sequence[Reading]
) -> list[Explanation]:
    import torch  # noqa: PLC0415 - takes seconds

    encoder, tokenizer = vectorizer.network_and_tokenizer()
    tokenizer.enable_truncation(vectorizer.max_tokens)
    encoder.to(choose_device()).eval().requires_grad_(False)
    scaled = torch.from_numpy(weights * vectorizer.weight).float().to(choose_device())

    def add_columns(input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
        return torch.nn.functional.normalize(mean_pool(encoder, input_ids, attention_mask), dim=1) @ scaled

    attribute = partial(attribute_tokens, add_columns, encoder, FROZEN_STEPS)
    return _explain_tokens(attribute, tokenizer, movies, readings)


def _explain_tokens(
    attribute: Callable[..., Explanation], tokenizer: Any, movies: ExplainedMovies, readings: Sequence[Reading]
) -> list[Explanation]:
    """Sum the tokens of each piece; a token belongs to the piece of its first character that has one."""
    tokenizer.no_padding()
    explained = []
    for reading, pieces, asked in zip(readings, movies.pieces, movies.asked, strict=True):
        encoding = tokenizer.encode(reading.text)
        of_tokens = attribute(encoding, asked)
        spans = (reading.origins[start:end].tolist() for start, end in encoding.offsets)
        origins = [next((origin for origin in span if origin != NONE), NONE) for span in spans]
        contributions = np.zeros((len(pieces) + 1, len(asked)))  # the last row is for NONE
        np.add.at(contributions, origins, of_tokens.contributions)
        explained.append(replace(of_tokens, contributions=contributions[:-1]))
    return explained


def attribute_tokens(
    network: Callable[..., Any], encoder: Any, steps: Sequence[int], encoding: Any, columns: Sequence[int]
) -> Explanation:
    """Attribute a network's columns to the tokens of a text; `network` reads ids and mask by the encoder.

    Gradients are integrated through the word embeddings, from padding (special tokens kept) to the text. A column whose
    error is above `TOLERANCE` takes the next number of steps.

    Source: Sundararajan, Taly and Yan 2017, Axiomatic Attribution for Deep Networks.
    """
    import torch  # noqa: PLC0415 - takes seconds
    from captum.attr import LayerIntegratedGradients  # noqa: PLC0415 - imports torch

    ids = torch.tensor([encoding.ids], device=choose_device())
    is_special = torch.tensor([encoding.special_tokens_mask], device=ids.device).bool()
    baseline = torch.where(is_special, ids, padding_id(encoder))
    mask = torch.ones_like(ids)
    with torch.inference_mode():
        ends = network(torch.cat([baseline, ids]), mask.repeat(2, 1)).double().cpu().numpy()
    base, value = ends[:, list(columns)]
    gradients = LayerIntegratedGradients(network, encoder.get_input_embeddings())
    contributions = np.zeros((ids.shape[1], len(columns)))
    inexact = np.arange(len(columns))
    for n_steps in steps:
        if inexact.size:
            repeated, start, masks = (each.repeat(len(inexact), 1) for each in (ids, baseline, mask))
            target = torch.tensor(np.array(columns)[inexact], device=ids.device)
            options = {"n_steps": n_steps, "method": "gausslegendre", "internal_batch_size": ROWS_AT_ONCE}
            attributed = gradients.attribute(repeated, start, target=target, additional_forward_args=masks, **options)
            contributions[:, inexact] = attributed.double().sum(dim=-1).T.cpu().numpy()
            inexact = np.flatnonzero(np.abs(contributions.sum(axis=0) - (value - base)) > TOLERANCE)
    return Explanation("integrated-gradients", base, value, contributions)


def explain_decided(classifier: GenreClassifier, movies: pl.DataFrame, rule: str | None = None) -> pl.DataFrame:
    """Return `schema.EXPLANATIONS` of the genres that a rule decides for each movie, and of true ones that it misses.

    `movies` need `movie_id`, the columns that `GenreClassifier.predict` reads, and `genres` (lists) if known. Every
    movie and genre has a row for the rest, and no rows for pieces that contribute nothing.
    """
    asked = decided_or_missed(classifier, movies, rule)
    cut, explanations = explain(classifier.model, movies, asked)
    rows: list[tuple[Any, ...]] = []
    for movie_id, pieces, each, columns in zip(movies["movie_id"], cut.pieces, explanations, asked, strict=True):
        for place, column in enumerate(columns):
            ends = (float(each.base[place]), float(each.value[place]))
            common = (movie_id, classifier.genres[column], each.method, *ends)
            rows += [
                (*common, piece.source, piece.start, piece.end, piece.text, contribution)
                for piece, contribution in zip(pieces, each.contributions[:, place].tolist(), strict=True)
                if contribution
            ]
            rows.append((*common, REST, None, None, "", float(each.rest[place])))
    return pl.DataFrame(rows, schema=EXPLANATIONS, orient="row")


def decided_or_missed(classifier: GenreClassifier, movies: pl.DataFrame, rule: str | None = None) -> list[list[int]]:
    """Return the columns of the genres that a rule decides for each movie, and of those in `genres` that it misses."""
    decided = classifier.predict(movies, rule).get_column("genres").str.split(", ").to_list()
    true = movies.get_column("genres").to_list() if "genres" in movies.columns else [[]] * movies.height
    return [
        [column for column, genre in enumerate(classifier.genres) if genre in {*of_rule, *of_movie}]
        for of_rule, of_movie in zip(decided, true, strict=True)
    ]


def reasons(rows: pl.DataFrame) -> list[tuple[str, float]]:
    """Return the words and field values of one movie and genre with their summed contributions, the strongest first."""
    summed = (
        rows.filter(pl.col("source") != REST)
        .group_by(pl.col("piece").str.to_lowercase().alias("key"), maintain_order=True)
        .agg(pl.col("piece").first(), pl.col("contribution").sum())
        .sort(pl.col("contribution").abs(), descending=True, maintain_order=True)
    )
    return summed.select("piece", "contribution").rows()


def strongest(table: pl.DataFrame) -> float:
    """Return the largest absolute contribution in the table; 0 if there is none."""
    found = table.filter(pl.col("source") != REST).get_column("contribution").abs().max()
    return float(found or 0)  # type: ignore[arg-type]
