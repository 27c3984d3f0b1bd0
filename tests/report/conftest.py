"""A finished run for the tests of exhibits and page: the smallest one, made by the project's own evaluation."""

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from numpy.typing import NDArray

from tasks.core.metrics import decision_metrics, ranking_metrics
from tasks.core.predictions import Scores, truth_matrix, write_scores
from tasks.core.schema import MOVIES
from tasks.core.settings import DataPaths
from tasks.evaluate.evaluation import (
    ScoredSplit,
    calibration_table,
    per_genre_table,
    predictions_table,
    reliability_table,
)
from tasks.report.leaderboard import write_leaderboard
from tasks.report.movies import write_exhibits

GENRES = ("Comedy", "Drama", "War")  # no movie of `TRUE` is War
TRUE = (("Drama",), ("Comedy", "Drama"), ("Comedy",), ("Drama",), ("Comedy",), ("Comedy", "Drama"))

WriteRun = Callable[..., list[Path]]


@pytest.fixture(scope="session")
def write_run() -> WriteRun:
    """Write the movies, the given models, the leaderboard and the exhibits of a run."""

    def write(
        paths: DataPaths,
        scores: Mapping[str, Sequence[Sequence[float]]],
        true: Sequence[Sequence[str]] = TRUE,
        descriptions: Sequence[str] = (),
        genres: Sequence[str] = GENRES,
    ) -> list[Path]:
        write_movies(paths, true, descriptions or [f"Story {number} of a farm" for number in range(len(true))])
        folders = [
            write_model(paths.models / name, np.array(own, np.float32), true, genres) for name, own in scores.items()
        ]
        write_leaderboard(folders, paths.results)
        write_exhibits(folders, paths)
        return folders

    return write


def write_movies(paths: DataPaths, true: Sequence[Sequence[str]], descriptions: Sequence[str]) -> None:
    """Write the cleaned movies tt0, tt1, ..."""
    rows = [
        {
            "movie_id": f"tt{number:04}",
            "movie_name": f"Movie {number}",
            "description": description,
            "genres": list(genres),
            "is_truncated": False,
            "year": 1990 + number % 30,
        }
        for number, (genres, description) in enumerate(zip(true, descriptions, strict=True))
    ]
    paths.movies.parent.mkdir(parents=True, exist_ok=True)
    pl.DataFrame(rows, schema=MOVIES).write_parquet(paths.movies)


def write_model(
    folder: Path, scores: NDArray[np.float32], true: Sequence[Sequence[str]], genres: Sequence[str]
) -> Path:
    """Write what training and evaluation leave of a model that decides at 0.5; its name's first word is its kind."""
    folder.mkdir(parents=True)
    truth, decided = truth_matrix(true, genres), scores >= 0.5
    ids = [f"tt{number:04}" for number in range(len(true))]
    write_scores(folder / "scores_test.parquet", ids, scores, genres)
    part = ScoredSplit(Scores(tuple(ids), scores, tuple(genres)), truth)
    predictions_table(part, decided).write_parquet(folder / "predictions_test.parquet")
    per_genre_table(truth, decided, scores, genres).write_csv(folder / "per_genre.csv")
    calibration_table(scores, scores, truth, genres).write_csv(folder / "calibration.csv")
    reliability_table({"raw": scores, "calibrated": scores}, truth).write_csv(folder / "reliability.csv")
    values = {
        name: value
        for name, value in (decision_metrics(truth, decided) | ranking_metrics(truth, scores)).items()
        if np.isfinite(value)
    }
    metrics = {f"{part}/{name}": value for part in ("val", "test") for name, value in values.items()}
    content = {"chosen_rule": "global", "chosen_by": "jaccard", "rules": {"global": metrics}}
    (folder / "metrics.json").write_text(json.dumps(content))
    (folder / "rules.json").write_text(json.dumps({"genres": list(genres)}))
    (folder / "fit.json").write_text(json.dumps({"fit_s": 1.5, "predict_docs_per_s": 2000.0, "model_mb": 3.0}))
    spec = {"config": {"model": {"classifier": {"kind": folder.name.split("-")[0]}}}, "versions": {"numpy": "2.0"}}
    (folder / "train.stage.json").write_text(json.dumps(spec))
    return folder
