"""The train stage of an ensemble: weights for the scores of trained models."""

import json
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from tasks.core.predictions import Scores, read_scores, truth_matrix, write_scores
from tasks.core.settings import DataPaths
from tasks.decision.calibration import log_odds, logistic
from tasks.models.encoder.fine_tune import TRANSFORMER_FILES
from tasks.models.features import read_genres
from tasks.models.genre_classifier import CLIP, MEMBERS, EnsembleModel, Weights, blend, load_single
from tasks.models.pipeline import FILES
from tasks.models.spec import EnsembleSpec, SingleModel, TransformerSpec
from tasks.models.train import FIT_FILE, MODEL_FOLDER, RATE_SAMPLE, SCORED_PARTS, save_model
from tasks.stage import Stage, StageResult, config_dict, run_stage

logger = logging.getLogger(__name__)

FOLDS: Final = 5
PRIOR_MOVIES: Final = 10


def train_ensemble(
    paths: DataPaths, ensemble: EnsembleSpec, members: Sequence[SingleModel], trained: Sequence[StageResult]
) -> StageResult:
    """Fit the weights of trained models on validation, and write the ensemble as `train_model` writes a model.

    `members` and the results of their train stages are in the order of `ensemble.members`. Scores on validation are
    cross-fitted over five folds. Scores on test, and the stored model, use the weights fitted on all of validation. The
    fit time includes that of the members.
    """
    stage = Stage(
        name="train",
        folder=paths.models / ensemble.name,
        outputs=(
            f"{MODEL_FOLDER}/model.json",
            *(
                f"{MODEL_FOLDER}/{MEMBERS}/{member.name}/{name}"
                for member in members
                for name in (TRANSFORMER_FILES if isinstance(member, TransformerSpec) else FILES)
            ),
            *(f"scores_{part}.parquet" for part in SCORED_PARTS),
            FIT_FILE,
        ),
        inputs=(paths.movies, paths.splits, paths.genres_json),
        config={"ensemble": config_dict(ensemble), "trained": [result.fingerprint for result in trained]},
        code=(Path(__file__),),
        packages=("numpy", "scipy"),
    )

    def build(folder: Path) -> Mapping[str, Any]:
        start_s = time.perf_counter()
        by_part = {
            part: [read_scores(result.folder / f"scores_{part}.parquet") for result in trained] for part in SCORED_PARTS
        }
        scores = {part: [member.scores for member in members] for part, members in by_part.items()}
        truth = read_truth(paths, by_part["validation"][0])
        fit = FITS[ensemble.method]
        weights = fit(scores["validation"], truth)
        blended = {
            "validation": cross_fit_blend(scores["validation"], truth, fit=fit),
            "test": blend(scores["test"], weights),
        }
        for part, (first, *_) in by_part.items():
            write_scores(folder / f"scores_{part}.parquet", first.movie_ids, blended[part], first.genres)
        costs = [json.loads((result.folder / FIT_FILE).read_text(encoding="utf-8")) for result in trained]
        fit_s = time.perf_counter() - start_s + sum(float(cost["fit_s"]) for cost in costs)
        loaded = {result.folder.name: load_single(result.folder / MODEL_FOLDER) for result in trained}
        model = EnsembleModel(ensemble.name, loaded, weights)
        save_model(model, pl.read_parquet(paths.movies).head(RATE_SAMPLE), fit_s, folder)
        shown = mean_weights(tuple(loaded), weights)
        logger.info("%s: %s", ensemble.name, ", ".join(f"{weight:g} × {name}" for name, weight in shown.items()))
        return {"weights": shown}

    return run_stage(stage, build)


def mean_weights(members: Sequence[str], weights: Weights) -> dict[str, float]:
    """Return each member's weight, for a stack the mean over genres, to three decimals."""
    return {name: round(float(np.mean(weight)), 3) for name, weight in zip(members, weights, strict=False)}


def fit_weights(scores: Sequence[NDArray[np.float32]], truth: NDArray[np.bool_]) -> tuple[float, ...]:
    """Return non-negative weights of the lowest log loss for members' scores, (movies × genres), of held-out movies."""
    logits = np.stack([log_odds(member, CLIP).ravel() for member in scores])
    start = np.full(len(logits), 1 / len(logits))
    fitted = _fit_logistic(logits, truth.ravel(), start, 0.0, [(0.0, None)] * len(logits))
    return tuple(float(weight) for weight in fitted)


def fit_stack(scores: Sequence[NDArray[np.float32]], truth: NDArray[np.bool_]) -> Weights:
    """Return weights by member and genre, shrunk to those of all genres, and biases by genre; lowest log loss."""
    logits = np.stack([log_odds(member, CLIP) for member in scores])
    common = np.array([*fit_weights(scores, truth), 0.0])
    strength = PRIOR_MOVIES / len(truth)
    bounds = [*[(0.0, None)] * len(scores), (None, None)]
    bias = np.ones((1, len(truth)))
    fitted = [
        _fit_logistic(np.vstack([logits[:, :, genre], bias]), truth[:, genre], common, strength, bounds)
        for genre in range(truth.shape[1])
    ]
    return tuple(tuple(float(weight) for weight in row) for row in np.array(fitted).T)


def _fit_logistic(
    inputs: NDArray[np.float64],
    y: NDArray[np.bool_],
    prior: NDArray[np.float64],
    strength: float,
    bounds: Sequence[tuple[float | None, float | None]],
) -> NDArray[np.float64]:
    """Return weights of (inputs × rows) that minimise log loss plus a quadratic penalty on the distance to a prior."""
    from scipy.optimize import minimize  # noqa: PLC0415 - takes half a second, which other runs need not pay

    def loss(weights: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        total, away = weights @ inputs, weights - prior
        slopes = ((logistic(total) - y) * inputs).mean(axis=1) + strength * away
        return float((np.logaddexp(0, total) - y * total).mean() + strength / 2 * away @ away), slopes

    return np.asarray(minimize(loss, prior, jac=True, bounds=bounds, method="L-BFGS-B").x)


Fit = Callable[[Sequence[NDArray[np.float32]], NDArray[np.bool_]], Weights]
FITS: Final[dict[str, Fit]] = {"blend": fit_weights, "stack": fit_stack}


def cross_fit_blend(
    scores: Sequence[NDArray[np.float32]],
    truth: NDArray[np.bool_],
    fold_of: NDArray[np.integer[Any]] | None = None,
    fit: Fit = fit_weights,
) -> NDArray[np.float32]:
    """Return blended scores, those of each fold with weights fitted on the other folds; arguments as `fit_weights`.

    `fold_of` is the fold of each movie, (movies,). Default: every fifth movie is in the same fold.
    """
    blended = np.empty_like(scores[0])
    if fold_of is None:
        fold_of = np.arange(len(truth)) % min(FOLDS, len(truth))
    for fold in np.unique(fold_of):
        held_out = fold_of == fold
        others = held_out if held_out.all() else ~held_out
        weights = fit([member[others] for member in scores], truth[others])
        blended[held_out] = blend([member[held_out] for member in scores], weights)
    return blended


def read_truth(paths: DataPaths, scores: Scores) -> NDArray[np.bool_]:
    """Return the true genres of scored movies, in the shape of the scores."""
    movies = pl.read_parquet(paths.movies, columns=["movie_id", "genres"])
    wanted = pl.DataFrame({"movie_id": scores.movie_ids}, schema={"movie_id": pl.String})
    genres = wanted.join(movies, on="movie_id", how="left", maintain_order="left").get_column("genres")
    return truth_matrix(genres.to_list(), scores.genres, ignored=read_genres(paths))
