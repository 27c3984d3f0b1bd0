"""A model from movies to scores. Owns the composition of input, representations and classifier, and its folder."""

from collections.abc import Sequence
from itertools import chain
from pathlib import Path
from typing import Final, Self
from zipfile import BadZipFile

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy import sparse

from tasks.errors import ModelError
from tasks.models import own_fields, spec
from tasks.models.inputs import read_input
from tasks.models.precision import Precision
from tasks.models.representation.kinds import load_vectors, new_vectors, vector_files
from tasks.models.representations import SideFields
from tasks.models.scoring.kinds import load_scorer, scorer_files
from tasks.models.scoring.scorer import Scorer
from tasks.scores import truth_matrix

MODEL_FILE: Final = "model.json"


class StoredModel(spec.ModelSpec):
    """The content of `model.json`: the specification with the genres, in the order of the scores' columns."""

    genres: tuple[str, ...]
    own_fields: tuple[str, ...] = ()  # further columns that it reads, of a table of one's own


class GenreModel:
    """A named model: `fit(movies)`, then `scores(movies)`. It never sees a threshold."""

    def __init__(self, model: spec.ModelSpec, genres: tuple[str, ...]) -> None:
        self.spec, self.genres = model, genres
        self.vectors = [new_vectors(representation) for representation in model.representations]
        self.scorer: Scorer | None = None
        self.own_fields: tuple[str, ...] = ()  # names of further columns to read, beside those that listings have
        self.precision: Precision = "float32"  # whatever it is: only fine-tuned encoders have a choice

    def fit(self, movies: pl.DataFrame, seed: int) -> Self:
        """Fit on all rows.

        Args:
            movies: the columns that the model's input reads, and `genres` (lists of names; those that are not among
                the model's genres do not count).
            seed: of whatever the representations and the classifier draw.

        Raises:
            ModelError: no word is frequent enough, or the classifier does not converge.
        """
        movie_genres = movies.get_column("genres").to_list()
        Y = truth_matrix(movie_genres, self.genres, ignored=chain.from_iterable(movie_genres))
        self.learn_own_fields(movies)
        for vectors, representation in zip(self.vectors, self.spec.representations, strict=True):
            vectors.fit(read_input(movies, self.spec.input, representation), Y, seed)
        return self.fit_vectors(self._transform(movies), Y, seed)

    def learn_own_fields(self, movies: pl.DataFrame) -> None:
        """Note which further columns the movies have, if the model reads such, to find them in what it is to score."""
        sides = [each for each in self.spec.representations if isinstance(each, SideFields)]
        self.own_fields = own_fields.names_of(movies) if any("own" in side.fields for side in sides) else ()

    def fit_vectors(self, X: sparse.csr_array, Y: NDArray[np.bool_], seed: int) -> Self:
        """Fit the classifier on vectors that `self.vectors` made before: (movies × features) and (movies × genres)."""
        # scikit-learn takes seconds to import; only fitting needs it
        from tasks.models.fitting.fit import fit_scorer  # noqa: PLC0415
        from tasks.models.fitting.training import Training  # noqa: PLC0415

        self.scorer = fit_scorer(self.spec.classifier, Training(X, Y, self.genres, seed, self.spec.imbalance))
        return self

    def scores(self, movies: pl.DataFrame) -> NDArray[np.float32]:
        """Return (movies × genres) scores in [0, 1], in the order of the rows and of `self.genres`."""
        return self.score_vectors(self._transform(movies))

    def score_vectors(self, X: sparse.csr_array) -> NDArray[np.float32]:
        """Return the scores of rows that are vectors already.

        Raises:
            ModelError: the model is not fitted.
        """
        if self.scorer is None:
            raise ModelError(f"model {self.spec.name} is not fitted")
        return self.scorer.scores(X)

    def _transform(self, movies: pl.DataFrame) -> sparse.csr_array:
        movies = own_fields.gather(movies, self.own_fields)
        return side_by_side(
            [
                vectors.transform(read_input(movies, self.spec.input, representation))
                for vectors, representation in zip(self.vectors, self.spec.representations, strict=True)
            ]
        )

    def save(self, folder: Path) -> None:
        """Write the fitted model into a folder that exists: JSON and arrays, no pickle."""
        if self.scorer is None:
            raise ModelError(f"model {self.spec.name} is not fitted")
        stored = StoredModel(**dict(self.spec), genres=self.genres, own_fields=self.own_fields)
        (folder / MODEL_FILE).write_text(stored.model_dump_json() + "\n", encoding="utf-8")
        for number, vectors in enumerate(self.vectors):
            vectors_folder(folder, number).mkdir()
            vectors.save(vectors_folder(folder, number))
        self.scorer.save(folder)

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read what `save` wrote.

        Raises:
            ModelError: a file is missing or damaged.
        """
        try:
            stored = StoredModel.model_validate_json((folder / MODEL_FILE).read_text(encoding="utf-8"))
            choices = {key: value for key, value in stored if key in spec.ModelSpec.model_fields}
            model = cls(spec.ModelSpec(**choices), stored.genres)
            model.own_fields = stored.own_fields
            model.vectors = [
                load_vectors(representation, vectors_folder(folder, number))
                for number, representation in enumerate(stored.representations)
            ]
            model.scorer = load_scorer(stored.classifier, folder)
        except (OSError, ValueError, KeyError, TypeError, EOFError, BadZipFile) as error:
            raise ModelError(f"the model in {folder} is incomplete or damaged ({error}); train it again") from error
        return model


def side_by_side(matrices: Sequence[sparse.csr_array]) -> sparse.csr_array:
    """Return matrices of the same rows as one, with 32-bit indices: scikit-learn's solvers take no others."""
    if len(matrices) == 1:
        return matrices[0]
    X = sparse.csr_array(sparse.hstack(matrices, format="csr"))
    X.indices, X.indptr = X.indices.astype(np.int32, copy=False), X.indptr.astype(np.int32, copy=False)
    return X


def vectors_folder(folder: Path, number: int) -> Path:
    """Return where a model's folder keeps its first, second, ... representation."""
    return folder / f"vectors-{number + 1}"


def model_files(model: spec.ModelSpec) -> tuple[str, ...]:
    """Return the names of the files that `GenreModel.save` writes, relative to the folder."""
    vectors = [
        f"{vectors_folder(Path(), number)}/{name}"
        for number, representation in enumerate(model.representations)
        for name in vector_files(representation)
    ]
    return (MODEL_FILE, *vectors, *scorer_files(model.classifier))
