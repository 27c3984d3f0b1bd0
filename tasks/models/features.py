"""The feature stage: one representation, fitted on train, applied to every movie, shared by all models that use it."""

import json
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy import sparse

from tasks.errors import DataError
from tasks.models.inputs import read_input
from tasks.models.representation.kinds import code_file, files_read, new_vectors, packages_of, vector_files
from tasks.models.representations import SideFields
from tasks.models.spec import FeaturesSpec
from tasks.paths import DataPaths
from tasks.scores import truth_matrix
from tasks.stage import Stage, StageResult, config_dict, recorded_config, run_stage

logger = logging.getLogger(__name__)

MATRIX_FILE: Final = "vectors.npz"
ALL_BUT_FOLD: Final = "all-but-fold-"
ROOM: Final = Path(__file__).parent


def build_features(paths: DataPaths, features: FeaturesSpec, seed: int) -> StageResult:
    """Fit a representation on train and write the vectors of all movies, in the order of the clean table.

    Raises:
        DataError: the splits do not belong to the clean table, or nothing is in train.
        ModelError: no word is frequent enough.
    """
    reads_lemmas = features.input.text == "lemmas" and not isinstance(features.representation, SideFields)
    inputs = [paths.movies, paths.splits, paths.genres_json]
    if reads_lemmas:
        inputs.append(paths.tokens)
    inputs.extend(files_read(features.representation))
    stage = Stage(
        name="features",
        folder=paths.features / features.name,
        outputs=(MATRIX_FILE, *vector_files(features.representation)),
        inputs=tuple(inputs),
        config={**config_dict(features), "seed": seed},
        code=(Path(__file__), code_file(features.representation)),
        packages=("numpy", "scipy", *packages_of(features.representation)),
    )

    def build(folder: Path) -> Mapping[str, Any]:
        movies = read_movies(paths, reads_lemmas and _is_made_by(paths, features.input.pipeline))
        documents = read_input(movies, features.input, features.representation)
        train = train_rows(movies, features.train_on)
        Y = truth_matrix(movies.get_column("genres").to_list(), read_genres(paths))
        vectors = new_vectors(features.representation)
        vectors.fit([documents[row] for row in np.flatnonzero(train)], Y[train], seed)
        X = vectors.transform(documents)
        sparse.save_npz(folder / MATRIX_FILE, X, compressed=False)
        vectors.save(folder)
        logger.info("features %s: %s movies × %s columns", features.name, *(f"{size:,}" for size in X.shape))
        return {
            "movies": X.shape[0],
            "columns": X.shape[1],
            "train_movies": int(train.sum()),
            "empty_rows": int((np.diff(X.indptr) == 0).sum()),
        }

    return run_stage(stage, build)


def read_genres(paths: DataPaths) -> tuple[str, ...]:
    """Return all genres of the clean table, sorted.

    Raises:
        DataError: the data folder is not prepared.
    """
    try:
        return tuple(json.loads(paths.genres_json.read_text(encoding="utf-8")))
    except FileNotFoundError as error:
        raise DataError(f"{paths.genres_json} is not there; run flows/prepare.py first") from error


def read_movies(paths: DataPaths, lemmas: bool = False) -> pl.DataFrame:
    """Return the clean table with each movie's `part`, `is_development` and `fold`, and `lemmas` if asked for.

    Raises:
        DataError: the files do not hold the same movies in the same order.
    """
    movies = pl.read_parquet(paths.movies)
    beside = [(paths.splits, pl.read_parquet(paths.splits))]
    if lemmas:
        beside.append((paths.tokens, pl.read_parquet(paths.tokens, columns=["movie_id", "lemmas"])))
    for path, frame in beside:
        if not movies.get_column("movie_id").equals(frame.get_column("movie_id")):
            raise DataError(f"{path} does not hold the movies of {paths.movies}; run flows/prepare.py again")
        movies = movies.hstack(frame.drop("movie_id"))
    return movies


def _is_made_by(paths: DataPaths, pipeline: str) -> bool:
    """Return whether the corpus has the lemmas that the model would make of a new text; if not, it makes all anew."""
    made_by = recorded_config(paths.tokens.parent, "annotate")["pipeline"]
    if made_by != pipeline:
        logger.warning("%s was annotated by %s; the model makes its own lemmas, by %s", paths.tokens, made_by, pipeline)
    return bool(made_by == pipeline)


def train_rows(movies: pl.DataFrame, train_on: str) -> NDArray[np.bool_]:
    """Return which rows a fit may see: of `train` or its development subset, or all that are not in a fold.

    Raises:
        DataError: there is none.
    """
    if train_on.startswith(ALL_BUT_FOLD):
        rows = movies.get_column("fold") != int(train_on.removeprefix(ALL_BUT_FOLD))
    else:
        rows = movies.get_column("part").cast(pl.String) == "train"
    if train_on == "development":
        rows &= movies.get_column("is_development")
    if not rows.any():
        raise DataError(f"no movie is in {train_on}; run flows/prepare.py with a larger share for it")
    return rows.to_numpy()
