"""Models in a data folder other than the settings', each with all that it needs. Owns the order of the stages."""

from pathlib import Path

from tasks.models.cross_validation import all_but, gather_folds, train_fold
from tasks.models.features import build_features
from tasks.models.spec import ModelSpec, features_of
from tasks.models.train import TrainChoices, train_model
from tasks.paths import DataPaths
from tasks.schema import N_FOLDS
from tasks.stage import StageResult


def train_in(root: Path, model: ModelSpec, choices: TrainChoices) -> StageResult:
    """Fit a model on the train movies of a data folder and write what `train_model` does; errors as there."""
    paths = DataPaths(root)
    features = [build_features(paths, spec, choices.seed) for spec in features_of(model)]
    return train_model(paths, model, features, choices)


def score_folds_in(root: Path, model: ModelSpec, choices: TrainChoices) -> StageResult:
    """Score every movie of a data folder by a model that was fitted on the other folds of it; errors as there."""
    paths = DataPaths(root)
    folds = []
    for fold in range(N_FOLDS):
        features = [build_features(paths, spec, choices.seed) for spec in features_of(model, all_but(fold))]
        folds.append(train_fold(paths, model, features, fold, choices))
    return gather_folds(paths, model, folds)
