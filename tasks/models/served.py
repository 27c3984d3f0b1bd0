"""MLflow's door to a served classifier: `_load_pyfunc`, which its pyfunc flavour calls. Owns pandas in and out.

This module and what it imports travel inside the logged model, so that it loads where this project is not installed.
"""

from pathlib import Path
from typing import Any, Final

import pandas as pd
import polars as pl

from tasks.hashes import check_hashes
from tasks.models.classifier import GenreClassifier
from tasks.models.precision import read_precision

COLUMNS: Final = ("description", "movie_name", "year", "certificate", "runtime", "director", "star")


class ServedClassifier:
    """A `GenreClassifier` with the signature that MLflow's pyfunc flavour calls."""

    def __init__(self, classifier: GenreClassifier) -> None:
        self.classifier = classifier

    def predict(self, model_input: pd.DataFrame, params: dict[str, Any] | None = None) -> pd.DataFrame:
        """Return `genres` and `score_<Genre>` columns, one row per input row in input order.

        Args:
            model_input: column `description`, optionally the others of `COLUMNS`; further columns are ignored.
            params: `rule`, a stored decision rule's name or a rule such as `threshold=0.3`, `top=2` or `Drama=0.6`, see
                `tasks.decision.parse.parse_rule`; empty or absent is the chosen one. `precision`, float32 or int8, see
                `tasks.models.precision`; empty or absent is float32.
        """
        columns = {name: _texts(model_input[name]) for name in COLUMNS if name in model_input}
        movies = pl.DataFrame(columns, schema=dict.fromkeys(columns, pl.String))
        given = params or {}
        self.classifier.model.precision = read_precision(given.get("precision") or "float32")
        predicted = self.classifier.predict(movies, given.get("rule") or None)
        return pd.DataFrame({name: predicted.get_column(name).to_numpy() for name in predicted.columns})


def _texts(column: "pd.Series[Any]") -> list[str | None]:
    return [None if pd.isna(value) else str(value) for value in column]


def _load_pyfunc(path: str) -> ServedClassifier:
    check_hashes(Path(path))
    return ServedClassifier(GenreClassifier.load(Path(path)))
