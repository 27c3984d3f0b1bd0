"""What features do to each genre over many movies. Owns the two ways to measure it and which features are kept."""

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from tasks.models.classifier import GenreClassifier
from tasks.models.explain.explain import explain, is_exact
from tasks.models.explain.explanation import Explanation
from tasks.models.explain.linear import is_linear
from tasks.models.explain.pieces import TEXTS, ExplainedMovies, Piece
from tasks.models.explain.table import decided_or_missed
from tasks.models.genre_model import GenreModel
from tasks.models.inputs import RUNTIME_BOUNDS_MIN
from tasks.models.linear_classifiers import StackedLogisticRegression
from tasks.models.vectorizers import CharacterNgrams, SideFields, TermVectorizer
from tasks.schema import IMPORTANCE

SAMPLE: Final = 100  # test movies that a model is explained on which takes long to explain
LEAST_MOVIES: Final = 3  # that have a feature; of fewer, little can be said
KEPT: Final = 100  # of a genre and kind, in each direction


def measure_importance(classifier: GenreClassifier, movies: pl.DataFrame, seed: int) -> tuple[pl.DataFrame, int]:
    """Return `schema.IMPORTANCE` and on how many movies it rests.

    - A linear classifier of terms and fields: its own columns (n-grams as they are), on all movies. A stacked one is
      taken as linear, which it is but for what its first level cuts off.
    - Any other: words and fields as explained (`.explain`), n-grams and parts of words in their words; on all movies if
      that is exact, else on `SAMPLE` of them, drawn with the seed, and of their decided and missed genres only.

    Of each genre and kind, the `KEPT` strongest features in each direction are kept, the strongest first: the weight
    counts, times the root of the number of movies, so that neither the rare nor the frequent rule. Features that fewer
    than `LEAST_MOVIES` movies have are left out.

    Args:
        classifier: what is explained.
        movies: columns of the clean table.
        seed: of the sample, and of what a method draws.
    """
    model = classifier.model
    if isinstance(model, GenreModel) and (weights := _term_weights(model)) is not None:
        return _kept(_of_columns(model, weights, movies)), movies.height
    if is_exact(model):
        asked = [list(range(len(model.genres)))] * movies.height
    else:
        rows = np.sort(np.random.default_rng(seed).permutation(movies.height)[:SAMPLE])
        movies = movies[rows]
        asked = decided_or_missed(classifier, movies)
    cut, explanations = explain(model, movies, asked, seed)
    return _kept(_of_pieces(model.genres, cut, explanations)), movies.height


def _term_weights(model: GenreModel) -> NDArray[np.float64] | None:
    """Return (columns × genres) weights, or None if a column has no meaning of its own or the scores are not linear."""
    if not is_linear(model) or not all(isinstance(each, TermVectorizer) for each in model.vectorizers):
        return None
    weights: NDArray[np.float64] = model.classifier.coef_.T.astype(np.float64)
    if isinstance(model.classifier, StackedLogisticRegression):
        weights = weights @ model.classifier.second_coef_.T
    return weights


def _of_columns(model: GenreModel, weights: NDArray[np.float64], movies: pl.DataFrame) -> pl.DataFrame:
    """Return the mean contribution of each column over the movies that have it, one row a column and genre."""
    tables, at = [], 0
    for vectorizer, (_, reader) in zip(model.vectorizers, model.pipeline["vectors"].transformer_list, strict=True):
        X = reader.transform(movies).tocsc()
        counts = np.diff(X.indptr)
        often = np.flatnonzero(counts >= LEAST_MOVIES)
        means = np.asarray(X.sum(axis=0), dtype=np.float64).ravel()[often] / counts[often]
        names = [_column_name(vectorizer.vocabulary_[column], vectorizer) for column in often.tolist()]
        values = means[:, None] * weights[at : at + X.shape[1]][often]
        tables.append(_long(model.genres, names, values, np.tile(counts[often, None], len(model.genres))))
        at += X.shape[1]
    return pl.concat(tables)


def _of_pieces(genres: Sequence[str], movies: ExplainedMovies, explanations: Sequence[Explanation]) -> pl.DataFrame:
    """Return the same of words and field values, whose contributions in one movie are summed first."""
    number_of: dict[tuple[str, str], int] = {}
    rows = [np.array([number_of.setdefault(_piece_name(p), len(number_of)) for p in of]) for of in movies.pieces]
    sums, counts = (np.zeros((len(number_of), len(genres))) for _ in range(2))
    for features, explanation, columns in zip(rows, explanations, movies.asked, strict=True):
        asked = np.array(columns, dtype=np.int64)
        if len(features) and len(asked):
            np.add.at(sums, np.ix_(features, asked), explanation.contributions)
            counts[np.ix_(np.unique(features), asked)] += 1
    return _long(genres, list(number_of), sums / np.maximum(counts, 1), counts)


def _long(
    genres: Sequence[str], names: Sequence[tuple[str, str]], weights: NDArray[np.float64], counts: NDArray[Any]
) -> pl.DataFrame:
    """Return (features × genres) weights and counts as `schema.IMPORTANCE`."""
    kinds, features = zip(*names, strict=True) if names else ((), ())
    tables = [
        pl.DataFrame(
            {
                "genre": [genre] * len(names),
                "kind": kinds,
                "feature": features,
                "weight": weights[:, column],
                "movies": counts[:, column].astype(np.int64),
            },
            schema=IMPORTANCE,
        )
        for column, genre in enumerate(genres)
    ]
    return pl.concat(tables)


def _kept(table: pl.DataFrame) -> pl.DataFrame:
    """Return the strongest features of each genre and kind in each direction, genre after genre."""
    strength = pl.col("weight").abs() * pl.col("movies").sqrt()
    ranked = table.filter((pl.col("movies") >= LEAST_MOVIES) & (pl.col("weight") != 0)).sort(
        "genre", "kind", -strength, "feature"
    )
    return ranked.filter(pl.int_range(pl.len()).over("genre", "kind", pl.col("weight") > 0) < KEPT)


def _column_name(name: str, vectorizer: TermVectorizer) -> tuple[str, str]:
    """Return the kind of a column and its name as people read it."""
    if isinstance(vectorizer, CharacterNgrams):
        return "characters", name.replace(" ", "␣")
    if not isinstance(vectorizer, SideFields):
        return "word", name
    field, value = name.split("=", 1)
    if field == "decade":
        return "field", f"{value}s"
    return "field", f"{field} {_runtime_range(value) if field == 'runtime' else value}"


def _runtime_range(label: str) -> str:
    """Return the minutes that a label of `read_fields` stands for.

    >>> _runtime_range("below 20"), _runtime_range("below 80"), _runtime_range("170 or more")
    ('below 20 min', '70 to 79 min', '170 min or more')
    """
    number = int(next(word for word in label.split() if word.isdigit()))
    if not label.startswith("below"):
        return f"{number} min or more"
    at = RUNTIME_BOUNDS_MIN.index(number)
    return f"{RUNTIME_BOUNDS_MIN[at - 1]} to {number - 1} min" if at else f"below {number} min"


def _piece_name(piece: Piece) -> tuple[str, str]:
    return ("word", piece.text.lower()) if piece.source in TEXTS else ("field", f"{piece.source} {piece.text}")
