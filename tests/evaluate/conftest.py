"""A data folder with movies and a split, from which each test file makes its own scores."""

from collections.abc import Callable, Sequence

import numpy as np
import polars as pl
import pytest

from tasks.core.schema import SPLITS
from tasks.core.settings import DataPaths

GENRES = ("Comedy", "Drama", "War")
SHARES = (0.4, 0.5, 0.2)


@pytest.fixture
def draw_truth() -> Callable[..., np.ndarray]:
    """Draw which of `GENRES` each movie has, at least one."""

    def draw(n_movies: int, shares: Sequence[float] = SHARES) -> np.ndarray:
        truth = np.random.default_rng(1).random((n_movies, 3)) < np.array(shares)
        truth[~truth.any(axis=1), 1] = True
        return truth

    return draw


@pytest.fixture
def write_movies(paths: DataPaths) -> Callable[..., list[str]]:
    """Write movies with their genres and parts of the split; return their ids."""

    def write(
        truth: np.ndarray, parts: Sequence[str], folds: Sequence[int] = (), names: Sequence[str] = ()
    ) -> list[str]:
        n_movies = len(truth)
        ids = [f"tt{number:04}" for number in range(n_movies)]
        genres = [[genre for genre, has in zip(GENRES, row, strict=True) if has] for row in truth]
        for path in (paths.movies, paths.splits):
            path.parent.mkdir(parents=True)
        titles = {"movie_name": names} if names else {}
        pl.DataFrame({"movie_id": ids, "genres": genres, **titles}).write_parquet(paths.movies)
        splits = {
            "movie_id": ids, "part": parts, "is_development": [False] * n_movies, "fold": folds or [0] * n_movies,
        }  # fmt: skip
        pl.DataFrame(splits, schema=SPLITS).write_parquet(paths.splits)
        return ids

    return write
