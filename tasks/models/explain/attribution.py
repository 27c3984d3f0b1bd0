"""Attribution of any model's scores to the words and fields of movies, as a table."""

import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from tasks.core.logs import Progress
from tasks.core.schema import DEFAULT_SEED, EXPLANATIONS
from tasks.decision.calibration import log_odds
from tasks.models.explain.linear import explain_linear, is_linear
from tasks.models.explain.pieces import (
    FIELDS,
    TEXTS,
    ExplainedMovies,
    Explanation,
    Piece,
    clipped,
    cut_movies,
    rows_with,
    texts_of,
    weighted_sum,
)
from tasks.models.genre_classifier import CLIP, EnsembleModel, GenreClassifier, SingleModel
from tasks.models.inputs import gather
from tasks.models.pipeline import GenreModel
from tasks.models.vectorizers import SideFields

N_ORDERS: Final = 10  # every second one is the reverse of the one before, which lowers the variance
MAX_LOG_ODDS: Final = float(np.log((1 - CLIP) / CLIP))  # of a member of an ensemble
REST: Final = "rest"


def explain(
    model: SingleModel | EnsembleModel, movies: pl.DataFrame, asked: Sequence[Sequence[int]]
) -> tuple[ExplainedMovies, list[Explanation]]:
    """Return the movies' pieces, and for each movie what they add to the scores of the genres (columns) in `asked`.

    - Linear and stacked classifiers: exact (`.linear`), except for the columns of a frozen encoder.
    - Encoders, fine-tuned or frozen: integrated gradients (`.encoders`).
    - All other classifiers: Shapley values by sampling.
    - Ensembles: the weighted sum of their members' explanations, each clipped as the member's log-odds are.

    A column of lemmas is not used.
    """
    movies = gather(movies, model.own_fields)
    cut = ExplainedMovies(movies, cut_movies(movies), [tuple(columns) for columns in asked])
    return cut, _explain(model, cut)


def is_exact(model: SingleModel | EnsembleModel) -> bool:
    """Return whether a model's weights alone explain it: for all genres at once, and fast."""
    if not isinstance(model, GenreModel) or not is_linear(model):
        return False
    return all(representation.kind != "frozen-encoder" for representation in model.spec.representations)


def _explain(model: SingleModel | EnsembleModel, movies: ExplainedMovies) -> list[Explanation]:
    if isinstance(model, EnsembleModel):
        return _explain_ensemble(model, movies)
    if not isinstance(model, GenreModel):
        from tasks.models.explain.encoders import explain_tuned  # noqa: PLC0415 - torch takes seconds to import

        return explain_tuned(model, movies)
    return explain_linear(model, movies) if is_linear(model) else explain_by_sampling(model, movies)


def _explain_ensemble(model: EnsembleModel, movies: ExplainedMovies) -> list[Explanation]:
    progress = Progress(f"explain {model.name}", len(model.members))
    members = []
    for member in model.members.values():
        members.append([clipped(of_movie, MAX_LOG_ODDS) for of_movie in _explain(member, movies)])
        progress.advance()
    progress.finish()
    weights = [np.broadcast_to(np.asarray(weight, dtype=np.float64), len(model.genres)) for weight in model.weights]
    bias = weights[len(members)] if len(weights) > len(members) else np.zeros(len(model.genres))
    return [
        weighted_sum(of_movie, [weight[list(asked)] for weight in weights[: len(members)]], bias[list(asked)])
        for *of_movie, asked in zip(*members, movies.asked, strict=True)
    ]


def explain_by_sampling(
    model: GenreModel, movies: ExplainedMovies, seed: int = DEFAULT_SEED, n_orders: int = N_ORDERS
) -> list[Explanation]:
    """Explain each movie by what a piece adds to the log-odds when it joins those before it, averaged over orders.

    Contributions sum to the difference exactly for any number of orders; each is an unbiased estimate. Scores are
    clipped to `CLIP` and 1 - `CLIP`, since some classifiers give 0 and 1. Movies do not affect each other.

    Source:
        Castro, Gómez and Tejada 2009, Polynomial calculation of the Shapley value based on sampling;
        Štrumbelj and Kononenko 2014, Explaining prediction models and individual predictions with feature
        contributions.
    """
    explained = []
    for text, pieces, asked in zip(texts_of(movies.table), movies.pieces, movies.asked, strict=True):
        players = _read_pieces(model, pieces)
        generator = np.random.default_rng([seed, zlib.crc32("\n".join(text).encode("utf-8", "surrogatepass"))])
        drawn = [generator.permutation(players) for _ in range((n_orders + 1) // 2)]
        orders = [order for forwards in drawn for order in (forwards, forwards[::-1])][:n_orders]
        present = np.zeros((n_orders, len(players) + 1, len(pieces)), dtype=np.bool_)
        for number, order in enumerate(orders):
            for step, player in enumerate(order, start=1):
                present[number, step:, player] = True
        scores = model.scores(rows_with(text, pieces, present.reshape(-1, len(pieces))))[:, list(asked)]
        values = log_odds(scores, CLIP).reshape(n_orders, len(players) + 1, len(asked))
        values[:, 0], values[:, -1] = values[0, 0], values[0, -1]  # the last digits depend on batches
        contributions = np.zeros((len(pieces), len(asked)))
        for order, steps in zip(orders, np.diff(values, axis=1), strict=True):
            contributions[order] += steps / n_orders
        explained.append(Explanation("shapley", values[0, 0], values[0, -1], contributions))
    return explained


def _read_pieces(model: GenreModel, pieces: Sequence[Piece]) -> NDArray[np.int64]:
    """Return the numbers of the pieces that a model reads; the others add nothing."""
    sources = {"description"} | ({"movie_name"} if model.spec.input.title else set())
    for vectorizer in model.vectorizers:
        if isinstance(vectorizer, SideFields):
            sources |= {"year" if field == "decade" else field for field in vectorizer.fields}
            if "own" in vectorizer.fields:
                sources |= {piece.source for piece in pieces}.difference(TEXTS, FIELDS)
    return np.array([number for number, piece in enumerate(pieces) if piece.source in sources], dtype=np.int64)


def explain_decided(classifier: GenreClassifier, movies: pl.DataFrame, rule: str | None = None) -> pl.DataFrame:
    """Return `schema.EXPLANATIONS` of the genres that a rule decides for each movie, and of true ones that it misses.

    `movies` need `movie_id`, the columns that `GenreClassifier.predict` reads, and `genres` (lists) if known. Every
    movie and genre has a row for the rest, and no rows for pieces that contribute nothing.
    """
    asked = decided_or_missed(classifier, movies, rule)
    cut, explanations = explain(classifier.model, movies, asked)
    of_movies = zip(movies.get_column("movie_id").to_list(), cut.pieces, explanations, asked, strict=True)
    rows = [
        row
        for movie_id, pieces, of_movie, columns in of_movies
        for place, column in enumerate(columns)
        for row in _rows(movie_id, classifier.genres[column], pieces, of_movie, place)
    ]
    return pl.DataFrame(rows, schema=EXPLANATIONS, orient="row")


def decided_or_missed(classifier: GenreClassifier, movies: pl.DataFrame, rule: str | None = None) -> list[list[int]]:
    """Return the columns of the genres that a rule decides for each movie, and of those in `genres` that it misses."""
    decided = classifier.predict(movies, rule).get_column("genres").str.split(", ").to_list()
    true = movies.get_column("genres").to_list() if "genres" in movies.columns else [[]] * movies.height
    return [
        [column for column, genre in enumerate(classifier.genres) if genre in {*of_rule, *of_movie}]
        for of_rule, of_movie in zip(decided, true, strict=True)
    ]


def _rows(
    movie_id: str, genre: str, pieces: Sequence[Piece], explanation: Explanation, place: int
) -> list[tuple[Any, ...]]:
    common = (movie_id, genre, explanation.method, float(explanation.base[place]), float(explanation.value[place]))
    rows: list[tuple[Any, ...]] = [
        (*common, piece.source, piece.start, piece.end, piece.text, contribution)
        for piece, contribution in zip(pieces, explanation.contributions[:, place].tolist(), strict=True)
        if contribution
    ]
    return [*rows, (*common, REST, None, None, "", float(explanation.rest[place]))]


@dataclass(frozen=True)
class Reason:
    """A word or field value, and the sum of its contributions."""

    text: str
    contribution: float


def reasons(rows: pl.DataFrame) -> list[Reason]:
    """Return the words and field values of one movie and genre, each once, the strongest first, without the rest."""
    summed = (
        rows.filter(pl.col("source") != REST)
        .group_by(pl.col("piece").str.to_lowercase().alias("key"), maintain_order=True)
        .agg(pl.col("piece").first(), pl.col("contribution").sum())
        .sort(pl.col("contribution").abs(), descending=True, maintain_order=True)
    )
    return [Reason(*row) for row in summed.select("piece", "contribution").iter_rows()]


def strongest(table: pl.DataFrame) -> float:
    """Return the largest absolute contribution in the table; 0 if there is none."""
    found = table.filter(pl.col("source") != REST).get_column("contribution").abs().max()
    return float(found or 0)  # type: ignore[arg-type]
