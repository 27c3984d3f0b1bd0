"""The entry point of MLflow's pyfunc flavour to a served classifier: pandas in and out.

Invalid input raises MLflow's exceptions, so that its scoring server responds with 400 and the reason. This module and
its imports are part of the logged model, which therefore loads without this project.
"""

import logging
import re
import threading
from collections.abc import Container
from numbers import Integral, Real
from pathlib import Path
from typing import Any, Final, get_args

import numpy as np
import pandas as pd
import polars as pl
from mlflow.exceptions import MlflowException
from mlflow.types import DataType, Schema
from mlflow.types.schema import AnyType

from tasks.core.errors import ConfigError, DataError
from tasks.core.files import check_hashes

# Imported so that they travel with the model: a stored pipeline names their classes.
from tasks.models import linear, multilabel, vectorizers, word_vectors  # noqa: F401
from tasks.models.encoder import frozen  # noqa: F401
from tasks.models.genre_classifier import GenreClassifier
from tasks.models.spec import Precision

COLUMNS: Final = ("description", "movie_name", "year", "certificate", "runtime", "director", "star")
_ORIGINAL_PANDAS_TYPES: Final = Schema.pandas_types
_IGNORED_PARAMS: Final = re.compile(r"Unrecognized params \[(.*?)\].*'rule'", re.DOTALL)


class ServedClassifier:
    """A `GenreClassifier` with the signature that MLflow's pyfunc flavour calls."""

    def __init__(self, classifier: GenreClassifier) -> None:
        self.classifier = classifier
        self._one_at_a_time = threading.Lock()  # servers call from several threads, and precision is the model's state

    def predict(self, model_input: pd.DataFrame, params: dict[str, Any] | None = None) -> pd.DataFrame:
        """Return `genres` and `score_<Genre>` columns, one row per input row in input order.

        `model_input` needs `description`, and may have the others of `COLUMNS` and the model's own fields; other
        columns are ignored. Values are texts, categories or null, which counts as empty. Columns other than the
        description may also hold whole numbers, own fields any finite numbers. `params` may have `rule`, a stored rule
        or as in `tasks.decision.rules.parse_rule` (default: the model's own), and `precision`, float32 (default)
        or int8.

        An MlflowException (INVALID_PARAMETER_VALUE) for a wrong value, rule or precision, or without a description.
        """
        given = params or {}
        precision: Any = given.get("precision") or "float32"
        if precision not in get_args(Precision):
            known = " and ".join(get_args(Precision))
            raise MlflowException.invalid_parameter_value(f"there is no precision {precision!r}; there are {known}")
        try:
            own = self.classifier.model.own_fields
            names = [name for name in dict.fromkeys((*COLUMNS, *own)) if name in model_input]
            columns = {name: _texts(name, model_input[name], own) for name in names}
            movies = pl.DataFrame(columns, schema=dict.fromkeys(columns, pl.String))
            with self._one_at_a_time:
                self.classifier.model.precision = precision
                predicted = self.classifier.predict(movies, given.get("rule") or None)
        except (ConfigError, DataError) as error:
            raise MlflowException.invalid_parameter_value(str(error)) from error
        return pd.DataFrame({name: predicted.get_column(name).to_numpy() for name in predicted.columns})


def _texts(name: str, column: "pd.Series[Any]", own: Container[str]) -> list[str | None]:
    if name in own:  # may hold any numbers
        column = column.map(lambda value: str(value) if isinstance(value, float) and value % 1 > 0 else value)
    may_be_number = name != "description"
    return [_text(value, f"{name}, row {row}", may_be_number) for row, value in enumerate(column, start=1)]


def _text(value: Any, where: str, may_be_number: bool) -> str | None:
    """Return a value as text, or None if it is missing; a DataError that says where if it is neither."""
    is_number = isinstance(value, Real) and not isinstance(value, bool)
    if value is None or value is pd.NA or (is_number and pd.isna(value)):
        return None
    if isinstance(value, str):
        try:
            value.encode()
        except UnicodeEncodeError as error:
            raise DataError(f"{where}: half a surrogate pair at character {error.start + 1}; send UTF-8") from error
        return value
    if may_be_number and is_number and (isinstance(value, Integral) or value.is_integer()):
        return str(int(value))  # a column of whole numbers with gaps comes as floats
    expected = "a text, a whole number or null" if may_be_number else "a text or null"
    raise DataError(f"{where}: expected {expected}, not {value!r:.80}")


class _UnknownParams(logging.Filter):
    """Refuses unknown parameters, which MLflow ignores with a warning: a misspelt rule would go unnoticed."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Return True; raise an MlflowException if the record warns that MLflow ignores a parameter of this model."""
        if ignored := _IGNORED_PARAMS.match(record.getMessage()):
            raise MlflowException.invalid_parameter_value(
                f"there is no parameter {ignored[1]}; there are: 'rule', 'precision'"
            )
        return True


def _pandas_types(schema: Schema) -> list[np.dtype[Any]]:
    """Return the column types for MLflow's server to read a CSV: text for columns of any type.

    MLflow itself refuses a schema with such columns, and with other types it accepts no numbers from a data frame.
    """
    if not all(isinstance(each.type, DataType | AnyType) for each in schema.inputs):
        return list(_ORIGINAL_PANDAS_TYPES(schema))
    kinds = [each.type for each in schema.inputs]
    return [kind.to_pandas() if isinstance(kind, DataType) else np.dtype(object) for kind in kinds]


def load_served(path: str) -> ServedClassifier:
    """Return the classifier in a folder for MLflow, after a check of its files against `hashes.json`."""
    Schema.pandas_types = _pandas_types  # type: ignore[assignment, method-assign]
    checker = logging.getLogger("mlflow.models.utils")
    if not any(isinstance(each, _UnknownParams) for each in checker.filters):
        checker.addFilter(_UnknownParams())
    check_hashes(Path(path))
    return ServedClassifier(GenreClassifier.load(Path(path)))


_load_pyfunc: Final = load_served  # the name that MLflow calls
