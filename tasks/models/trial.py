"""One trial of a search: a model fitted on shared features and scored on validation. Owns `data/search/<name>/`."""

from collections.abc import Sequence
from pathlib import Path

import polars as pl

from tasks.models.spec import ModelSpec
from tasks.models.train import TrainChoices, fit_on_features, save_scores
from tasks.paths import DataPaths
from tasks.stage import StageResult


def score_trial(paths: DataPaths, model: ModelSpec, features: Sequence[StageResult], choices: TrainChoices) -> Path:
    """Fit a trial's model and write its scores on validation, and on nothing else; return the folder they are in.

    They replace those of the trial before.

    Raises:
        ModelError: the model cannot be fitted, or its scores are not finite.
    """
    fitted = fit_on_features(paths, model, features, choices)
    folder = paths.search / model.name
    folder.mkdir(parents=True, exist_ok=True)
    validation = (fitted.movies.get_column("part").cast(pl.String) == "validation").to_numpy()
    save_scores(fitted, validation, folder / "scores_validation.parquet")
    return folder
