"""How alike the genres' descriptions are. Owns the genres' tf-idf profiles and their file; knows no model."""

from collections.abc import Mapping
from itertools import permutations
from pathlib import Path
from typing import Any, Final

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy import sparse

from tasks.models.features import build_features, read_genres, read_movies, train_rows
from tasks.models.spec import FeaturesSpec, InputSpec
from tasks.models.train import read_matrix
from tasks.paths import DataPaths
from tasks.scores import truth_matrix
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
