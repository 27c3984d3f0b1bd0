"""Scores of movies in files, true genres as a matrix, and the decisions of several models on the same test movies."""

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray

from tasks.core.errors import DataError

PREFIX: Final = "score_"
PREDICTIONS_FILE: Final = "predictions_test.parquet"
RULES_FILE: Final = "rules.json"


class Scores(NamedTuple):
    """The scores of one model on some movies."""

    movie_ids: tuple[str, ...]
    scores: NDArray[np.float32]  # (n_movies, n_genres), in [0, 1]
    genres: tuple[str, ...]  # of the columns


def write_scores(path: Path, movie_ids: Sequence[str], scores: NDArray[np.float32], genres: Sequence[str]) -> None:
    """Write a parquet file with `movie_id` and a float32 column `score_<Genre>` for each genre, in [0, 1]."""
    if scores.shape != (len(movie_ids), len(genres)):
        raise DataError(f"{path}: scores of shape {scores.shape} for {len(movie_ids)} movies and {len(genres)} genres")
    _checked(path, Scores(tuple(movie_ids), scores, tuple(genres)))
    columns = {f"{PREFIX}{genre}": scores[:, column].astype(np.float32) for column, genre in enumerate(genres)}
    ids = pl.Series("movie_id", movie_ids, dtype=pl.String)
    pl.DataFrame({"movie_id": ids, **columns}).write_parquet(path, compression="zstd")


def read_scores(path: Path) -> Scores:
    """Return what `write_scores` wrote; a `DataError` if the file is missing, damaged or of another form."""
    remedy = "train the model again"
    try:
        table = pl.read_parquet(path)
    except (OSError, pl.exceptions.PolarsError) as error:
        raise DataError(f"{path} cannot be read ({error}); {remedy}") from error
    names = [name for name in table.columns if name.startswith(PREFIX)]
    if table.columns != ["movie_id", *names] or not names:
        raise DataError(f"{path}: expected the columns movie_id and {PREFIX}<Genre>, not {table.columns}; {remedy}")
    repeated = table["movie_id"].filter(table["movie_id"].is_duplicated())
    if len(repeated):
        raise DataError(f"{path}: movie {repeated[0]} has more than one row; {remedy}")
    scores = np.column_stack([table[name].cast(pl.Float32).to_numpy() for name in names])
    genres = tuple(name.removeprefix(PREFIX) for name in names)
    return _checked(path, Scores(tuple(table["movie_id"]), scores, genres))


def truth_matrix(
    movie_genres: Iterable[Sequence[str]], genres: Sequence[str], ignored: Iterable[str] = ()
) -> NDArray[np.bool_]:
    """Return which movie (row) has which genre (column); `ignored` ones have no column, others are a `DataError`."""
    columns: dict[str, int | None] = dict.fromkeys(ignored)
    columns.update({genre: column for column, genre in enumerate(genres)})
    rows = list(movie_genres)
    truth = np.zeros((len(rows), len(genres)), dtype=np.bool_)
    try:
        for row, names in enumerate(rows):
            truth[row, [column for name in names if (column := columns[name]) is not None]] = True
    except KeyError as error:
        raise DataError(
            f"movie {row} has the genre {error.args[0]!r}, which is not among {', '.join(genres)}; "
            "the scores belong to other data: train the model again"
        ) from None
    return truth


def _checked(path: Path, scores: Scores) -> Scores:
    wrong = np.argwhere(~((scores.scores >= 0) & (scores.scores <= 1)))
    if len(wrong):
        row, column = wrong[0]
        raise DataError(
            f"{path}: movie {scores.movie_ids[row]}: score {scores.scores[row, column]} of {scores.genres[column]}; "
            f"every score must be in [0, 1] ({len(wrong)} are not): fix the model that made it"
        )
    return scores


class Decisions(NamedTuple):
    """The decisions of models on the same test movies, in the order of the movies' ids, with the truth."""

    models: tuple[str, ...]
    genres: tuple[str, ...]
    movie_ids: tuple[str, ...]
    truth: NDArray[np.bool_]  # (n_movies, n_genres)
    decided: tuple[NDArray[np.bool_], ...]  # of each model, of the same shape


class IncomparableError(DataError):
    """Models were not tested on the same movies, genres and labels."""


def read_decisions(folders: Sequence[Path], data_hashes: Mapping[str, str] | None = None) -> Decisions:
    """Return the test decisions of evaluated models, which their folders name.

    An `IncomparableError`, with `data_hashes`, says how the test movies, genres or labels of models differ.
    """
    genres, tables = zip(*(_read_evaluation(folder) for folder in folders), strict=True)
    names, hashes = tuple(folder.name for folder in folders), data_hashes or {}
    lines = ""
    for name, own_genres, table in zip(names[1:], genres[1:], tables[1:], strict=True):
        if difference := _difference((tables[0], genres[0]), (table, own_genres)):
            data = " (data {} and {})".format(*(hashes.get(each, "unknown") for each in (name, names[0])))
            lines += f"\n  {name} and {names[0]}{data if hashes.keys() & {name, names[0]} else ''}: {difference}"
    if lines:
        raise IncomparableError(f"models tested on different movies cannot be compared; choose others:{lines}")
    decided = tuple(truth_matrix(table["predicted_genres"].to_list(), genres[0]) for table in tables)
    truth = truth_matrix(tables[0]["true_genres"].to_list(), genres[0])
    return Decisions(names, genres[0], tuple(tables[0]["movie_id"]), truth, decided)


def _difference(first: tuple[pl.DataFrame, tuple[str, ...]], other: tuple[pl.DataFrame, tuple[str, ...]]) -> str:
    """Return how a model's test data differs from that of the first; "" if it does not."""
    (table, genres), (own, own_genres) = first, other
    ids, own_ids = set(table["movie_id"]), set(own["movie_id"])
    if lone := ids ^ own_ids:
        counts = f"{len(own_ids):,} and {len(ids):,} test movies, {len(ids & own_ids):,} in common"
        return f"{counts}; the first that only one has is {min(lone)}"
    if own_genres != genres:
        lone = {*genres} ^ {*own_genres}
        return f"the same test movies, but not the same genres: {', '.join(sorted(lone)) or 'another order'}"
    changed = table["movie_id"].filter(table["true_genres"] != own["true_genres"])
    if len(changed):
        return f"the same test movies, but different true genres for {len(changed):,} of them, first {changed[0]}"
    return ""


def _read_evaluation(folder: Path) -> tuple[tuple[str, ...], pl.DataFrame]:
    """Return a model's genres, and its test decisions sorted by movie."""
    path = folder / RULES_FILE
    try:
        genres = tuple(json.loads(path.read_text(encoding="utf-8"))["genres"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(f"{path} is missing or damaged ({error!r}); evaluate the model again") from error
    path = folder / PREDICTIONS_FILE
    try:
        table = pl.read_parquet(path, columns=["movie_id", "true_genres", "predicted_genres"], glob=False)
    except (OSError, pl.exceptions.PolarsError) as error:
        raise DataError(f"{path} is missing or damaged ({error}); evaluate the model again") from error
    if table.is_empty():
        raise DataError(f"{path}: no rows; evaluate the model again")
    return genres, table.sort("movie_id").with_columns(pl.col("true_genres").list.sort())
