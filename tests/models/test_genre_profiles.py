import numpy as np
import polars as pl
import pytest
from scipy import sparse

from tasks.models.explain.importance import PROFILES, profile_cosines, write_genre_profiles


def test_cosines_are_those_of_mean_vectors_and_of_their_excess() -> None:
    random = np.random.default_rng(1)
    X, Y = random.random((40, 9)) * (random.random((40, 9)) < 0.4), random.random((40, 3)) < 0.4
    plain, excess = profile_cosines(sparse.csr_array(X), Y)
    means = [X[Y[:, genre]].mean(axis=0) for genre in range(3)]
    for one in range(3):
        for other in range(3):
            for found, less in ((plain, np.zeros(9)), (excess, X.mean(axis=0))):
                a, b = means[one] - less, means[other] - less
                assert found[one, other] == pytest.approx(a @ b / np.sqrt((a @ a) * (b @ b)))


def test_a_genre_without_movies_or_words_or_of_every_movie_has_no_cosine() -> None:
    X = sparse.csr_array(np.array([[1.0, 0.0], [0.0, 1.0], [0.0, 0.0]]))
    Y = np.array([[1, 0, 0, 1], [0, 0, 0, 1], [0, 0, 1, 1]], dtype=bool)
    plain, excess = profile_cosines(X, Y)
    assert np.isfinite(plain).tolist() == [
        [True, False, False, True], [False] * 4, [False] * 4, [True, False, False, True],
    ]  # fmt: skip
    assert np.isnan(excess[:, 3]).all()
    assert excess[0, 0] == pytest.approx(1)


def test_every_pair_is_written_in_both_orders_from_train_alone(prepared) -> None:
    result = write_genre_profiles(prepared, 1)
    table = pl.read_csv(prepared.genre_profiles)
    assert table.schema == PROFILES
    assert table.height == 6
    cosine = {(genre, other): value for genre, other, value, _ in table.iter_rows()}
    assert all(value == cosine[other, genre] for (genre, other), value in cosine.items())
    assert result.counts == {"genres": 3, "train_movies": 240}
    assert write_genre_profiles(prepared, 1).skipped
    outside = pl.col("part").cast(pl.String) != "train"
    rows = pl.read_parquet(prepared.splits).select(outside).to_series()
    movies = pl.read_parquet(prepared.movies)
    changed = pl.when(rows).then(pl.lit("other words")).otherwise("description")
    movies.with_columns(description=changed).write_parquet(prepared.movies)
    assert not write_genre_profiles(prepared, 1).skipped
    assert pl.read_csv(prepared.genre_profiles).equals(table)
