"""Score files and truth matrices: back and forth, and damage."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from tasks.core.errors import DataError
from tasks.core.predictions import read_scores, truth_matrix, write_scores

GENRES = ("Film-Noir", "Drama", "Sci-Fi")
IDS = ("tt2", "tt1")
SCORES = np.array([[0.0, 0.25, 1.0], [0.1, 0.2, 0.3]], dtype=np.float32)


def test_scores_come_back_as_they_were(tmp_path: Path) -> None:
    write_scores(tmp_path / "scores.parquet", IDS, SCORES, GENRES)
    found = read_scores(tmp_path / "scores.parquet")
    assert (found.movie_ids, found.genres) == (IDS, GENRES)
    assert found.scores.dtype == np.float32
    assert (found.scores == SCORES).all()
    assert pl.read_parquet_schema(tmp_path / "scores.parquet") == {
        "movie_id": pl.String,
        "score_Film-Noir": pl.Float32,
        "score_Drama": pl.Float32,
        "score_Sci-Fi": pl.Float32,
    }


def test_same_scores_same_bytes(tmp_path: Path) -> None:
    for name in ("a", "b"):
        write_scores(tmp_path / name, IDS, SCORES, GENRES)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_no_movies_and_one_genre_work(tmp_path: Path) -> None:
    write_scores(tmp_path / "scores.parquet", [], np.zeros((0, 1), dtype=np.float32), ["Drama"])
    assert read_scores(tmp_path / "scores.parquet").scores.shape == (0, 1)


@pytest.mark.parametrize("bad", [float("nan"), -0.5, 1.5])
def test_a_score_outside_the_unit_range_is_neither_written_nor_read(tmp_path: Path, bad: float) -> None:
    path = tmp_path / "scores.parquet"
    damaged = SCORES.copy()
    damaged[1, 2] = bad
    with pytest.raises(DataError, match=r"movie tt1: score .* of Sci-Fi"):
        write_scores(path, IDS, damaged, GENRES)
    assert not path.exists()
    columns = {f"score_{genre}": damaged[:, column] for column, genre in enumerate(GENRES)}
    pl.DataFrame({"movie_id": IDS, **columns}).write_parquet(path)
    with pytest.raises(DataError, match=r"scores\.parquet: movie tt1: score .* of Sci-Fi"):
        read_scores(path)


def test_scores_of_another_shape_are_not_written(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="2 movies and 2 genres"):
        write_scores(tmp_path / "scores.parquet", IDS, SCORES, GENRES[:2])


@pytest.mark.parametrize(
    ("table", "complaint"),
    [
        (pl.DataFrame({"movie_id": ["tt1"]}), "expected the columns"),
        (pl.DataFrame({"id": ["tt1"], "score_Drama": [0.5]}), "expected the columns"),
        (pl.DataFrame({"movie_id": ["tt1"], "score_Drama": [0.5], "note": ["x"]}), "expected the columns"),
        (pl.DataFrame({"movie_id": ["tt1", "tt1"], "score_Drama": [0.5, 0.4]}), "movie tt1 has more than one row"),
        (
            pl.DataFrame({"movie_id": ["tt1"], "score_Drama": [None]}, schema_overrides={"score_Drama": pl.Float32}),
            "nan",
        ),
    ],
)
def test_other_tables_are_refused(tmp_path: Path, table: pl.DataFrame, complaint: str) -> None:
    table.write_parquet(tmp_path / "scores.parquet")
    with pytest.raises(DataError, match=complaint):
        read_scores(tmp_path / "scores.parquet")


def test_a_missing_and_a_broken_file_are_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"scores\.parquet cannot be read"):
        read_scores(tmp_path / "scores.parquet")
    (tmp_path / "scores.parquet").write_bytes(b"PAR1 not really")
    with pytest.raises(DataError, match=r"scores\.parquet cannot be read"):
        read_scores(tmp_path / "scores.parquet")


def test_truth_has_the_genres_columns_in_order() -> None:
    truth = truth_matrix([["Sci-Fi"], [], ["Drama", "Film-Noir"]], GENRES)
    assert truth.tolist() == [[False, False, True], [False, False, False], [True, True, False]]


def test_an_unknown_genre_is_refused() -> None:
    with pytest.raises(DataError, match="movie 1 has the genre 'War'"):
        truth_matrix([["Drama"], ["War"]], GENRES)
