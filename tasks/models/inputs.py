"""The inputs of models: documents, side fields, and templates of both.

A user's own table may have extra fields. The clean table holds them as texts `name=value` in the column `own_fields`; a
table to classify has a column for each.
"""

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import chain, pairwise
from typing import Any, Final, Self

import numpy as np
import polars as pl
from numpy.typing import NDArray
from sklearn import pipeline
from sklearn.base import BaseEstimator, TransformerMixin

from tasks.core import schema
from tasks.core.errors import DataError
from tasks.core.language import Pipeline, lemmatise
from tasks.models.spec import PLACEHOLDER, TEMPLATE_PART, FieldName, InputSpec

OWN_FIELDS: Final = "own_fields"
OWN_FIELDS_TYPE: Final = pl.List(pl.String)
# 1, 2, 5, 10, 20, ... and their negatives: fixed, so that a range means the same in all data.
_POSITIVE: Final = tuple(float(f"{digit}e{power}") for power in range(-3, 10) for digit in (1, 2, 5))
BOUNDS: Final = (*(-bound for bound in reversed(_POSITIVE)), 0.0, *_POSITIVE)
_WRITTEN: Final = [f"{bound:,.0f}" if bound == round(bound) else f"{bound:g}" for bound in BOUNDS]
_RANGES: Final = (f"below {_WRITTEN[0]}", *map(" to ".join, pairwise(_WRITTEN)), f"{_WRITTEN[-1]} or more")
RUNTIME_BOUNDS_MIN: Final = (20, 40, 60, 70, 80, 90, 100, 110, 120, 140, 170)

# The type of a field, its column in the clean table, and the one in a listing.
_COLUMNS: Final[dict[str, tuple[pl.DataType, str, str]]] = {
    "year": (pl.Int32(), "year", "year"),
    "certificate": (pl.String(), "certificate", "certificate"),
    "runtime": (pl.Int32(), "runtime_min", "runtime"),
    "director": (pl.List(pl.String()), "directors", "director"),
    "star": (pl.List(pl.String()), "stars", "star"),
}
_LISTS: Final = ("director", "star")


def own_field_names(movies: pl.DataFrame) -> tuple[str, ...]:
    """Return the names of the own fields that movies of the clean table have, sorted."""
    return tuple(sorted({line.partition("=")[0] for line in chain.from_iterable(read_own(movies))}))


def gather(movies: pl.DataFrame, names: tuple[str, ...]) -> pl.DataFrame:
    """Add the column `own_fields`, made from these columns, unless it is there as in the clean table."""
    known = [name for name in names if name in movies.columns]
    if not known or movies.schema.get(OWN_FIELDS) == OWN_FIELDS_TYPE:
        return movies
    values = [schema.own(name, schema.as_text(movies.schema[name], pl.col(name))) for name in known]
    return movies.with_columns(pl.concat_list(values).list.drop_nulls().alias(OWN_FIELDS))


def read_own(movies: pl.DataFrame) -> list[list[str]]:
    """Return the own fields of each movie as `name=value`; empty lists if there is no such column."""
    if movies.schema.get(OWN_FIELDS) != OWN_FIELDS_TYPE:
        return [[] for _ in range(movies.height)]
    return movies.get_column(OWN_FIELDS).fill_null([]).to_list()


@lru_cache(maxsize=100_000)
def _with_range(line: str) -> tuple[str, ...]:
    """Return an own field, and if it is a number also its range: a number may be a code or a quantity.

    >>> [_with_range(f"x={number}")[1] for number in (3.5, 5, 0, -3.5, 1e12)]
    ['x=2 to 5', 'x=5 to 10', 'x=0 to 0.001', 'x=-5 to -2', 'x=5,000,000,000 or more']
    """
    name, _, value = line.partition("=")
    try:
        number = float(value)
    except ValueError:
        return (line,)
    return (line, f"{name}={_RANGES[bisect_right(BOUNDS, number)]}") if abs(number) < float("inf") else (line,)


def as_movies(X: Any) -> pl.DataFrame:
    """Return a polars or pandas frame, a mapping, or texts (`description`) as a polars frame; else a DataError."""
    if isinstance(X, pl.DataFrame):
        return X
    if hasattr(X, "iloc") and hasattr(X, "columns"):  # pandas, not imported here
        return pl.from_pandas(X.reset_index(drop=True), nan_to_null=True)
    if isinstance(X, Mapping):
        return pl.DataFrame(X)
    if isinstance(X, str):
        raise DataError("expected a list of texts, not a single text")
    texts = [None if text != text else text for text in X]  # noqa: PLR0124 - NaN, which pandas has
    if wrong := [text for text in texts if text is not None and not isinstance(text, str)]:
        raise DataError(f"expected texts or a frame with a column description, not {type(wrong[0]).__name__}")
    return pl.DataFrame({"description": texts}, schema={"description": pl.String})


@dataclass(eq=False, repr=False)
class MovieText(TransformerMixin, BaseEstimator):  # type: ignore[misc]  # scikit-learn has no types
    """The text of each movie; parameters as in `InputSpec`, rows as in `as_movies`."""

    title: bool = False
    text: str = "surface"
    lowercase: bool = True
    pipeline: str = "simplemma"

    def fit(self, X: Any, y: Any = None) -> Self:
        """Learn nothing."""
        del X, y
        return self

    def transform(self, X: Any) -> list[str]:
        """Return one document per movie; errors as `read_documents`."""
        return read_documents(as_movies(X), InputSpec(**self.get_params()))

    def get_feature_names_out(self, input_features: Any = None) -> NDArray[np.object_]:
        """Return the single name `text`."""
        del input_features
        return np.array(["text"], dtype=object)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.two_d_array, tags.input_tags.string, tags.requires_fit = False, True, False
        return tags


class TextPipeline(pipeline.Pipeline):  # type: ignore[misc]  # scikit-learn has no types
    """A pipeline that counts as fitted, because its last step may be one that learns nothing."""

    def __sklearn_is_fitted__(self) -> bool:
        return True


def read_documents(movies: pl.DataFrame, spec: InputSpec) -> list[str]:
    """Return one document per movie, "" without text; the title, if any, is its first line.

    If `spec.text` is "lemmas" and there is a column `lemmas` (lists of strings, from the annotated corpus), it replaces
    the column `description`; otherwise that is lemmatised here, in the same way. A missing or null `movie_name` is
    empty. A DataError if there is no column `description`, or it holds numbers.
    """
    if "description" not in movies.columns:
        raise DataError(f"the input has no column 'description'; it has: {', '.join(movies.columns)}")
    if (kind := movies.schema["description"]).is_numeric():
        raise DataError(f"the column 'description' holds numbers ({kind}), not texts")
    lemmas_by = spec.pipeline if spec.text == "lemmas" else None
    if lemmas_by and "lemmas" in movies.columns:
        documents = movies.get_column("lemmas").list.join(" ").to_list()
    else:
        documents = _texts(movies, "description", lemmas_by)
    if spec.title:
        titles = _texts(movies, "movie_name", lemmas_by)
        documents = [f"{title}\n{description}" for title, description in zip(titles, documents, strict=True)]
    return [document.lower() for document in documents] if spec.lowercase else documents


def read_template(movies: pl.DataFrame, spec: InputSpec, template: str) -> list[str]:
    """Return the template's text of each movie, lists joined by ", "; errors as `read_documents` and `read_fields`."""
    values: dict[str, list[str]] = {}
    for name in PLACEHOLDER.findall(template):
        if name == "title":
            values[name] = _texts(movies, "movie_name")
        elif name == "description":
            values[name] = read_documents(movies, spec.model_copy(update={"title": False, "lowercase": False}))
        else:
            column = _values(movies, name).list.join(", ") if name in _LISTS else _values(movies, name)
            text = movies.with_columns(_value=column.cast(pl.String).fill_null(""))
            values[name] = text.get_column("_value").to_list()
    texts = fill_template(template, values, movies.height)
    return [text.lower() for text in texts] if spec.lowercase else texts


def fill_template(template: str, values: Mapping[str, Sequence[str]], n_movies: int) -> list[str]:
    """Return the text of each movie; unknown values are empty strings.

    >>> fill_template("{title}[ ({year})]. {description}", {"title": ["A"], "year": [""], "description": ["B."]}, 1)
    ['A. B.']
    """
    texts = [""] * n_movies
    for optional, always, _ in TEMPLATE_PART.findall(template):
        first, *rest = PLACEHOLDER.split(optional or always)  # text, name, text, name, ..., text
        columns = [values[name] for name in rest[::2]]
        for row in range(n_movies):
            found = [column[row] for column in columns]
            if not optional or all(found):
                texts[row] += first + "".join(chain.from_iterable(zip(found, rest[1::2], strict=True)))
    return texts


def read_fields(movies: pl.DataFrame, fields: Sequence[FieldName]) -> list[str]:
    """Return the known side fields of each movie, such as "decade=1980", one per line; runtimes as ranges of minutes.

    `movies` have typed columns as in the clean table (`year`, `certificate`, `runtime_min`, `directors`, `stars`), or
    texts as in a listing (`year`, `certificate`, `runtime`, `director`, `star`), and `own_fields` as in the clean
    table; any may be missing.
    """
    columns = [_field_lines(movies, field).alias(field) for field in fields if field != "own"]
    if "own" in fields:
        own = [list(chain.from_iterable(map(_with_range, lines))) for lines in read_own(movies)]
        columns.append(pl.lit(pl.Series("own", own, pl.List(pl.String))))
    lines = pl.concat_list(columns).list.unique(maintain_order=True).list.join("\n")
    return movies.with_columns(_lines=lines).get_column("_lines").to_list()


def lines_of(fields: str) -> list[str]:
    r"""Split the side fields of a movie at "\n" only; `str.splitlines` would also split values at "\x1c"."""
    return fields.split("\n") if fields else []


def _field_lines(movies: pl.DataFrame, field: FieldName) -> pl.Expr:
    """Return each movie's lines of one field as a list of strings."""
    values = _values(movies, field)
    if field == "runtime":
        reached = pl.sum_horizontal((values >= bound).cast(pl.Int32) for bound in RUNTIME_BOUNDS_MIN)
        labels = [f"below {bound}" for bound in RUNTIME_BOUNDS_MIN] + [f"{RUNTIME_BOUNDS_MIN[-1]} or more"]
        values = pl.when(values.is_not_null()).then(
            reached.replace_strict(dict(enumerate(labels)), return_dtype=pl.String)
        )
    lists = values if field in _LISTS else pl.concat_list(values)
    named = pl.concat_str(pl.lit(f"{field}="), pl.element().cast(pl.String).str.replace_all(r"\s+", " "))
    return lists.fill_null([]).list.drop_nulls().list.eval(named)


def _values(movies: pl.DataFrame, field: str) -> pl.Expr:
    """Return a field as its type; parsed if it is text, null if there is no such column."""
    if field == "decade":
        return _values(movies, "year") // 10 * 10
    dtype, *names = _COLUMNS[field]
    column = next((name for name in names if name in movies.columns), None)
    if column is None:
        return pl.lit(None, dtype)
    if field != "certificate" and movies.schema[column] == dtype:
        return pl.col(column)
    text = schema.as_text(movies.schema[column], pl.col(column))
    if field in _LISTS:
        in_lines = text.str.replace_all(",", ",\n", literal=True)
        return schema.people(pl.when(text.str.contains("\n")).then(text).otherwise(in_lines))
    if field == "runtime":
        return schema.runtime_min(text.str.replace(r"^\s*([0-9]+)\s*$", "$1 min"))  # a CSV may hold bare minutes
    return schema.year(text) if field == "year" else schema.certificate(text)


def _texts(movies: pl.DataFrame, column: str, lemmas_by: Pipeline | None = None) -> list[str]:
    """Return a column as texts, optionally lemmatised; missing and null values are empty."""
    if column not in movies.columns:
        return [""] * movies.height
    texts: list[str] = movies.get_column(column).cast(pl.String).fill_null("").to_list()
    return texts if lemmas_by is None else [" ".join(lemmas) for lemmas in lemmatise(texts, lemmas_by)]
