"""The input of every system: the same movies, parts, texts and vectors."""

import json
from pathlib import Path

import numpy as np
import polars as pl
from scipy import sparse

from tasks.acquire.config import SampleConfig
from tasks.acquire.listings import acquire_listings
from tasks.clean.movies import clean_movies
from tasks.clean.profiles import CleanConfig
from tasks.core.predictions import truth_matrix
from tasks.core.schema import DEFAULT_SEED, PARTS
from tasks.core.settings import DataPaths
from tasks.models.features import build_features, read_genres, read_movies
from tasks.models.inputs import read_documents
from tasks.models.spec import InputSpec, ModelSpec, features_of
from tasks.models.train import read_matrix
from tasks.split.parts import SplitConfig, split_movies


def prepare(source: str, folder: Path) -> DataPaths:
    """Acquire, clean and split the listings as the pipeline does by default."""
    paths = DataPaths(folder)
    acquire_listings(paths, source, SampleConfig(), DEFAULT_SEED)
    clean_movies(paths, CleanConfig())
    split_movies(paths, SplitConfig(), DEFAULT_SEED)
    return paths


def write_inputs(paths: DataPaths, model: ModelSpec, folder: Path) -> dict[str, int]:
    """Write the files that `ours.py` and `theirs.py` read; return the movies of each part and the genres.

    Args:
        paths: the prepared data.
        model: classifiers are compared on its vectors.
        folder: an existing folder to write to.
    """
    (features,) = features_of(model)
    X = read_matrix(build_features(paths, features, DEFAULT_SEED).folder)
    movies, genres = read_movies(paths), read_genres(paths)
    texts = {}
    for part in PARTS:
        inside = (movies.get_column("part").cast(pl.String) == part).to_numpy()
        own = movies.filter(inside)
        own.write_parquet(folder / f"movies_{part}.parquet")
        sparse.save_npz(folder / f"vectors_{part}.npz", sparse.csr_matrix(X[np.flatnonzero(inside)]))
        texts[part] = read_documents(own, InputSpec(title=True, lowercase=False))
        if part == "train":
            np.save(folder / "labels_train.npy", truth_matrix(own.get_column("genres").to_list(), genres))
    (folder / "texts.json").write_text(json.dumps(texts), encoding="utf-8")
    (folder / "genres.json").write_text(json.dumps(genres), encoding="utf-8")
    return {**{part: len(texts[part]) for part in PARTS}, "genres": len(genres)}
