"""The stages that explain decisions on chosen movies, the importance of features, and the similarity of genres."""

import json
from collections.abc import Mapping, Sequence
from itertools import permutations
from pathlib import Path
from typing import Any, Final

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy import sparse

from tasks.core.errors import DataError, ModelError
from tasks.core.files import hash_files
from tasks.core.predictions import truth_matrix
from tasks.core.schema import DEFAULT_SEED, IMPORTANCE
from tasks.core.settings import DataPaths
from tasks.models.explain.attribution import REST, decided_or_missed, explain, explain_decided, is_exact
from tasks.models.explain.linear import is_linear
from tasks.models.explain.pieces import TEXTS, ExplainedMovies, Explanation, Piece
from tasks.models.features import build_features, read_genres, read_movies, train_rows
from tasks.models.genre_classifier import RULES_FILE, GenreClassifier
from tasks.models.inputs import RUNTIME_BOUNDS_MIN
from tasks.models.linear import StackedLogisticRegression
from tasks.models.pipeline import MODEL_FILE, GenreModel
from tasks.models.spec import FeaturesSpec, InputSpec
from tasks.models.train import MODEL_FOLDER, read_matrix
from tasks.models.vectorizers import CharacterNgrams, SideFields, TermVectorizer
from tasks.stage import Stage, StageResult, run_stage

EXPLANATIONS_FILE: Final = "explanations.parquet"
IMPORTANCE_FILE: Final = "importance.parquet"
READABLE: Final = ("linear-svm", "logistic-regression", "naive-bayes", "naive-bayes-svm", "stacked-logistic-regression")
PACKAGES: Final = ("captum", "numpy", "polars", "scikit-learn", "scipy", "torch", "transformers")
FEATURES: Final = FeaturesSpec(input=InputSpec(), representation={"kind": "bag-of-words"})  # those of logreg-tfidf
PROFILES: Final = pl.Schema(
    {"genre": pl.String, "other": pl.String, "tfidf_cosine": pl.Float64, "tfidf_excess_cosine": pl.Float64}
)
ZERO: Final = 1e-12  # a vector shorter than this is a rounding error
SAMPLE: Final = 100  # test movies to explain if a model is slow to explain
LEAST_MOVIES: Final = 3  # with a feature
KEPT: Final = 100  # features of a genre and kind, in each direction


def write_genre_profiles(paths: DataPaths, seed: int) -> StageResult:
    """Write the similarity of every two genres to `genre_profiles.csv`: `genre`, `other`, and two cosines.

    A genre's profile is the mean tf-idf vector of its train movies' descriptions. `tfidf_cosine` compares the profiles,
    `tfidf_excess_cosine` the profiles minus the mean of all train movies, so that common words do not count. A cosine
    is null if a vector is zero. Each pair is listed in both orders, and no genre with itself.

    Raises:
        DataError, ModelError: as `build_features`.
    """
    features = build_features(paths, FEATURES, seed)
    stage = Stage(
        name="genre_profiles",
        folder=paths.genre_profiles.parent,
        outputs=(paths.genre_profiles.name,),
        inputs=(paths.movies, paths.splits, paths.genres_json),
        config={"features": features.fingerprint},
        code=(Path(__file__),),
        packages=("numpy", "polars", "scipy"),
    )

    def build(folder: Path) -> Mapping[str, Any]:
        movies = read_movies(paths)
        train = train_rows(movies, "train")
        genres = read_genres(paths)
        Y = truth_matrix(movies.get_column("genres").to_list(), genres)[train]
        plain, excess = profile_cosines(read_matrix(features.folder)[np.flatnonzero(train)], Y)
        pairs = permutations(range(len(genres)), 2)
        rows = [(genres[one], genres[other], plain[one, other], excess[one, other]) for one, other in pairs]
        table = pl.DataFrame(rows, schema=PROFILES, orient="row").with_columns(pl.col(pl.Float64).fill_nan(None))
        table.write_csv(folder / paths.genre_profiles.name, float_precision=6)
        return {"genres": len(genres), "train_movies": int(train.sum())}

    return run_stage(stage, build)


def profile_cosines(X: sparse.csr_array, Y: NDArray[np.bool_]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the cosines of the genres' mean vectors, and of these minus the mean of all rows, both (genres × genres).

    NaN if a vector is zero, and for a genre without a movie. X is (movies × terms), Y (movies × genres).
    """
    members = sparse.csr_array(Y.T.astype(np.float64))
    sizes = np.where(Y.any(axis=0), Y.sum(axis=0), np.nan)
    means = (members @ X.astype(np.float64)).toarray() / sizes[:, None]
    return _cosines(means), _cosines(means - np.asarray(X.mean(axis=0, dtype=np.float64)).ravel())


def _cosines(vectors: NDArray[np.float64]) -> NDArray[np.float64]:
    lengths = np.linalg.norm(vectors, axis=1)
    unit = vectors / np.where(lengths > ZERO, lengths, np.nan)[:, None]
    return np.asarray(unit @ unit.T)


def measure_importance(classifier: GenreClassifier, movies: pl.DataFrame) -> tuple[pl.DataFrame, int]:
    """Return `schema.IMPORTANCE`, measured on movies of the clean table, and the number of movies it is based on.

    - A linear classifier of terms and fields: its columns, on all movies. A stacked one counts as linear, which it is
      except for the clipping of its first level.
    - Any other: words and fields as in `attribution.explain`, including their n-grams and characters; on all movies if
      that is exact, else on `SAMPLE` random ones and their decided and missed genres.

    For each genre and kind, the `KEPT` strongest features in each direction are kept, the strongest first, by weight
    times the root of the number of movies, so that neither rare nor frequent features dominate. Features of fewer than
    `LEAST_MOVIES` movies are left out.
    """
    model = classifier.model
    if isinstance(model, GenreModel) and (weights := _term_weights(model)) is not None:
        return _kept(_of_columns(model, weights, movies)), movies.height
    if is_exact(model):
        asked = [list(range(len(model.genres)))] * movies.height
    else:
        rows = np.sort(np.random.default_rng(DEFAULT_SEED).permutation(movies.height)[:SAMPLE])
        movies = movies[rows]
        asked = decided_or_missed(classifier, movies)
    cut, explanations = explain(model, movies, asked)
    return _kept(_of_pieces(model.genres, cut, explanations)), movies.height


def _term_weights(model: GenreModel) -> NDArray[np.float64] | None:
    """Return (columns × genres) weights, or None if the scores are not linear or columns have no names."""
    if not is_linear(model) or not all(isinstance(each, TermVectorizer) for each in model.vectorizers):
        return None
    weights: NDArray[np.float64] = model.classifier.coef_.T.astype(np.float64)
    if isinstance(model.classifier, StackedLogisticRegression):
        weights = weights @ model.classifier.second_coef_.T
    return weights


def _of_columns(model: GenreModel, weights: NDArray[np.float64], movies: pl.DataFrame) -> pl.DataFrame:
    """Return the mean contribution of each column over the movies that have it, one row per column and genre."""
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
    """Return the same for words and field values; contributions within a movie are summed first."""
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
    columns = {
        "genre": [genre for genre in genres for _ in names],
        "kind": kinds * len(genres),
        "feature": features * len(genres),
        "weight": weights.ravel("F"),
        "movies": counts.ravel("F").astype(np.int64),
    }
    return pl.DataFrame(columns, schema=IMPORTANCE)


def _kept(table: pl.DataFrame) -> pl.DataFrame:
    """Return the strongest features of each genre and kind in each direction, genre after genre."""
    strength = pl.col("weight").abs() * pl.col("movies").sqrt()
    ranked = table.filter((pl.col("movies") >= LEAST_MOVIES) & (pl.col("weight") != 0)).sort(
        "genre", "kind", -strength, "feature"
    )
    return ranked.filter(pl.int_range(pl.len()).over("genre", "kind", pl.col("weight") > 0) < KEPT)


def _column_name(name: str, vectorizer: TermVectorizer) -> tuple[str, str]:
    if isinstance(vectorizer, CharacterNgrams):
        return "characters", name.replace(" ", "␣")
    if not isinstance(vectorizer, SideFields):
        return "word", name
    field, value = name.split("=", 1)
    if field == "decade":
        return "field", f"{value}s"
    return "field", f"{field} {_runtime_range(value) if field == 'runtime' else value}"


def _runtime_range(label: str) -> str:
    """Return the range in minutes of a label of `read_fields`.

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


def explain_movies(paths: DataPaths, model_folder: Path, movie_ids: Sequence[str]) -> StageResult:
    """Explain the genres that a model's chosen rule decides or misses for some movies (`schema.EXPLANATIONS`).

    Duplicate ids count once.

    Raises:
        DataError: a movie does not exist.
        ModelError: the model's folder is damaged.
    """
    ids = list(dict.fromkeys(movie_ids))

    def build(folder: Path) -> Mapping[str, Any]:
        wanted = pl.DataFrame({"movie_id": ids}, schema={"movie_id": pl.String})
        movies = wanted.join(pl.read_parquet(paths.movies), on="movie_id", how="left", maintain_order="left")
        missing = movies.filter(pl.col("description").is_null()).get_column("movie_id")
        if len(missing):
            raise DataError(f"{paths.movies} has no movie {missing[0]}; choose the movies to explain again")
        table = explain_decided(GenreClassifier.load(model_folder), movies)
        table.write_parquet(folder / EXPLANATIONS_FILE, compression="zstd")
        rest = table.filter(pl.col("source") == REST).get_column("contribution").abs()
        explained = table.get_column("movie_id").n_unique()
        return {"movies": explained, "nothing_decided": len(ids) - explained, "largest_rest": rest.max()}

    return run_stage(_stage("explain", paths, model_folder, EXPLANATIONS_FILE, {"movie_ids": ids}), build)


def most_readable(model_folders: Sequence[Path]) -> Path:
    """Return the first model explained by its weights, exactly and fast; if there is none, the first model.

    Raises:
        ModelError: a model's description is missing or damaged.
    """
    for folder in model_folders:
        path = folder / MODEL_FOLDER / MODEL_FILE
        try:
            stored = json.loads(path.read_text(encoding="utf-8"))
            kinds = {representation.get("kind") for representation in stored.get("representations", ())}
            is_readable = stored.get("classifier", {}).get("kind") in READABLE and "frozen-encoder" not in kinds
        except (OSError, ValueError, KeyError, AttributeError) as error:
            raise ModelError(f"{path} is missing or damaged ({error!r}); train the model again") from error
        if is_readable:
            return folder
    return model_folders[0]


def write_importance(paths: DataPaths, model_folder: Path) -> StageResult:
    """Write to the model's folder what features add to each genre on the test movies; see `measure_importance`.

    Raises:
        DataError: the splits do not belong to the clean table.
        ModelError: the model's folder is damaged.
    """

    def build(folder: Path) -> Mapping[str, Any]:
        movies = read_movies(paths).filter(pl.col("part").cast(pl.String) == "test")
        importance, explained = measure_importance(GenreClassifier.load(model_folder), movies)
        importance.write_parquet(folder / IMPORTANCE_FILE, compression="zstd")
        return {"explained_movies": explained, "features": importance.select("kind", "feature").n_unique()}

    return run_stage(_stage("importance", paths, model_folder, IMPORTANCE_FILE, {}), build)


def _stage(name: str, paths: DataPaths, model_folder: Path, output: str, config: Mapping[str, Any]) -> Stage:
    # The members of an ensemble have files of the same names, so the config has a hash of all files.
    files = sorted(path for path in (model_folder / MODEL_FOLDER).rglob("*") if path.is_file())
    return Stage(
        name=name,
        folder=model_folder,
        outputs=(output,),
        inputs=(paths.movies, paths.splits, model_folder / RULES_FILE),
        config={**config, "model": hash_files(files)},
        code=(Path(__file__),),
        packages=PACKAGES,
    )


def read_exhibits(path: Path, role: str | None = None) -> list[str]:
    """Return the ids of the movies chosen for display (`schema.EXHIBITS`), all or those of one role, in order.

    Raises:
        DataError: the file cannot be read, or lacks a column.
    """
    try:
        exhibits = pl.read_parquet(path, columns=["movie_id", "role"])
        chosen = exhibits if role is None else exhibits.filter(pl.col("role") == role)
        return chosen.get_column("movie_id").to_list()
    except (OSError, pl.exceptions.PolarsError) as error:
        raise DataError(f"{path} cannot be read ({error}); choose the movies to explain again") from error
