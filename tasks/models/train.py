"""The train stage: a classifier fitted on shared features, its scores, and its cost."""

import json
import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy import sparse
from threadpoolctl import threadpool_limits

from tasks.core.errors import ConfigError, ModelError
from tasks.core.predictions import truth_matrix, write_scores
from tasks.core.schema import DEFAULT_SEED
from tasks.core.settings import DataPaths
from tasks.models import multilabel
from tasks.models.features import MATRIX_FILE, code_files, read_genres, read_movies, train_rows
from tasks.models.multilabel import hstack
from tasks.models.pipeline import FILES, VECTORS_FILE, GenreModel, as_frame, held_bytes, load_estimator, new_pipeline
from tasks.models.spec import ModelSpec
from tasks.stage import Stage, StageResult, config_dict, run_stage

if TYPE_CHECKING:
    from tasks.models.genre_classifier import EnsembleModel, SingleModel

logger = logging.getLogger(__name__)

MODEL_FOLDER: Final = "model"
FIT_FILE: Final = "fit.json"
SCORED_PARTS: Final = ("validation", "test")
RATE_SAMPLE: Final = 1000  # movies to measure the prediction rate on
SLOW_SAMPLE: Final = 200  # the same for models that need more than a second for these


@dataclass(frozen=True)
class TrainChoices:
    """The options shared by all models of a training run."""

    train_on: str = "train"
    genres: tuple[str, ...] = ()  # to predict; empty: all
    without_genres: tuple[str, ...] = ()  # not to predict
    seed: int = DEFAULT_SEED


def train_model(
    paths: DataPaths, model: ModelSpec, features: Sequence[StageResult], choices: TrainChoices
) -> StageResult:
    """Fit one model on train; write it, its scores on validation and test, and its cost to `data/models/<name>/`.

    These are `model/` (see `GenreModel.save`), `scores_validation.parquet`, `scores_test.parquet` and `fit.json`
    (`fit_s`, `predict_docs_per_s`, `model_memory_mb`, `model_mb`). `features` are the results of the feature stages of
    `features_of(model)`, in that order. Movies with none of the chosen genres count as movies without a genre.

    Raises:
        ModelError: the classifier cannot be fitted, or its scores are not finite.
        ConfigError: a chosen genre, or one in `imbalance.genres`, does not exist.
        DataError: no movie is in `train_on`, or the splits do not belong to the clean table.
    """
    stage = Stage(
        name="train",
        folder=paths.models / model.name,
        outputs=(
            *(f"{MODEL_FOLDER}/{name}" for name in FILES),
            *(f"scores_{part}.parquet" for part in SCORED_PARTS),
            FIT_FILE,
        ),
        inputs=(paths.movies, paths.splits, paths.genres_json),
        **identity(model, features, choices),
    )

    def build(folder: Path) -> Mapping[str, Any]:
        fitted = fit_on_features(paths, model, features, choices)
        for part in SCORED_PARTS:
            rows = (fitted.movies.get_column("part").cast(pl.String) == part).to_numpy()
            save_scores(fitted, rows, folder / f"scores_{part}.parquet")
        save_model(fitted.model, fitted.movies.head(RATE_SAMPLE), fitted.fit_s, folder)
        return fitted.counts

    return run_stage(stage, build)


def identity(model: ModelSpec, features: Sequence[StageResult], choices: TrainChoices) -> dict[str, Any]:
    """Return the config, code and packages that a stage which fits a model depends on."""
    fingerprints = [result.fingerprint for result in features]
    return {
        "config": {"model": config_dict(model), "features": fingerprints, **asdict(choices)},
        "code": fitting_code(model),
        "packages": ("imbalanced-learn", "numpy", "scipy", "scikit-learn"),
    }


def fitting_code(model: ModelSpec) -> tuple[Path, ...]:
    """Return the modules that fit a model and score with it."""
    parts = [path for part in (model.classifier, *model.representations) for path in code_files(part)]
    return (Path(__file__), Path(multilabel.__file__), *parts)


@dataclass(frozen=True)
class FittedModel:
    """A fitted model, with all movies of the data folder."""

    model: GenreModel
    movies: pl.DataFrame  # as `read_movies` returns them
    X: sparse.csr_array  # their vectors
    fit_s: float
    counts: dict[str, Any]


def fit_on_features(
    paths: DataPaths, model: ModelSpec, features: Sequence[StageResult], choices: TrainChoices
) -> FittedModel:
    """Fit a model on the movies of the choices; arguments and errors as for `train_model`."""
    movies = read_movies(paths)
    X = hstack([read_matrix(result.folder) for result in features])
    train = train_rows(movies, choices.train_on)
    genres = chosen_genres(read_genres(paths), choices)
    _require_known(model.imbalance.genres, read_genres(paths))
    Y = truth_matrix(movies.get_column("genres").to_list(), genres, ignored=read_genres(paths))[train]
    vectors = [
        load_estimator(result.folder / VECTORS_FILE, [representation])
        for representation, result in zip(model.representations, features, strict=True)
    ]
    pipeline = new_pipeline(model, genres, choices.seed, vectors)
    fitted = GenreModel(model, genres, choices.seed, pipeline)
    start_s = time.perf_counter()
    with threadpool_limits(1):  # models run in parallel, one per core
        fitted.classifier.fit(X[np.flatnonzero(train)], as_frame(Y, genres))
    fit_s = time.perf_counter() - start_s
    logger.info("%s: fitted on %s movies in %.1f s", model.name, f"{train.sum():,}", fit_s)
    constant = [genre for genre, y in zip(genres, Y.T, strict=True) if y.all() or not y.any()]
    for genre in constant:
        logger.warning("%s: all or no train movies have the genre %s; its score is constant", model.name, genre)
    counts = {"train_movies": int(train.sum()), "columns": X.shape[1], "constant_genres": constant}
    return FittedModel(fitted, movies, X, fit_s, counts)


def read_matrix(features_folder: Path) -> sparse.csr_array:
    """Return the vectors of all movies that a feature stage wrote."""
    return sparse.csr_array(sparse.load_npz(features_folder / MATRIX_FILE))


def chosen_genres(all_genres: Sequence[str], choices: TrainChoices) -> tuple[str, ...]:
    """Return the chosen genres, in the order of all genres.

    Raises:
        ConfigError: one does not exist, or none is left.
    """
    _require_known((*choices.genres, *choices.without_genres), all_genres)
    wanted = set(choices.genres or all_genres).difference(choices.without_genres)
    if not wanted:
        raise ConfigError("no genre is left to predict; change --genres or --without-genres")
    return tuple(genre for genre in all_genres if genre in wanted)


def _require_known(named: Sequence[str], all_genres: Sequence[str]) -> None:
    if unknown := sorted(set(named).difference(all_genres)):
        raise ConfigError(f"no movie has the genre {', '.join(unknown)}; there are: {', '.join(all_genres)}")


def save_scores(fitted: FittedModel, rows: NDArray[np.bool_], path: Path) -> None:
    """Write a fitted model's scores of some of the movies.

    Raises:
        ModelError: they are not finite.
    """
    model = fitted.model
    scores = model.score_vectors(fitted.X[np.flatnonzero(rows)])
    if not np.isfinite(scores).all():
        raise ModelError(f"model {model.spec.name}: {path.stem} are not finite; check its parameters")
    write_scores(path, fitted.movies.filter(rows).get_column("movie_id").to_list(), scores, model.genres)


def save_model(model: "SingleModel | EnsembleModel", rate_sample: pl.DataFrame, fit_s: float, folder: Path) -> None:
    """Write a fitted model to `model/` in a folder, and its cost to `fit.json`."""
    model_folder = folder / MODEL_FOLDER
    model_folder.mkdir()
    model.save(model_folder)
    cost = {
        "fit_s": fit_s,
        "predict_docs_per_s": _measure_rate(model, rate_sample),
        "model_memory_mb": held_bytes(model) / 1e6,
        "model_mb": sum(file.stat().st_size for file in model_folder.rglob("*") if file.is_file()) / 1e6,
    }
    (folder / FIT_FILE).write_text(json.dumps(cost, indent=1) + "\n", encoding="utf-8")


def _measure_rate(model: "SingleModel | EnsembleModel", movies: pl.DataFrame) -> float:
    """Return the number of movies per second that the model scores, from text to scores."""
    for sample in (movies.head(SLOW_SAMPLE), movies):
        start_s = time.perf_counter()
        model.scores(sample)
        taken_s = time.perf_counter() - start_s
        if taken_s > 1:
            break
    return sample.height / taken_s


def score_trial(paths: DataPaths, model: ModelSpec, features: Sequence[StageResult], choices: TrainChoices) -> Path:
    """Fit a search trial's model and write its scores on validation only, replacing the previous trial's.

    Returns the folder of the scores, `data/search/<name>/`.

    Raises:
        ModelError: the model cannot be fitted, or its scores are not finite.
    """
    fitted = fit_on_features(paths, model, features, choices)
    folder = paths.search / model.name
    folder.mkdir(parents=True, exist_ok=True)
    validation = (fitted.movies.get_column("part").cast(pl.String) == "validation").to_numpy()
    save_scores(fitted, validation, folder / "scores_validation.parquet")
    return folder
