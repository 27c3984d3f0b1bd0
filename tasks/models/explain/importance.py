"""The stages that explain: chosen movies in words, and a model as a whole in features. Owns their files and inputs."""

import json
import logging
from collections.abc import Mapping, Sequence
from functools import partial
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
from tasks.models.explain.explain import REST, decided_or_missed, explain, explain_decided, is_exact
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

ROOM: Final = Path(__file__).parents[1]
FEATURES: Final = FeaturesSpec(input=InputSpec(), representation={"kind": "bag-of-words"})  # those of logreg-tfidf

PROFILES: Final = pl.Schema(
    {"genre": pl.String, "other": pl.String, "tfidf_cosine": pl.Float64, "tfidf_excess_cosine": pl.Float64}
)
ZERO: Final = 1e-12  # what rounding leaves of the difference of equal vectors is below


def write_genre_profiles(paths: DataPaths, seed: int) -> StageResult:
    """Write how alike every two genres' profiles are to `genre_profiles.csv`: `genre`, `other`, and two cosines.

    A genre's profile is the mean of the tf-idf vectors of its train movies' descriptions; `tfidf_cosine` is of the
    profiles, `tfidf_excess_cosine` of what they have beyond the mean of all train movies: common words, which all
    genres share, do not count there. A cosine is null where a profile, or its excess, is zero. Each pair stands in both
    orders, a genre with itself in none.

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
    """Return the cosine of every two genres' mean vectors, and of these less the mean of all rows.

    Args:
        X: (movies × terms).
        Y: (movies × genres).

    Returns:
        Both (genres × genres); NaN where a vector is zero, and for a genre without a movie.
    """
    members = sparse.csr_array(Y.T.astype(np.float64))
    sizes = np.where(Y.any(axis=0), Y.sum(axis=0), np.nan)
    means = (members @ X.astype(np.float64)).toarray() / sizes[:, None]
    return _cosines(means), _cosines(means - np.asarray(X.mean(axis=0, dtype=np.float64)).ravel())


def _cosines(vectors: NDArray[np.float64]) -> NDArray[np.float64]:
    lengths = np.linalg.norm(vectors, axis=1)
    unit = vectors / np.where(lengths > ZERO, lengths, np.nan)[:, None]
    return np.asarray(unit @ unit.T)


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


logger = logging.getLogger(__name__)

EXPLANATIONS_FILE: Final = "explanations.parquet"
IMPORTANCE_FILE: Final = "importance.parquet"
READABLE: Final = ("linear-svm", "logistic-regression", "naive-bayes", "naive-bayes-svm", "stacked-logistic-regression")
PACKAGES: Final = ("captum", "numpy", "polars", "scikit-learn", "scipy", "torch", "transformers")


def explain_movies(
    paths: DataPaths, model_folder: Path, movie_ids: Sequence[str], seed: int = DEFAULT_SEED
) -> StageResult:
    """Explain a model's decisions on some movies and write them to its folder (`schema.EXPLANATIONS`).

    Explained are the genres that its chosen rule decides, and true ones that it misses.

    Args:
        paths: the data folder.
        model_folder: of an evaluated model, `data/models/<name>`.
        movie_ids: which movies; one that is named twice counts once.
        seed: of what a method draws.

    Raises:
        DataError: there is no such movie.
        ModelError: the model's folder is damaged.
    """
    ids = list(dict.fromkeys(movie_ids))

    def build(folder: Path) -> Mapping[str, Any]:
        classifier = GenreClassifier.load(model_folder)
        table = explain_decided(classifier, _movies_named(paths, ids), seed=seed)
        table.write_parquet(folder / EXPLANATIONS_FILE, compression="zstd")
        rest = table.filter(pl.col("source") == REST).get_column("contribution").abs()
        explained = table.get_column("movie_id").n_unique()
        return {"movies": explained, "nothing_decided": len(ids) - explained, "largest_rest": rest.max()}

    config = {"movie_ids": ids, "seed": seed}
    return run_stage(_stage("explain", paths, model_folder, EXPLANATIONS_FILE, config), build)


def most_readable(model_folders: Sequence[Path]) -> Path:
    """Return the first of the models that its weights explain, exactly and fast; if there is none, the first.

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


def write_importance(paths: DataPaths, model_folder: Path, seed: int = DEFAULT_SEED) -> StageResult:
    """Measure what features do to each genre over test movies and write it to the model's folder (`schema.IMPORTANCE`).

    See `importance.measure_importance`.

    Raises:
        DataError: the splits do not belong to the clean table.
        ModelError: the model's folder is damaged.
    """
    stage = _stage("importance", paths, model_folder, IMPORTANCE_FILE, {"seed": seed})
    return run_stage(stage, partial(_build_importance, paths, model_folder, seed))


def _build_importance(paths: DataPaths, model_folder: Path, seed: int, folder: Path) -> Mapping[str, Any]:
    movies = read_movies(paths).filter(pl.col("part").cast(pl.String) == "test")
    importance, explained = measure_importance(GenreClassifier.load(model_folder), movies, seed)
    importance.write_parquet(folder / IMPORTANCE_FILE, compression="zstd")
    return {"explained_movies": explained, "features": importance.select("kind", "feature").n_unique()}


def _stage(name: str, paths: DataPaths, model_folder: Path, output: str, config: Mapping[str, Any]) -> Stage:
    # Members of an ensemble have files of the same names: so the contents of all go into the config.
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
    """Return the movies that were chosen to be shown (`schema.EXHIBITS`), all or those of one role, in their order.

    Raises:
        DataError: the file cannot be read, or lacks a column.
    """
    try:
        exhibits = pl.read_parquet(path, columns=["movie_id", "role"])
        chosen = exhibits if role is None else exhibits.filter(pl.col("role") == role)
        return chosen.get_column("movie_id").to_list()
    except (OSError, pl.exceptions.PolarsError) as error:
        raise DataError(f"{path} cannot be read ({error}); choose the movies to explain anew") from error


def _movies_named(paths: DataPaths, ids: Sequence[str]) -> pl.DataFrame:
    wanted = pl.DataFrame({"movie_id": ids}, schema={"movie_id": pl.String})
    movies = wanted.join(pl.read_parquet(paths.movies), on="movie_id", how="left", maintain_order="left")
    missing = movies.filter(pl.col("description").is_null()).get_column("movie_id")
    if len(missing):
        raise DataError(f"{paths.movies} has no movie {missing[0]}; choose the movies to explain anew")
    return movies
