"""The train stages: classifiers fitted on shared features, on train or on all folds but one.

Each writes its scores and its cost. In cross-validation, representation and classifier are fitted for each fold on the
movies of all other folds, of any part; `data/cross_validation/<name>/` gets the scores, not the models.
"""

import json
import logging
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from types import BuiltinFunctionType, FunctionType, MethodType, ModuleType
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import polars as pl
from scipy import sparse
from threadpoolctl import threadpool_limits

from tasks.core.errors import ConfigError, DataError, ModelError
from tasks.core.predictions import read_scores, truth_matrix, write_scores
from tasks.core.schema import DEFAULT_SEED, N_FOLDS
from tasks.core.settings import DataPaths
from tasks.models import multilabel
from tasks.models.features import MATRIX_FILE, all_but, build_features, code_files, read_genres, read_movies, train_rows
from tasks.models.multilabel import hstack
from tasks.models.pipeline import FILES, VECTORS_FILE, GenreModel, as_frame, load_estimator, new_pipeline
from tasks.models.spec import ModelSpec, features_of
from tasks.stage import Stage, StageResult, config_dict, run_stage

if TYPE_CHECKING:
    from tasks.models.genre_classifier import EnsembleModel, SingleModel

logger = logging.getLogger(__name__)

MODEL_FOLDER: Final = "model"
FIT_FILE: Final = "fit.json"
SCORED_PARTS: Final = ("validation", "test")
PART_SCORES: Final = tuple(f"scores_{part}.parquet" for part in SCORED_PARTS)
FOLD_SCORES: Final = "scores.parquet"
OUT_OF_FOLD: Final = "scores_out_of_fold.parquet"
RATE_SAMPLE: Final = 1000  # movies to measure the prediction rate on
SLOW_SAMPLE: Final = 200  # the same for models that need more than a second for these
_CODE: Final = (type, ModuleType, FunctionType, BuiltinFunctionType, MethodType)


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

    `features` are the results of the feature stages of `features_of(model)`, in that order.

    A ModelError if the classifier cannot be fitted or its scores are not finite, a ConfigError if a chosen genre or one
    in `imbalance.genres` does not exist, a DataError if no movie is in `train_on` or the files do not match.
    """
    stage = Stage(
        name="train",
        folder=paths.models / model.name,
        outputs=(*(f"{MODEL_FOLDER}/{name}" for name in FILES), *PART_SCORES, FIT_FILE),
        **_depends_on(paths, model, features, choices),
    )

    def build(folder: Path) -> Mapping[str, Any]:
        fitted = _fit_on_features(paths, model, features, choices)
        for part, name in zip(SCORED_PARTS, PART_SCORES, strict=True):
            fitted.write_scores(_is_in(part), folder / name)
        save_model(fitted.model, fitted.movies.head(RATE_SAMPLE), fitted.fit_s, folder)
        return fitted.counts

    return run_stage(stage, build)


def train_fold(
    paths: DataPaths, model: ModelSpec, features: Sequence[StageResult], fold: int, choices: TrainChoices
) -> StageResult:
    """Fit a model on all movies outside a fold; write its scores of the movies inside, and its cost.

    `features` are the results of the feature stages of `features_of(model, all_but(fold))`, in that order. The
    `train_on` of `choices` is replaced. Errors as `train_model`, and a DataError if no movie is in the fold.
    """
    choices = replace(choices, train_on=all_but(fold))
    stage = Stage(
        name=f"train_{model.name}",
        folder=paths.cross_validation / model.name / f"fold-{fold}",
        outputs=(FOLD_SCORES, FIT_FILE),
        **_depends_on(paths, model, features, choices),
    )

    def build(folder: Path) -> Mapping[str, Any]:
        fitted, is_held_out = _fit_on_features(paths, model, features, choices), pl.col("fold") == fold
        n_held_out = fitted.movies.filter(is_held_out).height
        if not n_held_out:
            raise DataError(f"{paths.splits}: no movie is in fold {fold}; cross-validation needs more movies")
        fitted.write_scores(is_held_out, folder / FOLD_SCORES)
        write_fit_time(folder, fitted.fit_s)
        return {**fitted.counts, "held_out_movies": n_held_out}

    return run_stage(stage, build)


def gather_folds(paths: DataPaths, model: ModelSpec, folds: Sequence[StageResult]) -> StageResult:
    """Write the scores of all folds as one file, in the order of the clean table, with the mean cost of a fold.

    A DataError if some movie has no score, or more than one.
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
        write_fit_time(folder, float(np.mean([read_fit_time(fold.folder) for fold in folds])))
        return {"movies": len(ids), "folds": len(folds)}

    return run_stage(stage, build)


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


def score_trial(paths: DataPaths, model: ModelSpec, features: Sequence[StageResult], choices: TrainChoices) -> Path:
    """Fit a search trial's model and write its scores on validation only, replacing the previous trial's.

    Returns the folder of the scores, `data/search/<name>/`; errors as `train_model`.
    """
    fitted = _fit_on_features(paths, model, features, choices)
    folder = paths.search / model.name
    folder.mkdir(parents=True, exist_ok=True)
    fitted.write_scores(_is_in("validation"), folder / "scores_validation.parquet")
    return folder


def _depends_on(
    paths: DataPaths, model: ModelSpec, features: Sequence[StageResult], choices: TrainChoices
) -> dict[str, Any]:
    fingerprints = [result.fingerprint for result in features]
    return {
        "inputs": (paths.movies, paths.splits, paths.genres_json),
        "config": {"model": config_dict(model), "features": fingerprints, **asdict(choices)},
        "code": fitting_code(model),
        "packages": ("imbalanced-learn", "numpy", "scipy", "scikit-learn"),
    }


def fitting_code(model: ModelSpec) -> tuple[Path, ...]:
    """Return the modules that fit a model and score with it."""
    parts = [path for part in (model.classifier, *model.representations) for path in code_files(part)]
    return (Path(__file__), Path(multilabel.__file__), *parts)


def _is_in(part: str) -> pl.Expr:
    return pl.col("part").cast(pl.String) == part


@dataclass(frozen=True)
class FittedModel:
    """A fitted model, with all movies of the data folder."""

    model: GenreModel
    movies: pl.DataFrame  # as `read_movies` returns them
    X: sparse.csr_array  # their vectors
    fit_s: float
    counts: dict[str, Any]

    def write_scores(self, which: pl.Expr, path: Path) -> None:
        """Write the scores of some of the movies; a ModelError if they are not finite."""
        rows = self.movies.select(which).to_series().to_numpy()
        scores = self.model.score_vectors(self.X[np.flatnonzero(rows)])
        if not np.isfinite(scores).all():
            raise ModelError(f"model {self.model.spec.name}: {path.stem} are not finite; check its parameters")
        write_scores(path, self.movies.filter(rows).get_column("movie_id").to_list(), scores, self.model.genres)


def _fit_on_features(
    paths: DataPaths, model: ModelSpec, features: Sequence[StageResult], choices: TrainChoices
) -> FittedModel:
    movies, all_genres = read_movies(paths), read_genres(paths)
    X = hstack([read_matrix(result.folder) for result in features])
    train, genres = train_rows(movies, choices.train_on), chosen_genres(all_genres, choices)
    _require_known(model.imbalance.genres, all_genres)
    Y = truth_matrix(movies.get_column("genres").to_list(), genres, ignored=all_genres)[train]
    vectors = [
        load_estimator(result.folder / VECTORS_FILE, [representation])
        for representation, result in zip(model.representations, features, strict=True)
    ]
    fitted = GenreModel(model, genres, choices.seed, new_pipeline(model, genres, choices.seed, vectors))
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
    """Return the chosen genres, in the order of all genres; a ConfigError if one does not exist, or none is left."""
    _require_known((*choices.genres, *choices.without_genres), all_genres)
    wanted = set(choices.genres or all_genres).difference(choices.without_genres)
    if not wanted:
        raise ConfigError("no genre is left to predict; change --genres or --without-genres")
    return tuple(genre for genre in all_genres if genre in wanted)


def _require_known(named: Sequence[str], all_genres: Sequence[str]) -> None:
    if unknown := sorted(set(named).difference(all_genres)):
        raise ConfigError(f"no movie has the genre {', '.join(unknown)}; there are: {', '.join(all_genres)}")


def save_model(model: "SingleModel | EnsembleModel", rate_sample: pl.DataFrame, fit_s: float, folder: Path) -> None:
    """Write a fitted model to `model/` in a folder, and its cost to `fit.json`."""
    model_folder = folder / MODEL_FOLDER
    model_folder.mkdir()
    model.save(model_folder)
    model.scores(rate_sample.head(1))  # a lemmatiser's first text takes a second
    for sample in (rate_sample.head(SLOW_SAMPLE), rate_sample):
        start_s = time.perf_counter()
        model.scores(sample)
        taken_s = time.perf_counter() - start_s
        if taken_s > 1:
            break
    cost = {
        "fit_s": fit_s,
        "predict_docs_per_s": sample.height / taken_s,  # from text to scores
        "model_memory_mb": held_bytes(model) / 1e6,
        "model_mb": sum(file.stat().st_size for file in model_folder.rglob("*") if file.is_file()) / 1e6,
    }
    (folder / FIT_FILE).write_text(json.dumps(cost, indent=1) + "\n", encoding="utf-8")


def write_fit_time(folder: Path, fit_s: float) -> None:
    """Write `fit.json` of models that are not stored."""
    (folder / FIT_FILE).write_text(json.dumps({"fit_s": fit_s}) + "\n", encoding="utf-8")


def read_fit_time(folder: Path) -> float:
    """Return the seconds of a fit, from `fit.json`."""
    return float(json.loads((folder / FIT_FILE).read_text(encoding="utf-8"))["fit_s"])


def held_bytes(model: object) -> int:
    """Return the bytes of an object and of everything that it refers to, each counted once.

    Memory that Python cannot see does not count, such as tables inside tokenizers and inference sessions.
    """
    total, seen = 0, set()
    waiting: list[Any] = [model]
    while waiting:
        found = waiting.pop()
        while isinstance(found, np.ndarray) and isinstance(found.base, np.ndarray):
            found = found.base  # the array behind a view
        if id(found) in seen or isinstance(found, _CODE):
            continue
        seen.add(id(found))
        if isinstance(found, pl.DataFrame | pl.Series):
            total += int(found.estimated_size())
        elif isinstance(getattr(found, "nbytes", None), int) and hasattr(found, "dtype"):  # of NumPy or a tensor
            total += int(found.nbytes)
        else:
            total += sys.getsizeof(found)
            waiting.extend(_parts(found))
    return total


def _parts(found: Any) -> Iterable[Any]:
    if isinstance(found, str | bytes):
        return ()
    if isinstance(found, Mapping):
        return [*found.keys(), *found.values()]
    if isinstance(found, list | tuple | set | frozenset):
        return found
    if type(found).__module__.startswith("sklearn.") and not hasattr(found, "__dict__"):
        state = found.__getstate__()  # trees do not keep their arrays in attributes; None if there is no state
        return list(state.values()) if isinstance(state, Mapping) else ()
    slots = [name for kind in type(found).__mro__ for name in getattr(kind, "__slots__", ()) if isinstance(name, str)]
    return [getattr(found, name, None) for name in (*slots, "__dict__")]
