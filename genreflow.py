"""genreflow from Python: models as scikit-learn estimators, logged models, and pipeline runs.

```python
import genreflow as gf

movies = gf.read_movies("data/clean/movies.parquet")
model = gf.make_model("svm-fields", C=0.2).fit(movies, movies["genres"])
model.predict(["A nurse hears voices in an abandoned ward."])
```
"""

import json
import os
import re
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Self

import numpy as np
import polars as pl
from numpy.typing import ArrayLike, NDArray
from pydantic import ValidationError
from sklearn.base import BaseEstimator, clone
from sklearn.exceptions import NotFittedError
from sklearn.pipeline import Pipeline

from tasks.core.errors import ConfigError, DataError, mistakes
from tasks.core.metrics import decision_metrics
from tasks.core.predictions import truth_matrix
from tasks.core.schema import DEFAULT_SEED
from tasks.core.settings import DataPaths, settings
from tasks.decision.calibration import logistic
from tasks.decision.rule_formats import parse_rule
from tasks.decision.rules import ExpectedJaccardSet, Rule
from tasks.models.estimators import SET_BY_THE_MODEL
from tasks.models.genre_classifier import GenreClassifier
from tasks.models.genre_model import GenreModel
from tasks.models.inputs import as_movies
from tasks.models.registry import MODELS
from tasks.models.select import choose_models, with_params
from tasks.models.spec import ModelSpec

__all__ = ["GenreEstimator", "LoadedModel", "Run", "compare", "load", "make_model", "model_names", "read_movies", "run"]

DATA_DIR: Final = "GENREFLOW_DATA_DIR"
TRACKING_URI: Final = "MLFLOW_TRACKING_URI"
EXPECTED_JACCARD: Final = "expected-jaccard"
Rows = Any  # a polars or pandas frame, or a list, array or series of texts


def model_names() -> list[str]:
    """Return the names that `make_model` takes: the registry without fine-tuned models and ensembles."""
    return [model.name for model in MODELS if isinstance(model, ModelSpec)]


def read_movies(path: str | Path) -> pl.DataFrame:
    """Return a clean table, such as `data/clean/movies.parquet`; `genres` holds lists of names.

    Raises:
        DataError: there is no such file, or it has no columns `description` and `genres`.
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
        seed: of whatever it draws.
        rule: what `predict` decides by: `expected-jaccard`, `threshold=0.3` or `top=2`. It is not fitted.
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

    It reads a polars or pandas frame with `description` and what else the model reads (`movie_name`, `year`, ...), or
    texts alone. It learns from lists of genres, or from a matrix with a column of 0 and 1 for each label.

    After `fit` there are `genres_` (the labels, in the order of the columns of `predict_proba`), and `pipeline_`, a
    scikit-learn pipeline of `vectors` and `classifier`.
    """

    def __init__(
        self, name: str = "svm-title", *, seed: int = DEFAULT_SEED, rule: str = EXPECTED_JACCARD, **params: Any
    ) -> None:
        self.name, self.seed, self.rule, self.params = name, seed, rule, params

    def spec(self) -> ModelSpec:
        """Return the model's configuration with the parameters in force.

        Raises:
            ConfigError: there is no such model or parameter, or it cannot be fitted in one go.
        """
        chosen = choose_models((self.name,))
        if len(chosen) > 1 or not isinstance(chosen[0], ModelSpec):
            raise ConfigError(f"{self.name} is no single estimator; choose one of: {', '.join(model_names())}")
        spec = with_params(chosen[0], self.params)
        assert isinstance(spec, ModelSpec)  # whatever the parameters
        return spec

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Return `name`, `seed`, `rule` and the parameters that were given; with `deep` all that the model has."""
        given = {"name": self.name, "seed": self.seed, "rule": self.rule, **self.params}
        return {**_all_params(self.spec()), **given} if deep else given

    def set_params(self, **params: Any) -> Self:
        """Set parameters.

        Raises:
            ConfigError: the model has no such parameter, or it does not take the value.
        """
        own = {key: value for key, value in params.items() if key in ("name", "seed", "rule")}
        changed = {"name": self.name, "seed": self.seed, "rule": self.rule, **self.params, **own}
        changed |= {key: value for key, value in params.items() if key not in own}
        GenreEstimator(**changed).spec()  # before anything is set
        self.params = {key: value for key, value in changed.items() if key not in ("name", "seed", "rule")}
        for key, value in own.items():
            setattr(self, key, value)
        return self

    def fit(self, X: Rows, y: Any) -> Self:
        """Fit the model.

        Args:
            X: the movies.
            y: lists of genres, or a matrix or frame of 0 and 1, one row a movie.

        Raises:
            DataError: X and y do not fit together.
            ModelError: the model cannot be fitted on these movies.
        """
        movies = as_movies(X)
        columns, genres = _to_lists(y)
        if movies.height != len(genres):
            raise DataError(f"{movies.height} rows and labels of {len(genres)}: give one for each")
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
        """Return an array of lists of genres by the rule, or a matrix of 0 and 1 where it was fitted on one."""
        decided = self._decide(self.predict_proba(X))
        return decided.astype(np.int64) if self.is_matrix_ else _names(decided, self.genres_)

    def score(self, X: Rows, y: Any) -> float:
        """Return the mean over rows of the Jaccard similarity of what is predicted and y; 1 where both are empty."""
        _, genres = _to_lists(y)
        truth = truth_matrix(genres, self.genres_, ignored={genre for row in genres for genre in row})
        return float(decision_metrics(truth, self._decide(self.predict_proba(X)))["jaccard"])

    def _fitted(self) -> GenreModel:
        if not hasattr(self, "model_"):
            raise NotFittedError(f"{self.name} is not fitted; call fit first")
        return self.model_

    def _decide(self, scores: NDArray[np.float32]) -> NDArray[np.bool_]:
        count = len(self.genres_)
        as_they_are: Rule = ExpectedJaccardSet((1.0,) * count, (0.0,) * count)  # scores taken for probabilities
        return parse_rule(self.rule, {EXPECTED_JACCARD: as_they_are}, self.genres_).decide(scores)


@dataclass(frozen=True, repr=False)
class Explanation:
    """What a model says of a text and why; a notebook shows it, and `html` is the same as text."""

    html: str

    def __repr__(self) -> str:
        return f"<explanation, {len(self.html):,} characters of HTML: show it in a notebook, or write .html to a file>"

    def _repr_html_(self) -> str:
        return self.html


class LoadedModel:
    """A model of the MLflow store with its decision rules; see `load`."""

    def __init__(self, classifier: GenreClassifier, address: str) -> None:
        self.classifier, self.address = classifier, address

    def __repr__(self) -> str:
        return f"<{self.classifier.name}, {len(self.genres)} genres, rule {self.classifier.rule}, {self.address}>"

    @property
    def genres(self) -> tuple[str, ...]:
        """The genres, in the order of the columns of `predict_proba`."""
        return self.classifier.genres

    def predict(self, X: Rows, rule: str | None = None) -> list[list[str]]:
        """Return the genres of each row; `rule` as in `GenreClassifier.predict`, none for the model's own."""
        decided = self.classifier.predict(as_movies(X), rule).get_column("genres")
        return [row.split(", ") if row else [] for row in decided]

    def predict_proba(self, X: Rows) -> NDArray[np.float32]:
        """Return the scores, (rows × genres), each in [0, 1]."""
        return self.classifier.model.scores(as_movies(X))

    def explain(self, text: str, title: str = "", rule: str | None = None) -> Explanation:
        """Return the genres of a text with their scores, and its words coloured by what they did to each genre."""
        if not isinstance(text, str):
            raise DataError(f"explain takes one text, not {type(text).__name__}")
        from tasks.core.page import answer_css  # noqa: PLC0415
        from tasks.models.explain.page import render_answer  # noqa: PLC0415

        return Explanation(f"<style>{answer_css()}</style>{render_answer(self.classifier, title, text, rule)}")


def load(model: str = "champion") -> LoadedModel:
    """Return a model of the MLflow store that the settings name; nothing is written there.

    Args:
        model: `champion`, `models:/<name>/<version>`, `models:/<name>@<alias>` or `models:/<id>`.

    Raises:
        ConfigError: it is an address of another form.
        ModelError: the store has no such model, or its files are not those that were logged.
    """
    from tasks.tracking.stored_model import fetch_classifier  # noqa: PLC0415 - it imports MLflow, which takes seconds

    return LoadedModel(GenreClassifier.load(fetch_classifier(model)), model)


@dataclass(frozen=True)
class Run:
    """What a pipeline run left."""

    outcome: str  # in a line
    best: str  # name of the best model on validation
    leaderboard: pl.DataFrame = field(repr=False)
    report: Path
    data_dir: Path


def run(*, data_dir: str | Path | None = None, **options: Any) -> Run:
    """Run the full pipeline in this process, as `flows/full_pipeline.py` does; return its results.

    Args:
        data_dir: the data folder of this run; none: that of the settings (`GENREFLOW_DATA_DIR`).
        options: as `flows/full_pipeline.py --help` lists them, nested ones as mappings: `source="tickets.csv"`,
            `table={...}`, `models=["svm-title"]`, `sample={"n_movies": 1000}`.

    Raises:
        ConfigError: an option does not exist, or does not take the value.
        ModelsFailedError: some models failed; the others, if any, were compared.
    """
    from flows.cli import ENVIRONMENT, run_flow, told_in_a_line  # noqa: PLC0415
    from flows.config import PipelineConfig  # noqa: PLC0415
    from tasks.core.settings import data_paths  # noqa: PLC0415

    for name, value in ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    try:
        config = PipelineConfig(**options)
    except ValidationError as error:
        raise ConfigError("; ".join(mistakes(error))) from error
    with _data_folder(data_dir), told_in_a_line():
        outcome = run_flow("flows.full_pipeline:full_pipeline", config)
        paths = data_paths()
    leaderboard = pl.read_csv(paths.results / "leaderboard.csv", schema_overrides={"model": pl.String})
    return Run(str(outcome), leaderboard["model"][0], leaderboard, paths.results / "report.html", paths.root)


@contextmanager
def _data_folder(folder: str | Path | None) -> Iterator[None]:
    """Let the settings, which are kept for a process, name this data folder in the block."""
    if folder is None:
        yield
        return
    before = settings()
    named = os.environ.get(DATA_DIR), os.environ.get(TRACKING_URI)  # which MLflow sets to what it was pointed to
    os.environ[DATA_DIR], os.environ[TRACKING_URI] = str(Path(folder).absolute()), before.tracking_uri
    settings.cache_clear()
    try:
        yield
    finally:
        for name, value in zip((DATA_DIR, TRACKING_URI), named, strict=True):
            os.environ.pop(name, None)
            if value is not None:
                os.environ[name] = value
        settings.cache_clear()
        settings()


def compare(run: Run, mine: Mapping[str, Any]) -> pl.DataFrame:
    """Fit estimators of one's own on a run's train movies, evaluate them as its models were, and rank all together.

    Every decision rule is fitted on their scores of validation, and the best is scored on the same test movies, with
    the same intervals. Nothing is written to the data folder.

    Args:
        run: whose models to compare with.
        mine: unfitted estimators by name. Those of `make_model` read the movies; others read texts, the title before
            the description, and learn from a matrix of 0 and 1 with a column for each genre. What counts is
            `predict_proba`, else `decision_function`, else `predict`.

    Returns:
        A leaderboard as `Run.leaderboard`, those of the run among it.

    Raises:
        ConfigError: a name is that of a model of the run.
        DataError: an estimator's scores have another shape, or are not finite.
    """
    from tasks.core.predictions import write_scores  # noqa: PLC0415
    from tasks.evaluate.evaluation import EvaluateConfig, evaluate_model  # noqa: PLC0415
    from tasks.models.features import read_movies as read_split_movies  # noqa: PLC0415
    from tasks.report.leaderboard import rank_models  # noqa: PLC0415

    if not isinstance(mine, Mapping):
        raise ConfigError('mine is a mapping from names to estimators: compare(run, {"mine": estimator})')
    if wrong := [name for name in mine if not re.fullmatch(r"[\w.-]+", str(name))]:
        raise ConfigError(f"{wrong[0]!r}: a name has letters, digits, dots, hyphens and underscores only")
    paths, names = DataPaths(run.data_dir), run.leaderboard["model"].to_list()
    if taken := sorted(set(mine).intersection(names)):
        raise ConfigError(f"{', '.join(taken)}: the run has a model of that name; give yours another")
    genres = json.loads((paths.models / run.best / "rules.json").read_text(encoding="utf-8"))["genres"]
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
    """Return (movies × genres) scores in [0, 1].

    Raises:
        DataError: they have another shape, or are not finite.
    """
    if isinstance(estimator, GenreEstimator):
        found = np.zeros((movies.height, len(genres)), dtype=np.float32)  # of genres that no train movie has
        found[:, [genres.index(genre) for genre in estimator.genres_]] = estimator.predict_proba(movies)
        return found
    texts = _titled(movies)
    if hasattr(estimator, "predict_proba"):
        given = estimator.predict_proba(texts)
        if isinstance(given, list):  # one array a genre, as `MultiOutputClassifier` has it
            given = np.column_stack([each[:, -1] for each in given])
    elif hasattr(estimator, "decision_function"):
        given = logistic(np.asarray(estimator.decision_function(texts), dtype=np.float64))
    else:
        given = estimator.predict(texts)
    scores = np.asarray(given.toarray() if hasattr(given, "toarray") else given, dtype=np.float32)
    if scores.shape != (movies.height, len(genres)) or not np.isfinite(scores).all():
        raise DataError(f"{name}: expected finite scores of {movies.height} × {len(genres)}, not {scores.shape}")
    return scores


def _titled(movies: pl.DataFrame) -> list[str]:
    return (
        movies.select(pl.concat_str("movie_name", "description", separator="\n", ignore_nulls=True))
        .to_series()
        .to_list()
    )


def _all_params(spec: ModelSpec) -> dict[str, Any]:
    """Return the parameters of the classifier and, where a name is not taken, of the vectors and the input."""
    found = {**spec.classifier.make().get_params(deep=False), **spec.imbalance.model_dump()}
    for part in (*[each.make().get_params(deep=False) for each in spec.representations], spec.input.model_dump()):
        found = {**part, **found}
    return {
        name: value
        for name, value in found.items()
        if name not in SET_BY_THE_MODEL or name in spec.imbalance.model_dump()
    }


def _to_lists(y: Any) -> tuple[tuple[str, ...], list[list[str]]]:
    """Return each row's labels, and the names of the columns where they are a matrix or frame of 0 and 1.

    Raises:
        DataError: they are neither lists of names nor a matrix of 0 and 1.
    """
    if hasattr(y, "toarray"):
        y = y.toarray()
    if hasattr(y, "columns") or (isinstance(y, np.ndarray) and y.ndim == 2):
        matrix = np.asarray(y)
        names = tuple(map(str, getattr(y, "columns", range(matrix.shape[1]))))
        return names, _lists_of(matrix, names)
    if y is None or isinstance(y, str) or not hasattr(y, "__iter__"):
        raise DataError(f"labels are lists of names, or a matrix of 0 and 1, not {type(y).__name__}")
    rows: Iterable[Any] = y.to_list() if hasattr(y, "to_list") else y
    lists = []
    for number, row in enumerate(rows):
        if row is not None and (isinstance(row, str) or not hasattr(row, "__iter__")):
            raise DataError(f"labels of row {number}: expected a list of names such as [{str(row)!r}], not {row!r}")
        lists.append(list(row) if row is not None else [])
    if any(not isinstance(name, str) for row in lists for name in row):
        raise DataError("labels are lists of names, or a matrix of 0 and 1")
    return (), lists


def _lists_of(matrix: ArrayLike, names: tuple[str, ...]) -> list[list[str]]:
    values = np.asarray(matrix)
    if not np.isin(values, (0, 1)).all():
        raise DataError("a matrix of labels holds 0 and 1 alone")
    return [[names[column] for column in np.flatnonzero(row)] for row in values]


def _names(decided: NDArray[np.bool_], genres: tuple[str, ...]) -> NDArray[np.object_]:
    names = np.empty(len(decided), dtype=object)
    for number, row in enumerate(decided):
        names[number] = [genres[column] for column in np.flatnonzero(row)]
    return names
