"""The stages that explain: chosen movies in words, and a model as a whole in features. Owns their files and inputs."""

import json
import logging
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Final

import polars as pl

from tasks.errors import DataError, ModelError
from tasks.hashes import hash_files
from tasks.models.classifier import RULES_FILE, GenreClassifier
from tasks.models.explain.importance import measure_importance
from tasks.models.explain.table import REST, explain_decided
from tasks.models.features import read_movies
from tasks.models.genre_model import MODEL_FILE
from tasks.models.train import MODEL_FOLDER
from tasks.paths import DataPaths
from tasks.schema import DEFAULT_SEED
from tasks.stage import Stage, StageResult, run_stage

logger = logging.getLogger(__name__)

EXPLANATIONS_FILE: Final = "explanations.parquet"
IMPORTANCE_FILE: Final = "importance.parquet"
READABLE: Final = ("linear-svm", "logistic-regression", "naive-bayes", "naive-bayes-svm", "stacked-logistic-regression")
ROOM: Final = Path(__file__).parents[1]
PACKAGES: Final = ("captum", "numpy", "polars", "scikit-learn", "scipy", "torch", "transformers")


def explain_movies(
    paths: DataPaths, model_folder: Path, movie_ids: Sequence[str], seed: int = DEFAULT_SEED
) -> StageResult:
    """Explain a model's decisions on some movies and write them to its folder (`schema.EXPLANATIONS`).

    Explained are the genres that its chosen rule decides, and true ones that it misses.

    Args:
        paths: the data folder.
        model_folder: of an evaluated model, `data/models/<name>`.
        movie_ids: which movies; one that is named twice counts once.
        seed: of what a method draws.

    Raises:
        DataError: there is no such movie.
        ModelError: the model's folder is damaged.
    """
    ids = list(dict.fromkeys(movie_ids))

    def build(folder: Path) -> Mapping[str, Any]:
        classifier = GenreClassifier.load(model_folder)
        table = explain_decided(classifier, _movies_named(paths, ids), seed=seed)
        table.write_parquet(folder / EXPLANATIONS_FILE, compression="zstd")
        rest = table.filter(pl.col("source") == REST).get_column("contribution").abs()
        explained = table.get_column("movie_id").n_unique()
        return {"movies": explained, "nothing_decided": len(ids) - explained, "largest_rest": rest.max()}

    config = {"movie_ids": ids, "seed": seed}
    return run_stage(_stage("explain", paths, model_folder, EXPLANATIONS_FILE, config), build)


def most_readable(model_folders: Sequence[Path]) -> Path:
    """Return the first of the models that its weights explain, exactly and fast; if there is none, the first.

    Raises:
        ModelError: a model's description is missing or damaged.
    """
    for folder in model_folders:
        path = folder / MODEL_FOLDER / MODEL_FILE
        try:
            stored = json.loads(path.read_text(encoding="utf-8"))
            kinds = {representation.get("kind") for representation in stored.get("representations", ())}
            is_readable = stored.get("classifier", {}).get("kind") in READABLE and "frozen-encoder" not in kinds
        except (OSError, ValueError, KeyError, AttributeError) as error:
            raise ModelError(f"{path} is missing or damaged ({error!r}); train the model again") from error
        if is_readable:
            return folder
    return model_folders[0]


def write_importance(paths: DataPaths, model_folder: Path, seed: int = DEFAULT_SEED) -> StageResult:
    """Measure what features do to each genre over test movies and write it to the model's folder (`schema.IMPORTANCE`).

    See `importance.measure_importance`.

    Raises:
        DataError: the splits do not belong to the clean table.
        ModelError: the model's folder is damaged.
    """
    stage = _stage("importance", paths, model_folder, IMPORTANCE_FILE, {"seed": seed})
    return run_stage(stage, partial(_build_importance, paths, model_folder, seed))


def _build_importance(paths: DataPaths, model_folder: Path, seed: int, folder: Path) -> Mapping[str, Any]:
    movies = read_movies(paths).filter(pl.col("part").cast(pl.String) == "test")
    importance, explained = measure_importance(GenreClassifier.load(model_folder), movies, seed)
    importance.write_parquet(folder / IMPORTANCE_FILE, compression="zstd")
    return {"explained_movies": explained, "features": importance.select("kind", "feature").n_unique()}


def _stage(name: str, paths: DataPaths, model_folder: Path, output: str, config: Mapping[str, Any]) -> Stage:
    # Members of an ensemble have files of the same names: so the contents of all go into the config.
    files = sorted(path for path in (model_folder / MODEL_FOLDER).rglob("*") if path.is_file())
    return Stage(
        name=name,
        folder=model_folder,
        outputs=(output,),
        inputs=(paths.movies, paths.splits, model_folder / RULES_FILE),
        config={**config, "model": hash_files(files)},
        code=(Path(__file__),),
        packages=PACKAGES,
    )


def read_exhibits(path: Path, role: str | None = None) -> list[str]:
    """Return the movies that were chosen to be shown (`schema.EXHIBITS`), all or those of one role, in their order.

    Raises:
        DataError: the file cannot be read, or lacks a column.
    """
    try:
        exhibits = pl.read_parquet(path, columns=["movie_id", "role"])
        chosen = exhibits if role is None else exhibits.filter(pl.col("role") == role)
        return chosen.get_column("movie_id").to_list()
    except (OSError, pl.exceptions.PolarsError) as error:
        raise DataError(f"{path} cannot be read ({error}); choose the movies to explain anew") from error


def _movies_named(paths: DataPaths, ids: Sequence[str]) -> pl.DataFrame:
    wanted = pl.DataFrame({"movie_id": ids}, schema={"movie_id": pl.String})
    movies = wanted.join(pl.read_parquet(paths.movies), on="movie_id", how="left", maintain_order="left")
    missing = movies.filter(pl.col("description").is_null()).get_column("movie_id")
    if len(missing):
        raise DataError(f"{paths.movies} has no movie {missing[0]}; choose the movies to explain anew")
    return movies
