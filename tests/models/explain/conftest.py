"""The small world with titles and fields, and one fitted model a kind of vectors or classifier."""

from functools import cache

import numpy as np
import polars as pl
import pytest

from tasks.decision.calibration import log_odds
from tasks.models import spec
from tasks.models.explain.attribution import explain
from tasks.models.linear import LogisticRegression
from tasks.models.pipeline import GenreModel
from tasks.models.spec import InputSpec
from tasks.models.vectorizers import BagOfWords, CharacterNgrams, SideFields
from tasks.models.word_vectors import WordVectors

LOGREG = LogisticRegression(C=10)
GENRES = ("Drama", "Horror", "Western")
ALL = (0, 1, 2)
TITLED = InputSpec(title=True)

REPRESENTATIONS = {
    "counts": (BagOfWords(weighting="counts"),),
    "pairs": (BagOfWords(max_n=2, sublinear=True),),
    "characters": (CharacterNgrams(min_n=1, max_n=4, min_movies=2),),
    "words-and-fields": (BagOfWords(), SideFields()),
    "word2vec": (WordVectors(dimensions=20, epochs=40),),
    "fasttext": (WordVectors(algorithm="fasttext", dimensions=20, epochs=100, buckets=500),),
    "fields-and-word2vec": (SideFields(fields=("decade", "runtime", "star")), WordVectors(dimensions=20, epochs=40)),
}


@pytest.fixture(scope="session")
def listed(movies):
    """The invented movies with a title of filler words, and fields of which some are not known."""
    rng = np.random.default_rng(5)
    n = movies.height
    known = rng.random(n) < 0.8
    people = ["Ann Other", "Bo Lee, Jr.", "Cy  Young", "Di Ng"]
    return movies.with_columns(
        movie_name=pl.Series(["The Old Ghosts' Night-Town" if row % 2 else "" for row in range(n)]),
        year=pl.Series(np.where(known, rng.integers(1940, 2020, n), None).tolist(), dtype=pl.Int32),
        certificate=pl.Series([["PG", "R", None][row % 3] for row in range(n)], dtype=pl.String),
        runtime_min=pl.Series(rng.integers(15, 200, n), dtype=pl.Int32),
        directors=pl.Series([[people[row % 4]] for row in range(n)]),
        stars=pl.Series([rng.choice(people, row % 3, replace=False).tolist() for row in range(n)], dtype=pl.List(str)),
    )


@pytest.fixture(scope="session")
def fit(listed):
    """A function that gives the fitted model of a classifier and the name of its vectors."""

    @cache
    def fitted(made_of):
        return GenreModel(made_of, GENRES, 1).fit(listed)

    def fit_model(representations, classifier=LOGREG):
        vectors = REPRESENTATIONS[representations]
        return fitted(spec.ModelSpec(name="m", input=TITLED, representations=vectors, classifier=classifier))

    return fit_model


@pytest.fixture(scope="session")
def explain_all():
    """A function that explains all genres of movies: pieces and explanations."""

    def explain_every(model, movies):
        cut, explanations = explain(model, movies, [ALL] * movies.height)
        return cut.pieces, explanations

    return explain_every


@pytest.fixture(scope="session")
def logits_of():
    """A function that gives the log-odds of a model's scores, which are in single precision."""
    return lambda model, movies: log_odds(model.scores(movies), 1e-6)


@pytest.fixture(scope="session", params=REPRESENTATIONS)
def representations(request):
    """The names of all kinds of vectors, one after the other."""
    return request.param
