"""A model from movies to scores: a scikit-learn pipeline and its genres, stored by skops.

skops runs no code from a file and creates only objects of known types.
"""

import importlib
import inspect
import json
import logging
import re
import sys
import warnings
from collections import defaultdict
from collections.abc import Sequence
from functools import cache
from io import BytesIO
from itertools import chain
from pathlib import Path
from typing import Any, Final, Self
from zipfile import ZIP_DEFLATED, BadZipFile, ZipFile, ZipInfo

import numpy as np
import polars as pl
import sklearn
from numpy.typing import NDArray
from pydantic import ValidationError
from scipy import sparse
from sklearn.exceptions import InconsistentVersionWarning
from sklearn.pipeline import FeatureUnion, Pipeline
from sklearn.utils.validation import check_is_fitted

from tasks.core.errors import ModelError, validation_messages
from tasks.core.predictions import truth_matrix
from tasks.models.estimators import NO_ESTIMATOR, SHORT_NAMES, EstimatorSpec
from tasks.models.inputs import MovieText, TextPipeline
from tasks.models.spec import InputSpec, ModelSpec, Precision, reads_movies

logger = logging.getLogger(__name__)

MODEL_FILE: Final = "model.json"
PIPELINE_FILE: Final = "model.skops"
FILES: Final = (MODEL_FILE, PIPELINE_FILE)
VECTORS_FILE: Final = "vectorizer.skops"
LONGEST: Final = 500  # characters of a reason
SCHEMA: Final = "schema.json"  # of skops

# Types that a stored file may hold in addition to those of NumPy, SciPy and scikit-learn.
TRUSTED: Final = (
    *SHORT_NAMES.values(),
    "tasks.models.inputs.MovieText",
    "tasks.models.inputs.TextPipeline",
    "tasks.models.multilabel.AnyClassifier",
)


class StoredModel(ModelSpec):
    """The content of `model.json`."""

    genres: tuple[str, ...]  # in the order of the scores' columns
    own_fields: tuple[str, ...] = ()  # extra columns to read
    scikit_learn: str = sklearn.__version__  # the version that stored it


class GenreModel:
    """A named model: `fit(movies)`, then `scores(movies)`. It never sees a threshold."""

    def __init__(self, spec: ModelSpec, genres: Sequence[str], seed: int, pipeline: Pipeline | None = None) -> None:
        self.spec, self.genres = spec, tuple(genres)
        self.pipeline = pipeline or new_pipeline(spec, genres, seed)
        self.precision: Precision = "float32"  # ignored; only fine-tuned encoders have a choice

    @property
    def vectorizers(self) -> list[Any]:
        """The transformers to vectors, in the order of `spec.representations`, without their text readers."""
        parts = [part for _, part in self.pipeline["vectors"].transformer_list]
        return [part[-1] if isinstance(part, Pipeline) else part for part in parts]

    @property
    def classifier(self) -> Any:
        """The last step of the pipeline."""
        return self.pipeline[-1]

    @property
    def own_fields(self) -> tuple[str, ...]:
        """The extra columns that it reads from a user's own table."""
        found = [getattr(vectorizer, "own_fields_", ()) for vectorizer in self.vectorizers]
        return tuple(sorted(set(chain.from_iterable(found))))

    def fit(self, movies: pl.DataFrame) -> Self:
        """Fit on all rows, with the input's columns and `genres` (lists of names; other genres are ignored).

        A ModelError if no word is frequent enough, or the classifier does not converge.
        """
        movie_genres = movies.get_column("genres").to_list()
        Y = truth_matrix(movie_genres, self.genres, ignored=chain.from_iterable(movie_genres))
        self.pipeline.fit(movies, as_frame(Y, self.genres))
        return self

    def scores(self, movies: pl.DataFrame) -> NDArray[np.float32]:
        """Return (movies × genres) scores in [0, 1], in the order of the rows and of `self.genres`."""
        return self.score_vectors(self.pipeline["vectors"].transform(movies))

    def score_vectors(self, X: sparse.csr_array) -> NDArray[np.float32]:
        """Return the scores of vectors."""
        return np.asarray(self.classifier.predict_proba(X), dtype=np.float32)

    def save(self, folder: Path) -> None:
        """Write the fitted model into an existing folder; errors as `save_estimator`."""
        check_is_fitted(self.classifier)
        stored = StoredModel(**dict(self.spec), genres=self.genres, own_fields=self.own_fields)
        (folder / MODEL_FILE).write_text(stored.model_dump_json() + "\n", encoding="utf-8")
        save_estimator(self.pipeline, folder / PIPELINE_FILE, [self.spec.classifier, *self.spec.representations])

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read what `save` wrote; a ModelError if it is missing, damaged, unsafe, or of an unreadable version."""
        if (folder / MODEL_FILE).is_file() and not (folder / PIPELINE_FILE).is_file():
            raise ModelError(
                f"the model in {folder} has no {PIPELINE_FILE}: it is incomplete, or from an earlier version that only "
                "mlflow.pyfunc.load_model can load; run flows/full_pipeline.py to replace it"
            )
        try:
            stored = StoredModel.model_validate_json((folder / MODEL_FILE).read_text(encoding="utf-8"))
            parts = [stored.classifier, *stored.representations]
            pipeline = load_estimator(folder / PIPELINE_FILE, parts, stored.scikit_learn)
            pipeline["vectors"], pipeline["classifier"]
        except (OSError, ValueError, KeyError, TypeError, EOFError) as error:
            said = "; ".join(validation_messages(error))[:LONGEST] if isinstance(error, ValidationError) else str(error)
            problem = f"is incomplete or damaged ({said}); train it again"
            if isinstance(error, ValidationError) and NO_ESTIMATOR in said:
                problem = f"needs code that is not installed: {said}, on PYTHONPATH"
            raise ModelError(f"the model in {folder} {problem}") from error
        choices = {key: value for key, value in stored if key in ModelSpec.model_fields}
        return cls(ModelSpec(**choices), stored.genres, 0, pipeline)


def new_pipeline(spec: ModelSpec, genres: Sequence[str], seed: int, vectors: Sequence[Any] = ()) -> Pipeline:
    """Return an unfitted pipeline from movies to columns to scores; given fitted `vectors` replace new ones."""
    parts = vectors or [read_representation(spec.input, each, seed) for each in spec.representations]
    names = [f"{each.kind.split('.')[-1]}-{number}" for number, each in enumerate(spec.representations, 1)]
    union = FeatureUnion(list(zip(names, parts, strict=True)))
    return Pipeline([("vectors", union), ("classifier", spec.new_classifier(genres, seed))])


def read_representation(spec: InputSpec, representation: EstimatorSpec, seed: int) -> Any:
    """Return an unfitted transformer from movies to vectors: the representation, after a text reader if needed."""
    transformer = representation.make(random_state=seed)
    if reads_movies(representation):
        return transformer
    return TextPipeline([("text", MovieText(**spec.model_dump())), ("vectors", transformer)])


def as_frame(Y: NDArray[np.bool_], genres: Sequence[str]) -> Any:
    """Return labels as a table with a column per genre, so that classifiers know the names."""
    return pl.DataFrame(Y.astype(np.int64), schema=list(genres))


def save_estimator(estimator: Any, path: Path, parts: Sequence[EstimatorSpec]) -> None:
    """Write a fitted estimator by skops; a ModelError if it holds a type not known to be safe, or of its `parts`."""
    _dump(estimator, path)
    _, unknown = _types_in(path, parts)
    if unknown:
        path.unlink()
        raise ModelError(
            f"{path.name} cannot be stored: it holds {', '.join(unknown)}, and only NumPy, scikit-learn and this "
            "project's own types are read back; choose an estimator that is made of these"
        )


def _dump(estimator: Any, path: Path) -> None:
    """Write what `skops.io.dump` writes, compressed, and with the same bytes for equal estimators.

    skops names objects and files by their memory addresses; here they are numbered in order of appearance.
    """
    numbers: defaultdict[str, int] = defaultdict(lambda: len(numbers))

    def renumber(node: Any) -> None:
        if isinstance(node, dict):
            if "__id__" in node:
                node["__id__"] = numbers[str(node["__id__"])]
            if isinstance(node.get("file"), str):
                address, _, suffix = node["file"].partition(".")
                node["file"] = f"{numbers[address]}.{suffix}"
        for child in node.values() if isinstance(node, dict) else node if isinstance(node, list) else ():
            renumber(child)

    with ZipFile(BytesIO(_skops().dumps(estimator))) as made, ZipFile(path, "w") as written:
        schema = json.loads(made.read(SCHEMA))
        renumber(schema)
        split = [name.partition(".") for name in made.namelist() if name != SCHEMA]
        written.writestr(ZipInfo(SCHEMA), json.dumps(schema), ZIP_DEFLATED, 1)
        for number, suffix, address in sorted((numbers[address], suffix, address) for address, _, suffix in split):
            content = made.read(f"{address}.{suffix}")
            written.writestr(ZipInfo(f"{number}.{suffix}"), content, ZIP_DEFLATED, 1)


def load_estimator(path: Path, parts: Sequence[EstimatorSpec], version: str = sklearn.__version__) -> Any:
    """Read what `save_estimator` wrote.

    A ModelError if it is unsafe, or of an unreadable scikit-learn version; an OSError or ValueError if it is damaged.
    """
    is_of_another_version = version.split(".")[:2] != sklearn.__version__.split(".")[:2]
    try:
        trusted, unknown = _types_in(path, parts)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", InconsistentVersionWarning)  # logged below, once per file
            estimator = None if unknown else _skops().load(path, trusted=trusted)
    except (OSError, BadZipFile) as error:
        raise OSError(f"{path.name}: {error}") from error
    except Exception as error:  # skops and the estimators may raise anything
        if is_of_another_version:
            raise ModelError(
                f"{path} was stored with scikit-learn {version}, which {sklearn.__version__} cannot read; install "
                f"scikit-learn=={version}, or train the model again"
            ) from error
        raise ValueError(f"{path.name}: {error!r}") from error
    if unknown:
        raise ModelError(f"{path} is refused: it holds types that are not known to be safe: {', '.join(unknown)}")
    if is_of_another_version:
        logger.warning(
            "%s was stored with scikit-learn %s and is read by %s: scores may differ; train it again to rule this out",
            *(path, version, sklearn.__version__),
        )
    return estimator


@cache
def _skops() -> Any:
    """Return `skops.io`, imported on demand without PyTorch and Dask: its adapters to those would take seconds."""
    adapters = [f"sklearn.externals.array_api_compat.{name}" for name in ("cupy", "dask", "torch")]
    hidden: dict[str, Any] = {name: None for name in adapters if name not in sys.modules}
    sys.modules.update(hidden)  # importing them fails
    try:
        return importlib.import_module("skops.io")
    finally:
        for name in hidden:
            del sys.modules[name]


def _types_in(path: Path, parts: Sequence[EstimatorSpec]) -> tuple[list[str], list[str]]:
    """Return the types in a file that skops itself does not trust: those known to be safe, and all others.

    Safe are those of `TRUSTED`, the estimators in a specification, and classes of scikit-learn and of SciPy's sparse
    arrays, which hold numbers and settings.
    """
    named = [found for part in parts for found in part.classes]
    trusted = {*TRUSTED, *(f"{found.__module__}.{found.__qualname__}" for found in named)}

    def is_safe(name: str) -> bool:
        module, _, attribute = name.rpartition(".")
        if name in trusted or not re.match(r"(sklearn\.(?!externals|datasets|tests)|scipy\.sparse\.)", name):
            return name in trusted
        return inspect.isclass(getattr(importlib.import_module(module), attribute, None))

    found = _skops().get_untrusted_types(file=path)
    safe = [name for name in found if is_safe(name)]
    return safe, sorted(set(found).difference(safe))
