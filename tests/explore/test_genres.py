import numpy as np
import polars as pl

from tasks.explore.tables import (
    count_combinations,
    count_decades,
    count_genres,
    count_pairs,
    share_of_pairs,
    table_of_pairs,
)

MOVIES = pl.DataFrame(
    {
        "genres": [["Drama", "War"], ["Drama"], ["War", "Drama"], []],
        "year": [1943, 1949, 1950, 1950],
    },
    schema={"genres": pl.List(pl.String), "year": pl.Int32},
)


def test_genres_are_shares_of_the_movies_that_have_any() -> None:
    assert count_genres(MOVIES).rows() == [("Drama", 3, 1.0), ("War", 2, 2 / 3)]


def test_pairs_are_symmetric_with_each_genre_on_the_diagonal() -> None:
    assert count_pairs(MOVIES, ["War", "Drama", "Western"]).tolist() == [[2, 2, 0], [2, 3, 0], [0, 0, 0]]


def test_shares_of_pairs_belong_to_the_row() -> None:
    shares = share_of_pairs(np.array([[20.0, 20.0], [20.0, 40.0]]))
    assert shares[0, 1] == 100
    assert shares[1, 0] == 50
    assert np.isnan(np.diag(shares)).all()


def test_a_genre_with_few_movies_has_no_shares() -> None:
    shares = share_of_pairs(np.array([[19.0, 5.0], [5.0, 50.0]]))
    assert np.isnan(shares[0]).all()
    assert shares[1, 0] == 10


def test_an_undefined_share_is_null_in_the_table() -> None:
    table = table_of_pairs(np.array([[np.nan, 50.0], [20.0, np.nan]]), ["Drama", "War"])
    assert table.rows() == [("Drama", None, 50.0), ("War", 20.0, None)]


def test_combinations_do_not_depend_on_the_order_of_genres() -> None:
    assert count_combinations(MOVIES).select("combination", "movies").rows() == [("Drama + War", 2), ("Drama", 1)]


def test_decades_leave_out_movies_without_genre_or_plausible_year() -> None:
    more = pl.DataFrame({"genres": [["War"], ["War"]], "year": [None, 2999]}, schema=MOVIES.schema)
    counts = count_decades(pl.concat([MOVIES, more]))
    assert counts.select("decade", "genre", "movies", "share").rows() == [
        (1940, "Drama", 2, 1.0), (1940, "War", 1, 0.5), (1950, "Drama", 1, 1.0), (1950, "War", 1, 1.0),
    ]  # fmt: skip
