"""The split stage: cleaned movies in, their parts out. Owns the file `splits.parquet`; knows no text and no model."""

import logging
import math
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from tasks.errors import DataError
from tasks.paths import DataPaths
from tasks.schema import PARTS, SPLITS
from tasks.split.config import SplitConfig
from tasks.split.stratify import stratify
from tasks.stage import Stage, StageResult, config_dict, run_stage

logger = logging.getLogger(__name__)


def split_movies(paths: DataPaths, config: SplitConfig, seed: int) -> StageResult:
    """Write `splits.parquet`: for each movie its part and whether it is in the development subset of train.

    Every genre has, as nearly as counts allow, the same share in all parts and in the development subset.

    Returns:
        The stage's result. Counts: `movies`; the movies in `train`, `validation`, `test` and `development`;
        `genres`, the movies of each genre in each of these; `largest_share_difference`, the greatest distance between
        a genre's share of validation or test and its share of all movies, in percentage points.

    Raises:
        DataError: there are too few movies for one in every part.
    """
    stage = Stage(
        name="split",
        folder=paths.splits.parent,
        outputs=(paths.splits.name,),
        inputs=(paths.movies,),
        config={**config_dict(config), "seed": seed},
        code=(Path(__file__).parent,),
        packages=("numpy", "polars"),
    )

    def build(folder: Path) -> dict[str, Any]:
        movies = pl.read_parquet(paths.movies, columns=["movie_id", "genres"])
        _require_enough(movies.height, config, paths.movies)
        splits = assign_parts(movies, config, seed)
        splits.write_parquet(folder / paths.splits.name, compression="zstd")
        return count_parts(movies, splits)

    return run_stage(stage, build)


def assign_parts(movies: pl.DataFrame, config: SplitConfig, seed: int) -> pl.DataFrame:
    """Return `schema.SPLITS` for a table with `movie_id` and `genres`, in its order."""
    Y, _ = _genre_matrix(movies["genres"])
    shares = {"test": config.test_share, "validation": config.validation_share}
    shares["train"] = 1 - sum(shares.values())
    part = stratify(Y, [shares[name] for name in PARTS], seed)
    in_train = part == PARTS.index("train")
    is_development = np.zeros(movies.height, dtype=np.bool_)
    subset_shares = [1 - config.development_share, config.development_share]
    is_development[in_train] = stratify(Y[in_train], subset_shares, seed) == 1
    return pl.DataFrame(
        {
            "movie_id": movies["movie_id"],
            "part": np.asarray(PARTS)[part],
            "is_development": is_development,
        },
        schema=SPLITS,
    )


def count_parts(movies: pl.DataFrame, splits: pl.DataFrame) -> dict[str, Any]:
    """Return the counts that `split_movies` reports, from tables with the same movies in the same order."""
    Y, genres = _genre_matrix(movies["genres"])
    members = {name: (splits["part"] == name).to_numpy() for name in PARTS}
    members["development"] = splits["is_development"].to_numpy()
    differences = [np.abs(Y[members[name]].mean(axis=0) - Y.mean(axis=0)) for name in ("validation", "test")]
    return {
        "movies": movies.height,
        **{name: int(rows.sum()) for name, rows in members.items()},
        "genres": {
            genre: {name: int(Y[rows, column].sum()) for name, rows in members.items()}
            for column, genre in enumerate(genres)
        },
        "largest_share_difference": round(100 * float(np.max(differences, initial=0)), 4),
    }


def _genre_matrix(genres: pl.Series) -> tuple[NDArray[np.bool_], list[str]]:
    """Return which movie (row) has which genre (column), and the sorted genres of the columns."""
    names = sorted(genres.explode().drop_nulls().unique().to_list())
    columns = [genres.list.contains(name).fill_null(value=False).to_numpy() for name in names]
    return np.column_stack([np.zeros((len(genres), 0), dtype=np.bool_), *columns]), names


def _require_enough(n_movies: int, config: SplitConfig, path: Path) -> None:
    smallest_share = min(config.test_share, config.validation_share, 1 - config.test_share - config.validation_share)
    needed = math.ceil(round(1 / smallest_share, 6))
    if n_movies < needed:
        raise DataError(
            f"{path}: {n_movies} movies are too few to split. At least {needed} are needed, so that a part with a "
            f"share of {smallest_share:g} has one: add listings, or raise the smaller of the test and validation shares"
        )
