"""Cross-validation, and models trained in other data folders.

Representation and classifier are fitted for each fold on the movies of all other folds, of any part.
`data/cross_validation/<name>/` gets the scores, not the models.
"""

import json
import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import numpy as np
import polars as pl

from tasks.core.errors import DataError
from tasks.core.predictions import read_scores, write_scores
from tasks.core.schema import N_FOLDS
from tasks.core.settings import DataPaths
from tasks.models.blend import FITS, cross_fit_blend, mean_weights, read_truth
from tasks.models.features import ALL_BUT_FOLD, build_features
from tasks.models.spec import EnsembleSpec, ModelSpec, features_of
from tasks.models.train import FIT_FILE, TrainChoices, fit_on_features, identity, save_scores, train_model
from tasks.stage import Stage, StageResult, config_dict, run_stage

logger = logging.getLogger(__name__)

FOLD_SCORES: Final = "scores.parquet"
OUT_OF_FOLD: Final = "scores_out_of_fold.parquet"


def all_but(fold: int) -> str:
    """Return the `train_on` of features and models that are fitted without a fold."""
    return f"{ALL_BUT_FOLD}{fold}"


def train_fold(
    paths: DataPaths, model: ModelSpec, features: Sequence[StageResult], fold: int, choices: TrainChoices
) -> StageResult:
    """Fit a model on all movies outside a fold; write its scores of the movies inside, and its cost.

    `features` are the results of the feature stages of `features_of(model, all_but(fold))`, in that order. The
    `train_on` of `choices` is replaced.

    Raises:
        DataError: no movie is in the fold, or none outside it.
        ModelError: the classifier cannot be fitted, or its scores are not finite.
    """
    choices = replace(choices, train_on=all_but(fold))
    stage = Stage(
        name=f"train_{model.name}",
        folder=paths.cross_validation / model.name / f"fold-{fold}",
        outputs=(FOLD_SCORES, FIT_FILE),
        inputs=(paths.movies, paths.splits, paths.genres_json),
        **identity(model, features, choices),
    )

    def build(folder: Path) -> Mapping[str, Any]:
        fitted = fit_on_features(paths, model, features, choices)
        held_out = (fitted.movies.get_column("fold") == fold).to_numpy()
        if not held_out.any():
            raise DataError(f"{paths.splits}: no movie is in fold {fold}; cross-validation needs more movies")
        save_scores(fitted, held_out, folder / FOLD_SCORES)
        _write_cost(folder, fitted.fit_s)
        return {**fitted.counts, "held_out_movies": int(held_out.sum())}

    return run_stage(stage, build)


def gather_folds(paths: DataPaths, model: ModelSpec, folds: Sequence[StageResult]) -> StageResult:
    """Write the scores of all folds as one file, in the order of the clean table, with the mean cost of a fold.

    Raises:
        DataError: some movie has no score, or more than one.
    """
    stage = Stage(
        name="gather_folds",
        folder=paths.cross_validation / model.name,
        outputs=(OUT_OF_FOLD, FIT_FILE),
        inputs=(paths.splits, *(fold.folder / FOLD_SCORES for fold in folds)),
        config={"folds": [fold.fingerprint for fold in folds]},
        code=(Path(__file__),),
    )

    def build(folder: Path) -> Mapping[str, Any]:
        parts = [read_scores(fold.folder / FOLD_SCORES) for fold in folds]
        row_of = {movie: row for row, movie in enumerate(movie for part in parts for movie in part.movie_ids)}
        scores = np.concatenate([part.scores for part in parts])
        ids = pl.read_parquet(paths.splits, columns=["movie_id"]).get_column("movie_id").to_list()
        if len(scores) != len(ids) or row_of.keys() != set(ids):
            raise DataError(f"the folds of {model.name} hold {len(scores)} scores for {len(ids)} movies; run it again")
        write_scores(folder / OUT_OF_FOLD, ids, scores[[row_of[movie] for movie in ids]], parts[0].genres)
        costs = [json.loads((fold.folder / FIT_FILE).read_text(encoding="utf-8"))["fit_s"] for fold in folds]
        _write_cost(folder, float(np.mean(costs)))
        return {"movies": len(ids), "folds": len(folds)}

    return run_stage(stage, build)


def blend_folds(paths: DataPaths, ensemble: EnsembleSpec, gathered: Sequence[StageResult]) -> StageResult:
    """Blend out-of-fold scores (in the order of `ensemble.members`) with weights fitted on the other folds."""
    stage = Stage(
        name="blend_folds",
        folder=paths.cross_validation / ensemble.name,
        outputs=(OUT_OF_FOLD, FIT_FILE),
        inputs=(paths.movies, paths.splits, paths.genres_json),
        config={"ensemble": config_dict(ensemble), "gathered": [result.fingerprint for result in gathered]},
        code=(Path(__file__),),
        packages=("numpy", "scipy"),
    )

    def build(folder: Path) -> Mapping[str, Any]:
        members = [read_scores(result.folder / OUT_OF_FOLD) for result in gathered]
        scores = [member.scores for member in members]
        truth = read_truth(paths, members[0])
        fold_of = pl.read_parquet(paths.splits, columns=["fold"]).get_column("fold").to_numpy()
        start_s = time.perf_counter()
        fit = FITS[ensemble.method]
        blended = cross_fit_blend(scores, truth, fold_of, fit)
        _write_cost(folder, time.perf_counter() - start_s)
        write_scores(folder / OUT_OF_FOLD, members[0].movie_ids, blended, members[0].genres)
        return {"weights": mean_weights(ensemble.members, fit(scores, truth))}

    return run_stage(stage, build)


def _write_cost(folder: Path, fit_s: float) -> None:
    (folder / FIT_FILE).write_text(json.dumps({"fit_s": fit_s}) + "\n", encoding="utf-8")


def train_in(root: Path, model: ModelSpec, choices: TrainChoices) -> StageResult:
    """Build the features of a data folder and call `train_model`; errors as there."""
    paths = DataPaths(root)
    features = [build_features(paths, spec, choices.seed) for spec in features_of(model)]
    return train_model(paths, model, features, choices)


def score_folds_in(root: Path, model: ModelSpec, choices: TrainChoices) -> StageResult:
    """Score every movie of a data folder by a model fitted on the other folds; errors as `train_fold`."""
    paths = DataPaths(root)
    folds = []
    for fold in range(N_FOLDS):
        features = [build_features(paths, spec, choices.seed) for spec in features_of(model, all_but(fold))]
        folds.append(train_fold(paths, model, features, fold, choices))
    return gather_folds(paths, model, folds)
