"""A model from movies to scores. Owns the composition of input, representation and classifier, and its folder."""

import time
from pathlib import Path
from typing import Final, Self

import numpy as np
import polars as pl
from numpy.typing import NDArray
from pydantic import ValidationError
from scipy import sparse

from tasks.errors import ModelError
from tasks.models import linear, neighbours, spec
from tasks.models.inputs import read_documents
from tasks.models.representations import REPRESENTATION_FILES, BagOfWordsVectors
from tasks.models.scorer import Scorer
from tasks.scores import truth_matrix

MODEL_FILE: Final = "model.json"


class StoredModel(spec.ModelSpec):
    """The content of `model.json`: the specification with the genres, in the order of the scores' columns."""

    genres: tuple[str, ...]


class GenreModel:
    """A named model: `fit(movies)`, then `scores(movies)`. It never sees a threshold."""

    def __init__(self, model: spec.ModelSpec, genres: tuple[str, ...]) -> None:
        self.spec, self.genres = model, genres
        self.vectors = BagOfWordsVectors(model.representation)
        self.scorer: Scorer | None = None

    def fit(self, movies: pl.DataFrame, seed: int) -> Self:
        """Fit on all rows.

        Args:
            movies: the columns that the model's input reads, and `genres` (lists of names).
            seed: of whatever the classifier draws.

        Raises:
            ModelError: no word is frequent enough, or the classifier does not converge.
        """
        documents = read_documents(movies, self.spec.input)
        X = self.vectors.fit(documents).transform(documents)
        return self.fit_vectors(X, truth_matrix(movies.get_column("genres").to_list(), self.genres), seed)

    def fit_vectors(self, X: sparse.csr_array, Y: NDArray[np.bool_], seed: int) -> Self:
        """Fit the classifier on vectors that `self.vectors` made before: (movies × terms) and (movies × genres)."""
        from tasks.models.fit import fit_scorer  # noqa: PLC0415 - scikit-learn takes seconds; only fitting needs it

        self.scorer = fit_scorer(self.spec.classifier, X, Y, seed)
        return self

    def scores(self, movies: pl.DataFrame) -> NDArray[np.float32]:
        """Return (movies × genres) scores in [0, 1], in the order of the rows and of `self.genres`."""
        return self.score_vectors(self.vectors.transform(read_documents(movies, self.spec.input)))

    def score_vectors(self, X: sparse.csr_array) -> NDArray[np.float32]:
        """Return the scores of rows that are vectors already.

        Raises:
            ModelError: the model is not fitted.
        """
        if self.scorer is None:
            raise ModelError(f"model {self.spec.name} is not fitted")
        return self.scorer.scores(X)

    def save(self, folder: Path) -> None:
        """Write the fitted model into a folder that exists: JSON and arrays, no pickle."""
        if self.scorer is None:
            raise ModelError(f"model {self.spec.name} is not fitted")
        stored = StoredModel(**dict(self.spec), genres=self.genres)
        (folder / MODEL_FILE).write_text(stored.model_dump_json() + "\n", encoding="utf-8")
        self.vectors.save(folder)
        self.scorer.save(folder)

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read what `save` wrote.

        Raises:
            ModelError: a file is missing or damaged.
        """
        try:
            stored = StoredModel.model_validate_json((folder / MODEL_FILE).read_text(encoding="utf-8"))
            model = cls(spec.ModelSpec(**{key: value for key, value in stored if key != "genres"}), stored.genres)
            model.vectors = BagOfWordsVectors.load(folder)
            model.scorer = _load_scorer(stored.classifier, folder)
        except (OSError, ValueError, KeyError, ValidationError) as error:
            raise ModelError(f"the model in {folder} is incomplete or damaged ({error}); train it again") from error
        return model


def model_files(classifier: spec.Classifier) -> tuple[str, ...]:
    """Return the names of the files that `GenreModel.save` writes for a classifier of this kind."""
    return (MODEL_FILE, *REPRESENTATION_FILES, *_SCORER_FILES[classifier.kind])


def measure_rate(model: GenreModel, movies: pl.DataFrame) -> float:
    """Return how many movies a second the model scores, text to scores, in this process now."""
    start_s = time.perf_counter()
    model.scores(movies)
    return movies.height / (time.perf_counter() - start_s)


_LINEAR_FILES = ("weights.npy", "bias.npy")
_SCORER_FILES: Final = {
    "logistic-regression": _LINEAR_FILES,
    "linear-svm": _LINEAR_FILES,
    "naive-bayes": _LINEAR_FILES,
    "nearest-neighbours": ("train_vectors.npz", "train_labels.npz"),
}


def _load_scorer(classifier: spec.Classifier, folder: Path) -> Scorer:
    if isinstance(classifier, spec.NearestNeighbours):
        return neighbours.NeighbourScorer.load(folder)
    return linear.LinearScorer.load(folder)
