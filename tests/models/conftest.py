"""A small invented world in which words tell the genres."""

import importlib
import json
from collections.abc import Iterator

import polars as pl
import pytest
from threadpoolctl import threadpool_limits

from tasks.models import classifiers, spec
from tasks.schema import SPLITS

GENRES = ("Drama", "Horror", "Western")
WORDS = {
    "Drama": ["mother", "grief", "marriage", "village", "secret"],
    "Horror": ["haunted", "ghosts", "house", "terrified", "demon"],
    "Western": ["sheriff", "saloon", "outlaw", "cattle", "frontier"],
}

CLASSIFIERS = {
    "logistic-regression": classifiers.LogisticRegression(C=10),
    "logistic-regression-per-genre": classifiers.LogisticRegression(C="per-genre"),
    "linear-svm": classifiers.LinearSVM(C=1),
    "naive-bayes": classifiers.NaiveBayes(),
    "complement-naive-bayes": classifiers.NaiveBayes(variant="complement"),
    "naive-bayes-svm": classifiers.NaiveBayesSVM(),
    "nearest-neighbours": classifiers.NearestNeighbours(k=7),
    "decision-tree": classifiers.DecisionTree(max_depth=8, min_leaf=5),
    "random-forest": classifiers.RandomForest(n_trees=20, max_depth=10, min_leaf=2),
    "gradient-boosting": classifiers.GradientBoosting(components=20, n_trees=15, max_leaves=8),
    "multilayer-perceptron": classifiers.MultilayerPerceptron(hidden=16, learning_rate=0.02),
    "classifier-chains": classifiers.ClassifierChains(C=10, n_chains=2, folds=2),
    "stacked-logistic-regression": classifiers.StackedLogisticRegression(C=10, C2=1, folds=2),
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
