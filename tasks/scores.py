"""Scores of movies in a file, and true genres as a matrix. Owns their form; knows no model, rule or metric.

A foundation: models write scores, evaluation and comparison read them.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from tasks.errors import DataError

PREFIX: Final = "score_"


@dataclass(frozen=True)
class Scores:
    """The scores of one model on some movies."""

    movie_ids: tuple[str, ...]
    scores: NDArray[np.float32]  # (n_movies, n_genres), in [0, 1]
    genres: tuple[str, ...]  # of the columns


def write_scores(path: Path, movie_ids: Sequence[str], scores: NDArray[np.float32], genres: Sequence[str]) -> None:
    """Write a parquet file with `movie_id` and a float32 column `score_<Genre>` for each genre, in the given order.

    Raises:
        DataError: the shape of the scores does not fit the movies and genres, or a score is not in [0, 1].
    """
    if scores.shape != (len(movie_ids), len(genres)):
        raise DataError(f"{path}: scores of shape {scores.shape} for {len(movie_ids)} movies and {len(genres)} genres")
    _require_in_unit_range(path, Scores(tuple(movie_ids), scores, tuple(genres)))
    columns = {f"{PREFIX}{genre}": scores[:, column].astype(np.float32) for column, genre in enumerate(genres)}
    ids = pl.Series("movie_id", movie_ids, dtype=pl.String)
    pl.DataFrame([ids, *(pl.Series(name, values) for name, values in columns.items())]).write_parquet(
        path, compression="zstd"
    )


def read_scores(path: Path) -> Scores:
    """Return what `write_scores` wrote.

    Raises:
        DataError: the file is missing or damaged, has other columns, a movie twice, or a score that is not in [0, 1].
    """
    try:
        table = pl.read_parquet(path)
    except (OSError, pl.exceptions.PolarsError) as error:
        raise DataError(f"{path} cannot be read ({error}); train the model again") from error
    names = [name for name in table.columns if name.startswith(PREFIX)]
    if table.columns != ["movie_id", *names] or not names:
        raise DataError(
            f"{path}: expected the columns movie_id and {PREFIX}<Genre>, not {table.columns}; train the model again"
        )
    repeated = table.filter(pl.col("movie_id").is_duplicated()).get_column("movie_id")
    if len(repeated):
        raise DataError(f"{path}: movie {repeated[0]} has more than one row; train the model again")
    result = Scores(
        movie_ids=tuple(table.get_column("movie_id").to_list()),
        scores=np.column_stack([table.get_column(name).cast(pl.Float32).to_numpy() for name in names]),
        genres=tuple(name.removeprefix(PREFIX) for name in names),
    )
    _require_in_unit_range(path, result)
    return result


def truth_matrix(
    movie_genres: Iterable[Sequence[str]], genres: Sequence[str], ignored: Iterable[str] = ()
) -> NDArray[np.bool_]:
    """Return which movie (row) has which of the genres (column, in the given order).

    Args:
        movie_genres: each movie's genres.
        genres: the columns.
        ignored: genres that movies may have and no column stands for.

    Raises:
        DataError: a movie has a genre that is neither among the columns nor ignored.
    """
    others = frozenset(ignored).difference(genres)
    column_of = {genre: column for column, genre in enumerate(genres)}
    rows = [[name for name in names if name not in others] for names in movie_genres]
    truth = np.zeros((len(rows), len(genres)), dtype=np.bool_)
    for row, names in enumerate(rows):
        unknown = [name for name in names if name not in column_of]
        if unknown:
            raise DataError(
                f"movie {row} has the genre {unknown[0]!r}, which is not among {', '.join(genres)}; "
                "the scores belong to other data: train the model again"
            )
        truth[row, [column_of[name] for name in names]] = True
    return truth


def _require_in_unit_range(path: Path, scores: Scores) -> None:
    wrong = np.argwhere(~((scores.scores >= 0) & (scores.scores <= 1)))
    if len(wrong):
        row, column = wrong[0]
        raise DataError(
            f"{path}: movie {scores.movie_ids[row]}: score {scores.scores[row, column]} of {scores.genres[column]}; "
            f"every score must be in [0, 1] ({len(wrong)} are not): mend the model that made it"
        )
