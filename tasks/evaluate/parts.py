"""Scores of a part of the data with the truth about it. Owns how they meet in files; knows no rule."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from tasks.errors import DataError
from tasks.metrics import MOVIE_METRICS, movie_metrics
from tasks.paths import DataPaths
from tasks.schema import PREDICTIONS
from tasks.scores import Scores, read_scores, truth_matrix

OUT_OF_FOLD: Final = "out_of_fold"  # of a cross-validation: all movies


@dataclass(frozen=True)
class ScoredPart:
    """The scores of a model on one part of the data, and the truth about it, of the same shape."""

    scores: Scores
    truth: NDArray[np.bool_]


def read_part(model_folder: Path, part: str, paths: DataPaths) -> ScoredPart:
    """Return a model's scores on a part with the truth.

    Args:
        model_folder: holds `scores_<part>.parquet`.
        part: of the split; or "out_of_fold", all movies.
        paths: the data folder with the cleaned movies and the split.

    Raises:
        DataError: the scores are not of exactly the movies of the part, or the part is empty.
    """
    path = scores_path(model_folder, part)
    scores = read_scores(path)
    in_part = pl.col("part").cast(pl.String).eq(part) | pl.lit(part == OUT_OF_FOLD)
    splits = pl.scan_parquet(paths.splits).filter(in_part)
    expected = set(splits.select("movie_id").collect().get_column("movie_id").to_list())
    if not expected:
        raise DataError(f"{paths.splits}: no movie is in the {part} part; split again with a larger share for it")
    if different := sorted(expected.symmetric_difference(scores.movie_ids)):
        raise DataError(
            f"{path}: {len(different)} movies are not both here and in the {part} part of {paths.splits}, the first is "
            f"{different[0]}; train the model again on this split"
        )
    movies = pl.read_parquet(paths.movies, columns=["movie_id", "genres"])
    ids = pl.DataFrame({"movie_id": scores.movie_ids}, schema={"movie_id": pl.String})
    genres = ids.join(movies, on="movie_id", how="left", maintain_order="left").get_column("genres")
    if genres.null_count():
        raise DataError(
            f"{paths.movies} lacks {genres.null_count()} movies of {paths.splits}; run the split stage again"
        )
    known = json.loads(paths.genres_json.read_text(encoding="utf-8")) if paths.genres_json.is_file() else ()
    truth = truth_matrix(genres.to_list(), scores.genres, ignored=known)  # a model may tell some of the genres only
    if not truth.any():
        raise DataError(f"{paths.movies}: no movie of the {part} part has a genre; clean the listings again")
    return ScoredPart(scores, truth)


def predictions_table(part: ScoredPart, decided: NDArray[np.bool_]) -> pl.DataFrame:
    """Return `schema.PREDICTIONS` of decisions, in the order of the scores."""
    names = np.asarray(part.scores.genres)
    jaccard = movie_metrics(part.truth, decided)[:, MOVIE_METRICS.index("jaccard")]
    return pl.DataFrame(
        {
            "movie_id": part.scores.movie_ids,
            "true_genres": [names[row].tolist() for row in part.truth],
            "predicted_genres": [names[row].tolist() for row in decided],
            "jaccard": pl.Series(jaccard).fill_nan(None),
        },
        schema=PREDICTIONS,
    )


def scores_path(model_folder: Path, part: str) -> Path:
    """Return the file with a model's scores on a part."""
    return model_folder / f"scores_{part}.parquet"
