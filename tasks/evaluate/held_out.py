"""Probabilities of movies that a model was not trained on. Owns where they are found and how they meet the truth."""

import logging
from collections.abc import Container, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from tasks.decision.calibration import Calibration
from tasks.evaluate.parts import OUT_OF_FOLD, read_part, scores_path
from tasks.paths import DataPaths

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class HeldOut:
    """Probabilities of one model for movies that it was not trained on, sorted by id, and the truth about them."""

    model: str
    movie_ids: tuple[str, ...]
    genres: tuple[str, ...]
    truth: NDArray[np.bool_]  # (n_movies, n_genres)
    probabilities: NDArray[np.float64]  # of the same shape
    parts: tuple[str, ...]  # where the scores of each movie are from


def held_out_files(folder: Path, paths: DataPaths, like: Container[str] = (OUT_OF_FOLD,)) -> dict[str, Path]:
    """Return the files with a model's scores of movies that it was not trained on, by part.

    Args:
        folder: of the model.
        paths: the data folder.
        like: parts of the model that it is set beside. Without "out_of_fold" there, and where a model has no such
            scores of the movies of today, it is validation and test.
    """
    out_of_fold = scores_path(paths.cross_validation / folder.name, OUT_OF_FOLD)
    if OUT_OF_FOLD in like and out_of_fold.is_file():
        ids = [pl.read_parquet(path, columns=["movie_id"])["movie_id"] for path in (out_of_fold, paths.splits)]
        if ids[0].sort().equals(ids[1].sort()):
            return {OUT_OF_FOLD: out_of_fold}
        logger.warning("%s is not of the movies of %s: passed over; cross-validate again", out_of_fold, paths.splits)
    return {part: scores_path(folder, part) for part in ("validation", "test")}


def read_held_out(folder: Path, files: Mapping[str, Path], paths: DataPaths) -> HeldOut:
    """Return a model's calibrated scores of movies that it was not trained on, with the truth.

    Raises:
        DataError: a file is missing, damaged or of other movies.
    """
    parts = {name: read_part(path.parent, name, paths) for name, path in files.items()}
    ids = [movie for part in parts.values() for movie in part.scores.movie_ids]
    order = np.argsort(np.array(ids))  # whatever the order of the files' rows, the figures are the same
    scores = np.concatenate([part.scores.scores for part in parts.values()])[order]
    truth = np.concatenate([part.truth for part in parts.values()])[order]
    names = [name.replace("_", " ") for name, part in parts.items() for _ in part.scores.movie_ids]
    return HeldOut(
        model=folder.name,
        movie_ids=tuple(ids[row] for row in order),
        genres=next(iter(parts.values())).scores.genres,
        truth=truth,
        probabilities=Calibration.fit(scores, truth).apply(scores),
        parts=tuple(names[row] for row in order),
    )
