"""Ensembles: weights for the scores of trained models, fitted on validation or out of fold."""

import logging
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from tasks.core.predictions import Scores, read_scores, truth_matrix, write_scores
from tasks.core.settings import DataPaths
from tasks.decision.calibration import log_odds, logistic
from tasks.models import train
from tasks.models.encoder.fine_tune import TRANSFORMER_FILES
from tasks.models.features import read_genres
from tasks.models.genre_classifier import CLIP, MEMBERS, EnsembleModel, Weights, blend, load_single
from tasks.models.pipeline import FILES, MODEL_FILE
from tasks.models.spec import EnsembleSpec, SingleModel, TransformerSpec
from tasks.stage import Stage, StageResult, config_dict, run_stage

logger = logging.getLogger(__name__)

FOLDS: Final = 5
PRIOR_MOVIES: Final = 10

Floats = NDArray[np.float64]
Truth = NDArray[np.bool_]  # (movies × genres)
MemberScores = Sequence[NDArray[np.float32]]  # each (movies × genres)
Bound = tuple[float | None, float | None]


def train_ensemble(
    paths: DataPaths, ensemble: EnsembleSpec, members: Sequence[SingleModel], trained: Sequence[StageResult]
) -> StageResult:
    """Fit the weights of trained models on validation, and write the ensemble as `train_model` writes a model.

    `members` and the results of their train stages are in the order of `ensemble.members`. Scores on validation are
    cross-fitted over five folds; those on test, and the stored model, use weights fitted on all of validation.
    """
    model_files = [
        f"{train.MODEL_FOLDER}/{MEMBERS}/{member.name}/{name}"
        for member in members
        for name in (TRANSFORMER_FILES if isinstance(member, TransformerSpec) else FILES)
    ]
    stage = Stage(
        folder=paths.models / ensemble.name,
        outputs=(f"{train.MODEL_FOLDER}/{MODEL_FILE}", *model_files, *train.PART_SCORES, train.FIT_FILE),
        **_depends_on(paths, ensemble, "train", {"trained": [result.fingerprint for result in trained]}),
    )

    def build(folder: Path) -> Mapping[str, Any]:
        start_s = time.perf_counter()
        validation, test = ([read_scores(result.folder / name) for result in trained] for name in train.PART_SCORES)
        scores, truth = [member.scores for member in validation], _read_truth(paths, validation[0])
        fit = FITS[ensemble.method]
        weights = fit(scores, truth)
        blended = cross_fit_blend(scores, truth, fit=fit), blend([member.scores for member in test], weights)
        for name, (first, *_), part_scores in zip(train.PART_SCORES, (validation, test), blended, strict=True):
            write_scores(folder / name, first.movie_ids, part_scores, first.genres)
        fit_s = time.perf_counter() - start_s + sum(train.read_fit_time(result.folder) for result in trained)
        loaded = {result.folder.name: load_single(result.folder / train.MODEL_FOLDER) for result in trained}
        model = EnsembleModel(ensemble.name, loaded, weights)
        train.save_model(model, pl.read_parquet(paths.movies).head(train.RATE_SAMPLE), fit_s, folder)
        shown = _mean_weights(loaded, weights)
        logger.info("%s: %s", ensemble.name, ", ".join(f"{weight:g} × {name}" for name, weight in shown.items()))
        return {"weights": shown}

    return run_stage(stage, build)


def blend_folds(paths: DataPaths, ensemble: EnsembleSpec, gathered: Sequence[StageResult]) -> StageResult:
    """Blend out-of-fold scores (in the order of `ensemble.members`) with weights fitted on the other folds."""
    stage = Stage(
        folder=paths.cross_validation / ensemble.name,
        outputs=(train.OUT_OF_FOLD, train.FIT_FILE),
        **_depends_on(paths, ensemble, "blend_folds", {"gathered": [result.fingerprint for result in gathered]}),
    )

    def build(folder: Path) -> Mapping[str, Any]:
        members = [read_scores(result.folder / train.OUT_OF_FOLD) for result in gathered]
        scores, truth = [member.scores for member in members], _read_truth(paths, members[0])
        fit = FITS[ensemble.method]
        fold_of = pl.read_parquet(paths.splits, columns=["fold"]).get_column("fold").to_numpy()
        start_s = time.perf_counter()
        blended = cross_fit_blend(scores, truth, fold_of, fit)
        train.write_fit_time(folder, time.perf_counter() - start_s)
        write_scores(folder / train.OUT_OF_FOLD, members[0].movie_ids, blended, members[0].genres)
        return {"weights": _mean_weights(ensemble.members, fit(scores, truth))}

    return run_stage(stage, build)


def _depends_on(paths: DataPaths, ensemble: EnsembleSpec, stage_name: str, given: dict[str, Any]) -> dict[str, Any]:
    return {
        "name": stage_name,
        "inputs": (paths.movies, paths.splits, paths.genres_json),
        "config": {"ensemble": config_dict(ensemble), **given},
        "code": (Path(__file__),),
        "packages": ("numpy", "scipy"),
    }


def _mean_weights(members: Iterable[str], weights: Weights) -> dict[str, float]:
    """Return each member's weight, for a stack the mean over genres, to three decimals."""
    return {name: round(float(np.mean(weight)), 3) for name, weight in zip(members, weights, strict=False)}


def fit_weights(scores: MemberScores, truth: Truth) -> tuple[float, ...]:
    """Return non-negative weights of the lowest log loss for members' scores, (movies × genres), of held-out movies."""
    logits = np.stack([log_odds(member, CLIP).ravel() for member in scores])
    start = np.full(len(logits), 1 / len(logits))
    return tuple(_fit_logistic(logits, truth.ravel(), start, 0.0, [(0.0, None)] * len(logits)).tolist())


def fit_stack(scores: MemberScores, truth: Truth) -> Weights:
    """Return weights by member and genre, shrunk to those of all genres, and biases by genre; lowest log loss."""
    logits = np.stack([*(log_odds(member, CLIP) for member in scores), np.ones(truth.shape)])
    common = np.array([*fit_weights(scores, truth), 0.0])
    bounds = [*[(0.0, None)] * len(scores), (None, None)]
    fitted = [
        _fit_logistic(
            np.ascontiguousarray(logits[:, :, genre]), truth[:, genre], common, PRIOR_MOVIES / len(truth), bounds
        )
        for genre in range(truth.shape[1])
    ]
    return tuple(map(tuple, np.array(fitted).T.tolist()))


def _fit_logistic(inputs: Floats, y: Truth, prior: Floats, strength: float, bounds: Sequence[Bound]) -> Floats:
    """Return weights of (inputs × rows) that minimise log loss plus a quadratic penalty on the distance to a prior."""
    from scipy.optimize import minimize  # noqa: PLC0415 - takes half a second, which other runs need not pay

    def loss(weights: Floats) -> tuple[float, Floats]:
        total, away = weights @ inputs, weights - prior
        slopes = ((logistic(total) - y) * inputs).mean(axis=1) + strength * away
        return float((np.logaddexp(0, total) - y * total).mean() + strength / 2 * away @ away), slopes

    return np.asarray(minimize(loss, prior, jac=True, bounds=bounds, method="L-BFGS-B").x)


Fit = Callable[[MemberScores, Truth], Weights]
FITS: Final[dict[str, Fit]] = {"blend": fit_weights, "stack": fit_stack}


def cross_fit_blend(
    scores: MemberScores, truth: Truth, fold_of: NDArray[np.integer[Any]] | None = None, fit: Fit = fit_weights
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


def _read_truth(paths: DataPaths, scores: Scores) -> Truth:
    """Return the true genres of scored movies, in the shape of the scores."""
    movies = pl.read_parquet(paths.movies, columns=["movie_id", "genres"])
    wanted = pl.DataFrame({"movie_id": scores.movie_ids}, schema={"movie_id": pl.String})
    genres = wanted.join(movies, on="movie_id", how="left", maintain_order="left").get_column("genres")
    return truth_matrix(genres.to_list(), scores.genres, ignored=read_genres(paths))
