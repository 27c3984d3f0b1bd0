"""A small invented world in which words tell the genres."""

import importlib
import json
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import polars as pl
import pytest
from numpy.typing import NDArray
from scipy import sparse
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import RidgeClassifier
from sklearn.svm import LinearSVC
from sklearn.tree import DecisionTreeClassifier
from threadpoolctl import threadpool_limits

from tasks.core.schema import SPLITS
from tasks.models import linear, multilabel, spec

GENRES = ("Drama", "Horror", "Western")
WORDS = {
    "Drama": ["mother", "grief", "marriage", "village", "secret"],
    "Horror": ["haunted", "ghosts", "house", "terrified", "demon"],
    "Western": ["sheriff", "saloon", "outlaw", "cattle", "frontier"],
}

CLASSIFIERS = {
    "logistic-regression": linear.LogisticRegression(C=10),
    "logistic-regression-per-genre": linear.LogisticRegression(C="per-genre"),
    "linear-svm": linear.LinearSVM(C=1),
    "naive-bayes": linear.NaiveBayes(),
    "complement-naive-bayes": linear.NaiveBayes(variant="complement"),
    "naive-bayes-svm": linear.NaiveBayesSVM(),
    "nearest-neighbours": multilabel.NearestNeighbours(k=7),
    "decision-tree": DecisionTreeClassifier(max_depth=8, min_samples_leaf=5),
    "random-forest": RandomForestClassifier(20, max_depth=10, min_samples_leaf=2),
    "gradient-boosting": multilabel.GradientBoosting(components=20, n_trees=15, max_leaves=8),
    "multilayer-perceptron": multilabel.MultilayerPerceptron(hidden=16, learning_rate=0.02),
    "classifier-chains": linear.ClassifierChains(C=10, n_chains=2, folds=2),
    "stacked-logistic-regression": linear.StackedLogisticRegression(C=10, C2=1, folds=2),
    "ridge": RidgeClassifier(),
    "linear-svc": LinearSVC(),
}


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> Iterator[None]:
    """Fits as in the train stage; threads of several tests at once wait for each other."""
    importlib.import_module("sklearn.ensemble")  # the limit holds for libraries that are loaded
    with threadpool_limits(1):
        yield


@pytest.fixture(scope="session")
def movies(invent_movies) -> pl.DataFrame:
    """300 movies with one or two genres, five telling words a genre and five that tell nothing."""
    return invent_movies(WORDS, 300, 1)


@pytest.fixture(scope="session", params=sorted(CLASSIFIERS))
def model_spec(request: pytest.FixtureRequest) -> spec.ModelSpec:
    """One model a classifier."""
    return spec.ModelSpec(name=request.param, classifier=CLASSIFIERS[request.param])


@pytest.fixture
def prepared(paths, movies):
    """The small world as a prepared data folder: 240 movies in train, 30 in validation, 30 in test."""
    paths.clean.mkdir(parents=True)
    paths.splits.parent.mkdir()
    movies.write_parquet(paths.movies)
    paths.genres_json.write_text(json.dumps(list(GENRES)), encoding="utf-8")
    parts = ["train"] * 240 + ["validation"] * 30 + ["test"] * 30
    development = [number < 24 for number in range(300)]
    splits = {"movie_id": movies["movie_id"], "part": parts, "is_development": development, "fold": [0] * len(parts)}
    pl.DataFrame(splits, schema=SPLITS).write_parquet(paths.splits)
    return paths


@dataclass(frozen=True)
class Training:
    """What a classifier is fitted on."""

    X: sparse.csr_array
    Y: NDArray[np.bool_]


@pytest.fixture
def training() -> Training:
    """Counts of thirty words in 120 movies, and three genres: one noisy, one certain, one rare."""
    rng = np.random.default_rng(7)
    X = rng.poisson(0.4, size=(120, 30)).astype(np.float32)
    Y = np.column_stack([X[:, 0] + rng.normal(size=120) > 0.5, X[:, 1] + X[:, 2] > 0, rng.random(120) < 0.02])
    Y[:2, 2] = True
    # In the order in which classifiers see them, which depends on what is in the rows alone.
    order = np.lexsort((*Y.T, X @ np.random.default_rng(0).standard_normal(X.shape[1])))
    return Training(sparse.csr_array(X[order]), Y[order])
