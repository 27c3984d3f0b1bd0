"""The feature stage: a representation, fitted on train, applied to all movies and shared by models."""

import inspect
import json
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy import sparse
from sklearn.pipeline import Pipeline

from tasks.core.errors import DataError
from tasks.core.predictions import truth_matrix
from tasks.core.settings import DataPaths
from tasks.models.estimators import EstimatorSpec
from tasks.models.pipeline import VECTORS_FILE, as_frame, read_representation, save_estimator
from tasks.models.spec import FeaturesSpec, reads_movies
from tasks.stage import Stage, StageResult, config_dict, recorded_config, run_stage

logger = logging.getLogger(__name__)

MATRIX_FILE: Final = "vectors.npz"
ALL_BUT_FOLD: Final = "all-but-fold-"


def build_features(paths: DataPaths, features: FeaturesSpec, seed: int) -> StageResult:
    """Fit a representation on train and write the vectors of all movies, in the order of the clean table.

    A DataError if the splits do not belong to the clean table, or train is empty; errors as those of `fit`.
    """
    representation, inputs = features.representation, [paths.movies, paths.splits, paths.genres_json]
    reads_lemmas = features.input.text == "lemmas" and not reads_movies(representation)
    if reads_lemmas:
        inputs.append(paths.tokens)
    packages = ["numpy", "scipy", "scikit-learn"]
    if representation.kind == "frozen-encoder":
        packages.extend(["torch", "transformers"])
        inputs.extend(representation.make().files)
    elif representation.kind == "pretrained-vectors":
        inputs.append(Path(representation.params["file"]))
    elif representation.kind == "word-vectors":
        packages.append("gensim")
    stage = Stage(
        name="features",
        folder=paths.features / features.name,
        outputs=(MATRIX_FILE, VECTORS_FILE),
        inputs=tuple(inputs),
        config={**config_dict(features), "seed": seed},
        code=(Path(__file__), *code_files(representation)),
        packages=tuple(packages),
    )

    def build(folder: Path) -> Mapping[str, Any]:
        made_by = recorded_config(paths.tokens.parent, "annotate")["pipeline"] if reads_lemmas else None
        wanted = features.input.pipeline
        if made_by not in (None, wanted):
            logger.warning("%s was annotated by %s; lemmatising again by %s", paths.tokens, made_by, wanted)
        movies = read_movies(paths, lemmas=made_by == wanted)
        train = np.flatnonzero(train_rows(movies, features.train_on))
        genres = read_genres(paths)
        Y = as_frame(truth_matrix(movies.get_column("genres").to_list(), genres)[train], genres)
        vectors = read_representation(features.input, representation, seed)
        if isinstance(vectors, Pipeline):  # reads the text once, for fit and transform
            documents = vectors[0].transform(movies)
            vectors[-1].fit([documents[row] for row in train], Y)
            X = vectors[-1].transform(documents)
        else:
            X = vectors.fit(movies[train], Y).transform(movies)
        X = sparse.csr_array(X, dtype=np.float32)
        sparse.save_npz(folder / MATRIX_FILE, X, compressed=False)
        save_estimator(vectors, folder / VECTORS_FILE, [representation])
        logger.info("features %s: %s movies × %s columns", features.name, *(f"{size:,}" for size in X.shape))
        empty_rows = int((np.diff(X.indptr) == 0).sum())
        return {"movies": X.shape[0], "columns": X.shape[1], "train_movies": len(train), "empty_rows": empty_rows}

    return run_stage(stage, build)


def code_files(estimator: EstimatorSpec) -> tuple[Path, ...]:
    """Return the module of an estimator's class, unless an installed package has it, which counts by version."""
    path = Path(inspect.getfile(estimator.estimator_class))
    return () if "site-packages" in path.parts else (path,)


def all_but(fold: int) -> str:
    """Return the `train_on` of features and models that are fitted without a fold."""
    return f"{ALL_BUT_FOLD}{fold}"


def read_genres(paths: DataPaths) -> tuple[str, ...]:
    """Return all genres of the clean table, sorted; a DataError if the data folder is not prepared."""
    try:
        return tuple(json.loads(paths.genres_json.read_text(encoding="utf-8")))
    except FileNotFoundError as error:
        raise DataError(f"{paths.genres_json} does not exist; run flows/prepare.py first") from error


def read_movies(paths: DataPaths, lemmas: bool = False) -> pl.DataFrame:
    """Return the clean table with `part`, `is_development`, `fold`, maybe `lemmas`; a DataError if the files differ."""
    movies = pl.read_parquet(paths.movies)
    others = [(paths.splits, pl.read_parquet(paths.splits))]
    if lemmas:
        others.append((paths.tokens, pl.read_parquet(paths.tokens, columns=["movie_id", "lemmas"])))
    for path, frame in others:
        if not movies.get_column("movie_id").equals(frame.get_column("movie_id")):
            raise DataError(f"{path} does not hold the movies of {paths.movies}; run flows/prepare.py again")
        movies = movies.hstack(frame.drop("movie_id"))
    return movies


def train_rows(movies: pl.DataFrame, train_on: str) -> NDArray[np.bool_]:
    """Return the rows for a fit: `train` or its development subset, or all outside a fold; a DataError for none."""
    if train_on.startswith(ALL_BUT_FOLD):
        rows = movies.get_column("fold") != int(train_on.removeprefix(ALL_BUT_FOLD))
    else:
        rows = movies.get_column("part").cast(pl.String) == "train"
    if train_on == "development":
        rows &= movies.get_column("is_development")
    if not rows.any():
        raise DataError(f"no movie is in {train_on}; run flows/prepare.py with a larger share for it")
    return rows.to_numpy()
