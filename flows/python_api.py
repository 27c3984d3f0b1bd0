"""What `import genreflow` offers: models as scikit-learn estimators, logged models, and pipeline runs."""

import json
import os
import re
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Self

import numpy as np
import polars as pl
from numpy.typing import NDArray
from pydantic import ValidationError
from sklearn.base import BaseEstimator, clone
from sklearn.exceptions import NotFittedError
from sklearn.pipeline import Pipeline

from flows.cli import as_one_line, run_flow, set_environment
from flows.config import PipelineConfig
from tasks.core.errors import ConfigError, DataError, validation_messages
from tasks.core.metrics import decision_metrics
from tasks.core.page import answer_css
from tasks.core.predictions import truth_matrix, write_scores
from tasks.core.schema import DEFAULT_SEED
from tasks.core.settings import DataPaths, data_paths, settings
from tasks.decision.calibration import logistic
from tasks.decision.rules import ExpectedJaccardSet, Rule, parse_rule
from tasks.evaluate.evaluation import EvaluateConfig, evaluate_model
from tasks.models.estimators import SET_BY_THE_MODEL
from tasks.models.explain.page import render_answer
from tasks.models.features import read_movies as read_split_movies
from tasks.models.genre_classifier import GenreClassifier
from tasks.models.inputs import as_movies
from tasks.models.pipeline import GenreModel
from tasks.models.registry import built_in_models, choose_models, with_params
from tasks.models.spec import ModelSpec

DATA_DIR: Final = "GENREFLOW_DATA_DIR"
TRACKING_URI: Final = "MLFLOW_TRACKING_URI"
EXPECTED_JACCARD: Final = "expected-jaccard"
Rows = Any  # a polars or pandas frame, or a list, array or series of texts


def model_names() -> list[str]:
    """Return the names for `make_model`: the registry without fine-tuned models and ensembles."""
    return [model.name for model in built_in_models() if isinstance(model, ModelSpec)]


def read_movies(path: str | Path) -> pl.DataFrame:
    """Return a clean table, such as `data/clean/movies.parquet`; `genres` holds lists of names.

    Raises:
        DataError: there is no such file, or it lacks the column `description` or `genres`.
    """
    try:
        movies = pl.read_parquet(path)
    except (OSError, pl.exceptions.PolarsError) as error:
        raise DataError(f"{path} cannot be read as parquet ({error}); flows/prepare.py writes clean tables") from error
    if missing := {"description", "genres"} - set(movies.columns):
        raise DataError(f"{path} has no column {', '.join(sorted(missing))}; it has: {', '.join(movies.columns)}")
    return movies


def make_model(name: str, *, seed: int = DEFAULT_SEED, rule: str = EXPECTED_JACCARD, **params: Any) -> "GenreEstimator":
    """Return a named model as an unfitted scikit-learn estimator.

    Args:
        name: one of `model_names()`.
        seed: random seed.
        rule: the decision rule of `predict`: `expected-jaccard`, `threshold=0.3` or `top=2`. It is not fitted.
        params: of the classifier or of the vectors, such as `C=0.2`; see `GenreEstimator.get_params`.

    Raises:
        ConfigError: there is no such model or parameter.
    """
    if rule != EXPECTED_JACCARD and "=" not in rule:
        raise ConfigError(f"no rule is named {rule!r}; give {EXPECTED_JACCARD}, threshold=0.3 or top=2")
    estimator = GenreEstimator(name, seed=seed, rule=rule, **params)
    estimator.spec()  # report a typo at once
    return estimator


class GenreEstimator(BaseEstimator):  # type: ignore[misc]  # scikit-learn has no types
    """A named model with scikit-learn's methods, for `clone`, `cross_val_predict`, `GridSearchCV` and the like.

    X is a polars or pandas frame with `description` and the other columns that the model reads (`movie_name`, `year`,
    ...), or texts alone. y is lists of genres, or a matrix with a column of 0 and 1 for each label.

    After `fit`, `genres_` are the labels in the order of the columns of `predict_proba`, and `pipeline_` is a
    scikit-learn pipeline of `vectors` and `classifier`.
    """

    def __init__(
        self, name: str = "svm-title", *, seed: int = DEFAULT_SEED, rule: str = EXPECTED_JACCARD, **params: Any
    ) -> None:
        self.name, self.seed, self.rule, self.params = name, seed, rule, params

    def spec(self) -> ModelSpec:
        """Return the model's configuration with its parameters, or raise a `ConfigError` for an unknown one."""
        chosen = choose_models((self.name,))
        if len(chosen) > 1 or not isinstance(chosen[0], ModelSpec):
            raise ConfigError(f"{self.name} is not a single estimator; choose one of: {', '.join(model_names())}")
        spec = with_params(chosen[0], self.params)
        assert isinstance(spec, ModelSpec)
        return spec

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Return `name`, `seed`, `rule` and the given parameters; with `deep` all parameters of the model."""
        given = {"name": self.name, "seed": self.seed, "rule": self.rule, **self.params}
        return {**_all_params(self.spec()), **given} if deep else given

    def set_params(self, **params: Any) -> Self:
        """Set parameters, or raise a `ConfigError` for an unknown one or an invalid value."""
        changed = GenreEstimator(**{**self.get_params(deep=False), **params})
        changed.spec()  # before anything is set
        self.name, self.seed, self.rule, self.params = changed.name, changed.seed, changed.rule, changed.params
        return self

    def fit(self, X: Rows, y: Any) -> Self:
        """Fit the model on movies X and their labels y, one row per movie, in any of the forms above.

        Raises:
            DataError: X and y do not match.
            ModelError: the model cannot be fitted on these movies.
        """
        movies = as_movies(X)
        columns, genres = _to_lists(y)
        if movies.height != len(genres):
            raise DataError(f"{movies.height} rows, but {len(genres)} lists of labels: give labels for each row")
        self.is_matrix_ = bool(columns)
        names = sorted({genre for row in genres for genre in row})
        self.genres_ = columns or tuple(names)
        if not names:
            raise DataError("no row has a label, so there is nothing to learn")
        self.model_ = GenreModel(self.spec(), self.genres_, self.seed)
        self.model_.fit(movies.with_columns(genres=pl.Series(genres, dtype=pl.List(pl.String))))
        return self

    @property
    def pipeline_(self) -> Pipeline:
        """The fitted pipeline, from movies to scores."""
        return self._fitted().pipeline

    def predict_proba(self, X: Rows) -> NDArray[np.float32]:
        """Return the scores, (rows × genres), each in [0, 1]."""
        return self._fitted().scores(as_movies(X))

    def predict(self, X: Rows) -> Any:
        """Return an array of lists of genres, or a matrix of 0 and 1 if it was fitted on one."""
        decided = self._decide(self.predict_proba(X))
        return decided.astype(np.int64) if self.is_matrix_ else np.fromiter(_names(decided, self.genres_), dtype=object)

    def score(self, X: Rows, y: Any) -> float:
        """Return the Jaccard similarity of predictions and y, averaged over rows; 1 where both are empty."""
        _, genres = _to_lists(y)
        truth = truth_matrix(genres, self.genres_, ignored={genre for row in genres for genre in row})
        return float(decision_metrics(truth, self._decide(self.predict_proba(X)))["jaccard"])

    def _fitted(self) -> GenreModel:
        if not hasattr(self, "model_"):
            raise NotFittedError(f"{self.name} is not fitted; call fit first")
        return self.model_

    def _decide(self, scores: NDArray[np.float32]) -> NDArray[np.bool_]:
        count = len(self.genres_)
        uncalibrated: Rule = ExpectedJaccardSet((1.0,) * count, (0.0,) * count)  # scores are used as probabilities
        return parse_rule(self.rule, {EXPECTED_JACCARD: uncalibrated}, self.genres_).decide(scores)


@dataclass(frozen=True, repr=False)
class Explanation:
    """A prediction and its reasons as HTML, which a notebook shows."""

    html: str

    def __repr__(self) -> str:
        return f"<explanation, {len(self.html):,} characters of HTML: show it in a notebook, or write .html to a file>"

    def _repr_html_(self) -> str:
        return self.html


class LoadedModel:
    """A logged model with its decision rules; see `load`."""

    def __init__(self, classifier: GenreClassifier, address: str) -> None:
        self.classifier, self.address = classifier, address

    def __repr__(self) -> str:
        return f"<{self.classifier.name}, {len(self.genres)} genres, rule {self.classifier.rule}, {self.address}>"

    @property
    def genres(self) -> tuple[str, ...]:
        """The genres, in the order of the columns of `predict_proba`."""
        return self.classifier.genres

    def predict(self, X: Rows, rule: str | None = None) -> list[list[str]]:
        """Return the genres of each row; `rule` as in `GenreClassifier.predict`. Default: the model's own."""
        decided = self.classifier.predict(as_movies(X), rule).get_column("genres")
        return [row.split(", ") if row else [] for row in decided]

    def predict_proba(self, X: Rows) -> NDArray[np.float32]:
        """Return the scores, (rows × genres), each in [0, 1]."""
        return self.classifier.model.scores(as_movies(X))

    def explain(self, text: str, title: str = "", rule: str | None = None) -> Explanation:
        """Return the genres of a text with their scores, and its words coloured by their effect on each genre."""
        if not isinstance(text, str):
            raise DataError(f"explain takes one text, not {type(text).__name__}")
        return Explanation(f"<style>{answer_css()}</style>{render_answer(self.classifier, title, text, rule)}")


def load(model: str = "champion") -> LoadedModel:
    """Return a model of the configured MLflow store, without writing to it.

    `model` is `champion`, `models:/<name>/<version>`, `models:/<name>@<alias>` or `models:/<id>`.

    Raises:
        ConfigError: the address has another form.
        ModelError: the store does not have the model, or its files are not those that were logged.
    """
    from tasks.tracking.registry import fetch_classifier

    return LoadedModel(GenreClassifier.load(fetch_classifier(model)), model)


@dataclass(frozen=True)
class Run:
    """The results of a pipeline run."""

    outcome: str  # one line
    best: str  # name of the best model on validation
    leaderboard: pl.DataFrame = field(repr=False)
    report: Path
    data_dir: Path


def run(*, data_dir: str | Path | None = None, **options: Any) -> Run:
    """Run the full pipeline in this process, as `flows/full_pipeline.py` does; return its results.

    Args:
        data_dir: the data folder of this run. Default: that of the settings (`GENREFLOW_DATA_DIR`).
        options: as in `flows/full_pipeline.py --help-all`, nested ones as mappings: `source="tickets.csv"`,
            `table={...}`, `models=["svm-title"]`, `sample={"n_movies": 1000}`.

    Raises:
        ConfigError: an option does not exist, or its value is invalid.
        ModelsFailedError: some models failed; the others, if any, were compared.
    """
    set_environment()
    try:
        config = PipelineConfig(**options)
    except ValidationError as error:
        raise ConfigError("; ".join(validation_messages(error))) from error
    with _data_folder(data_dir), as_one_line():
        outcome = run_flow("flows.full_pipeline:full_pipeline", config)
        paths = data_paths()
    leaderboard = pl.read_csv(paths.results / "leaderboard.csv", schema_overrides={"model": pl.String})
    return Run(str(outcome), leaderboard["model"][0], leaderboard, paths.results / "report.html", paths.root)


@contextmanager
def _data_folder(folder: str | Path | None) -> Iterator[None]:
    """Make the settings, which are cached, use this data folder within the block."""
    if folder is None:
        yield
        return
    before = settings()
    named = {name: os.environ.get(name) for name in (DATA_DIR, TRACKING_URI)}  # MLflow sets the latter itself
    os.environ.update({DATA_DIR: str(Path(folder).absolute()), TRACKING_URI: before.tracking_uri})
    settings.cache_clear()
    try:
        yield
    finally:
        for name, value in named.items():
            os.environ.pop(name, None)
            if value is not None:
                os.environ[name] = value
        settings.cache_clear()
        settings()


def compare(run: Run, mine: Mapping[str, Any]) -> pl.DataFrame:
    """Fit your own estimators on a run's train movies, evaluate them like its models, and rank all together.

    Decision rules are fitted on the validation scores, and the best is evaluated on the same test movies, with the
    same intervals. Nothing is written to the data folder. Return a leaderboard like `Run.leaderboard`.

    Args:
        run: the run whose models to compare with.
        mine: unfitted estimators by name. Those of `make_model` read the movies; others read texts, the title before
            the description, and learn from a matrix of 0 and 1 with a column for each genre. Scores are from
            `predict_proba`, else `decision_function`, else `predict`.

    Raises:
        ConfigError: the run has a model of that name.
        DataError: an estimator's scores have another shape, or are not finite.
    """
    if not isinstance(mine, Mapping):
        raise ConfigError('mine must be a mapping from names to estimators: compare(run, {"mine": estimator})')
    if wrong := [name for name in mine if not re.fullmatch(r"[\w.-]+", str(name))]:
        raise ConfigError(f"{wrong[0]!r}: a name may have only letters, digits, dots, hyphens and underscores")
    paths, names = DataPaths(run.data_dir), run.leaderboard["model"].to_list()
    if taken := sorted(set(mine).intersection(names)):
        raise ConfigError(f"{', '.join(taken)}: the run has a model of that name; give yours another")
    genres = json.loads((paths.models / run.best / "rules.json").read_text(encoding="utf-8"))["genres"]
    from tasks.report.leaderboard import rank_models

    how = EvaluateConfig(choose_by=run.leaderboard["chosen_by"][0])
    movies = read_split_movies(paths)
    parts = {part: movies.filter(pl.col("part").cast(pl.String) == part) for part in ("train", "validation", "test")}
    with tempfile.TemporaryDirectory() as temporary:
        folders = [paths.models / name for name in names]
        for name, estimator in mine.items():
            folder = Path(temporary) / name
            folder.mkdir()
            start_s = time.perf_counter()
            fitted = _fit(clone(estimator), parts["train"], genres)
            cost = {"fit_s": time.perf_counter() - start_s}
            (folder / "fit.json").write_text(json.dumps(cost), encoding="utf-8")
            for part in ("validation", "test"):
                scores = _scores(name, fitted, parts[part], genres)
                write_scores(folder / f"scores_{part}.parquet", parts[part]["movie_id"].to_list(), scores, genres)
            evaluate_model(folder, paths, how)
            folders.append(folder)
        return rank_models(folders)


def _fit(estimator: Any, movies: pl.DataFrame, genres: Sequence[str]) -> Any:
    lists = movies["genres"].to_list()
    if isinstance(estimator, GenreEstimator):
        return estimator.fit(movies, [[genre for genre in row if genre in genres] for row in lists])
    return estimator.fit(_titled(movies), truth_matrix(lists, genres, ignored=set().union(*lists)).astype(np.int64))


def _scores(name: str, estimator: Any, movies: pl.DataFrame, genres: Sequence[str]) -> NDArray[np.float32]:
    """Return (movies × genres) scores in [0, 1]; raise a `DataError` for another shape, or values not finite."""
    if isinstance(estimator, GenreEstimator):
        found = np.zeros((movies.height, len(genres)), dtype=np.float32)  # 0 for genres that no train movie has
        found[:, [genres.index(genre) for genre in estimator.genres_]] = estimator.predict_proba(movies)
        return found
    texts = _titled(movies)
    if hasattr(estimator, "predict_proba"):
        given = estimator.predict_proba(texts)
        if isinstance(given, list):  # one array per genre, as of `MultiOutputClassifier`
            given = np.column_stack([each[:, -1] for each in given])
    elif hasattr(estimator, "decision_function"):
        given = logistic(np.asarray(estimator.decision_function(texts), dtype=np.float64))
    else:
        given = estimator.predict(texts)
    scores = np.asarray(given.toarray() if hasattr(given, "toarray") else given, dtype=np.float32)
    if scores.shape != (movies.height, len(genres)) or not np.isfinite(scores).all():
        raise DataError(f"{name}: expected finite scores of shape {(movies.height, len(genres))}, not {scores.shape}")
    return scores


def _titled(movies: pl.DataFrame) -> list[str]:
    text = pl.concat_str("movie_name", "description", separator="\n", ignore_nulls=True)
    return movies.select(text).to_series().to_list()


def _all_params(spec: ModelSpec) -> dict[str, Any]:
    """Return the parameters of the classifier, and of the vectors and the input unless they have the same name."""
    imbalance = spec.imbalance.model_dump()
    found = {**spec.classifier.make().get_params(deep=False), **imbalance}
    for part in (*[each.make().get_params(deep=False) for each in spec.representations], spec.input.model_dump()):
        found = {**part, **found}
    return {name: value for name, value in found.items() if name not in SET_BY_THE_MODEL or name in imbalance}


def _to_lists(y: Any) -> tuple[tuple[str, ...], list[list[str]]]:
    """Return the names of the columns if y is a matrix or frame of 0 and 1, and each row's labels."""
    y = y.toarray() if hasattr(y, "toarray") else y
    if hasattr(y, "columns") or (isinstance(y, np.ndarray) and y.ndim == 2):
        matrix = np.asarray(y)
        if not np.isin(matrix, (0, 1)).all():
            raise DataError("a matrix of labels may hold only 0 and 1")
        names = tuple(map(str, getattr(y, "columns", range(matrix.shape[1]))))
        return names, _names(matrix, names)
    if y is None or isinstance(y, str) or not hasattr(y, "__iter__"):
        raise DataError(f"labels must be lists of names, or a matrix of 0 and 1, not {type(y).__name__}")
    lists: list[list[str]] = []
    for number, row in enumerate(y.to_list() if hasattr(y, "to_list") else y):
        if row is not None and (isinstance(row, str) or not hasattr(row, "__iter__")):
            raise DataError(f"labels of row {number}: expected a list of names such as [{str(row)!r}], not {row!r}")
        lists.append([] if row is None else list(row))
    if any(not isinstance(name, str) for row in lists for name in row):
        raise DataError("labels must be lists of names, or a matrix of 0 and 1")
    return (), lists


def _names(matrix: NDArray[Any], names: tuple[str, ...]) -> list[list[str]]:
    return [[names[column] for column in np.flatnonzero(row)] for row in matrix]
