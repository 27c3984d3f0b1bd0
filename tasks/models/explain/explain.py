"""One way to ask any model for its reasons. Owns which method is whose."""

from collections.abc import Sequence

import numpy as np
import polars as pl

from tasks.models.ensemble import CLIP, EnsembleModel, SingleModel
from tasks.models.explain.encoders import explain_tuned
from tasks.models.explain.explanation import Explanation, clipped, weighted_sum
from tasks.models.explain.linear import explain_linear, is_linear
from tasks.models.explain.pieces import ExplainedMovies, cut_movies
from tasks.models.explain.shapley import explain_by_sampling
from tasks.models.genre_model import GenreModel
from tasks.models.own_fields import gather
from tasks.progress import Progress
from tasks.schema import DEFAULT_SEED

MAX_LOG_ODDS = float(np.log((1 - CLIP) / CLIP))  # that a member of an ensemble can have


def explain(
    model: SingleModel | EnsembleModel,
    movies: pl.DataFrame,
    asked: Sequence[Sequence[int]],
    seed: int = DEFAULT_SEED,
) -> tuple[ExplainedMovies, list[Explanation]]:
    """Explain the scores of some genres of each movie.

    - Linear and stacked classifiers: exact (`.linear`), but for the part of a frozen encoder.
    - Encoders, fine-tuned or frozen: integrated gradients (`.encoders`).
    - All other classifiers: Shapley values by sampling (`.shapley`).
    - Ensembles: the weighted sum of their members' explanations, each cut off as the member's log-odds are.

    Args:
        model: what `tasks.models.ensemble.load_model` gives.
        movies: as the model's `scores` takes them; a column of lemmas is not used.
        asked: for each movie the columns of the genres.
        seed: of the orders that are drawn.

    Returns:
        The movies' pieces, and an explanation a movie.
    """
    movies = gather(movies, model.own_fields)
    cut = ExplainedMovies(movies, cut_movies(movies), [tuple(columns) for columns in asked])
    return cut, _explain(model, cut, seed)


def is_exact(model: SingleModel | EnsembleModel) -> bool:
    """Return whether a model is explained by its weights alone: for all its genres at once, and fast."""
    return (
        isinstance(model, GenreModel)
        and is_linear(model)
        and all(representation.kind != "frozen-encoder" for representation in model.spec.representations)
    )


def _explain(model: SingleModel | EnsembleModel, movies: ExplainedMovies, seed: int) -> list[Explanation]:
    if isinstance(model, EnsembleModel):
        return _explain_ensemble(model, movies, seed)
    if not isinstance(model, GenreModel):
        return explain_tuned(model, movies)  # type: ignore[arg-type]  # the third kind; its class needs torch
    if is_linear(model):
        return explain_linear(model, movies)
    return explain_by_sampling(model, movies, seed)


def _explain_ensemble(model: EnsembleModel, movies: ExplainedMovies, seed: int) -> list[Explanation]:
    progress = Progress(f"explain {model.name}", len(model.members))
    members = []
    for member in model.members.values():
        members.append([clipped(of_movie, MAX_LOG_ODDS) for of_movie in _explain(member, movies, seed)])
        progress.advance()
    progress.finish()
    weights = [np.broadcast_to(np.asarray(weight, dtype=np.float64), len(model.genres)) for weight in model.weights]
    bias = weights[len(members)] if len(weights) > len(members) else np.zeros(len(model.genres))
    return [
        weighted_sum(of_movie, [weight[list(asked)] for weight in weights[: len(members)]], bias[list(asked)])
        for *of_movie, asked in zip(*members, movies.asked, strict=True)
    ]
