"""Movies stay on their side when others come or go."""

import logging
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.core.errors import DataError
from tasks.core.schema import MOVIES, PARTS
from tasks.core.settings import DataPaths
from tasks.split.parts import SplitConfig, assign_parts, split_movies

GENRE_SETS = (["Drama"], ["Comedy", "Drama"], ["Horror"], ["Drama", "War"], ["Comedy"], ["Horror", "Thriller"])


def some_movies(numbers: range | list[int], groups_of: int = 1) -> pl.DataFrame:
    return pl.DataFrame(
        {
            "movie_id": [f"tt{number:07}" for number in numbers],
            "genres": [GENRE_SETS[(number * number + number // 7) % len(GENRE_SETS)] for number in numbers],
            "text_group": [f"tt{number - number % groups_of:07}" for number in numbers],
        },
        schema={name: MOVIES[name] for name in ("movie_id", "genres", "text_group")},
    )


def split(paths: DataPaths, movies: pl.DataFrame, seed: int = 1, **config: Any) -> tuple[pl.DataFrame, dict[str, Any]]:
    paths.movies.parent.mkdir(parents=True, exist_ok=True)
    movies.write_parquet(paths.movies)
    counts = split_movies(paths, SplitConfig(**config), seed).counts
    return pl.read_parquet(paths.splits), counts


def test_ids_keep_their_side_when_movies_come_and_go(paths: DataPaths) -> None:
    before, _ = split(paths, some_movies(range(0, 900, 3)))
    after, counts = split(paths, some_movies(range(90, 900)))
    stayed = before.filter(pl.col("movie_id") >= "tt0000090")
    assert after.filter(pl.col("movie_id").is_in(stayed["movie_id"].implode())).equals(stayed)
    assert {key: counts[key] for key in ("movies_kept", "movies_new", "movies_gone")} == {
        "movies_kept": 270, "movies_new": 540, "movies_gone": 30,
    }  # fmt: skip
    assert [counts[part] for part in PARTS] == [648, 81, 81]
    assert counts["largest_share_difference"] < 100 * 2 / 81
    assert counts["development"] == 65


def test_what_left_is_made_up_for_by_what_comes() -> None:
    first = some_movies(range(1000))
    earlier = assign_parts(first, SplitConfig(), 1)
    without_test = first.filter((earlier["part"] != "test") | (first["movie_id"] > "tt0000900"))
    movies = pl.concat([without_test, some_movies(range(1000, 1500))])
    splits = assign_parts(movies, SplitConfig(), 1, earlier)
    assert abs((splits["part"] == "test").mean() - 0.1) < 0.001


def test_the_first_run_in_a_fresh_folder_knows_no_history(paths: DataPaths) -> None:
    movies = some_movies(range(300))
    fresh, _ = split(paths, movies)
    first_bytes = paths.splits.read_bytes()
    split(paths, some_movies(range(200)))
    grown, _ = split(paths, movies)
    assert not grown.equals(fresh)
    paths.splits.unlink()
    split(paths, movies)
    assert paths.splits.read_bytes() == first_bytes


@pytest.mark.parametrize("change", [{"seed": 2}, {"test_share": 0.2}, {"keep_sides": False}])
def test_another_seed_or_share_or_the_wish_to_divides_afresh(paths: DataPaths, change: dict[str, Any]) -> None:
    split(paths, some_movies(range(200)))
    after, counts = split(paths, some_movies(range(300)), **change)
    seed = change.pop("seed", 1)
    assert after.equals(assign_parts(some_movies(range(300)), SplitConfig(**change), seed))
    assert counts["movies_new"] == 300


def test_dividing_afresh_unasked_is_said(paths: DataPaths, caplog: pytest.LogCaptureFixture) -> None:
    split(paths, some_movies(range(200)))
    caplog.set_level(logging.WARNING)
    split(paths, some_movies(range(200)), keep_sides=False)
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]
    split(paths, some_movies(range(200)), test_share=0.3)
    assert '"test_share": 0.1' in caplog.text


def test_a_run_killed_while_it_published_loses_no_history(paths: DataPaths) -> None:
    before, _ = split(paths, some_movies(range(200)))
    (paths.splits.parent / "split.stage.json").unlink()
    after, counts = split(paths, some_movies(range(220)))
    assert after.head(200).equals(before)
    assert counts["movies_kept"] == 200


def test_a_damaged_history_is_reported(paths: DataPaths) -> None:
    split(paths, some_movies(range(200)))
    paths.splits.write_bytes(paths.splits.read_bytes()[:-20])
    with pytest.raises(DataError, match=r"splits\.parquet cannot be read .* delete it to split all movies again"):
        split(paths, some_movies(range(200)))


def test_new_movies_join_the_side_of_their_text_group() -> None:
    first = some_movies(range(0, 400, 2), groups_of=2)
    movies = some_movies(range(400), groups_of=2)
    earlier = assign_parts(first, SplitConfig(), 1)
    splits = assign_parts(movies, SplitConfig(), 1, earlier)
    assert splits.gather_every(2).equals(earlier)
    assert splits.gather_every(2, 1).drop("movie_id").equals(earlier.drop("movie_id"))


def test_a_group_that_is_found_to_span_parts_stays_divided_and_is_counted(
    paths: DataPaths, caplog: pytest.LogCaptureFixture
) -> None:
    before, _ = split(paths, some_movies(range(300)))
    one_of_each = [before.filter(pl.col("part") == part)["movie_id"][0] for part in PARTS]
    two_of_test = before.filter(pl.col("part") == "test")["movie_id"][1]
    spans = pl.col("movie_id").is_in([*one_of_each, two_of_test, "tt0000300"])
    movies = some_movies(range(301)).with_columns(text_group=pl.when(spans).then(pl.lit("tt9")).otherwise("text_group"))
    after, counts = split(paths, movies)
    assert after.head(300).equals(before)
    assert after["part"][300] == "test"
    assert counts["text_groups"]["across_parts"] == 1
    assert "1 groups of near-duplicates are split" in caplog.text


@settings(max_examples=40)
@given(first=st.sets(st.integers(0, 120), min_size=10), second=st.sets(st.integers(0, 120), min_size=10))
def test_whatever_comes_or_goes_no_id_moves_and_no_group_is_divided(first: set[int], second: set[int]) -> None:
    earlier = assign_parts(some_movies(sorted(first), groups_of=3), SplitConfig(), 1)
    movies = some_movies(sorted(second), groups_of=3)
    later = assign_parts(movies, SplitConfig(), 1, earlier)
    assert later["movie_id"].equals(movies["movie_id"])
    both = later.join(earlier, on="movie_id")
    assert all(both[side].equals(both[f"{side}_right"]) for side in ("part", "fold", "is_development"))
    sides = later.with_columns(movies["text_group"]).unique(["text_group", "part", "fold", "is_development"])
    assert sides.height == movies["text_group"].n_unique()
