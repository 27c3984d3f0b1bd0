"""The split stage: the file, the counts, skipping, and data that is too small."""

import numpy as np
import polars as pl
import pytest
from pydantic import ValidationError

from tasks.core.errors import DataError
from tasks.core.schema import MOVIES, N_FOLDS, PARTS, SPLITS
from tasks.core.settings import DataPaths
from tasks.split.parts import SplitConfig, assign_parts, count_parts, split_movies
from tasks.split.task import split

GENRE_SETS = (["Drama"], ["Comedy", "Drama"], ["Horror"], ["Drama", "War"], ["Comedy"], ["Horror", "Thriller"])


def make_movies(n_movies: int, groups_of: int = 1) -> pl.DataFrame:
    """Movies in ascending order of their ids; so many in a row tell the same text."""
    numbers = range(n_movies)
    return pl.DataFrame(
        {
            "movie_id": [f"tt{number:07}" for number in numbers],
            "genres": [GENRE_SETS[(number * number + number // 7) % len(GENRE_SETS)] for number in numbers],
            "text_group": [f"tt{number - number % groups_of:07}" for number in numbers],
        }
    )


def write_movies(paths: DataPaths, movies: pl.DataFrame | int) -> pl.DataFrame:
    movies = make_movies(movies) if isinstance(movies, int) else movies
    absent = [pl.lit(None, dtype=dtype).alias(name) for name, dtype in MOVIES.items() if name not in movies.columns]
    paths.movies.parent.mkdir(parents=True, exist_ok=True)
    movies.with_columns(absent).select(MOVIES.names()).write_parquet(paths.movies)
    return movies


def test_every_movie_has_a_part_in_the_order_of_the_movies(paths: DataPaths) -> None:
    movies = write_movies(paths, 300)
    result = split_movies(paths, SplitConfig(), 1)
    splits = pl.read_parquet(paths.splits)
    assert splits.schema == SPLITS
    assert splits["movie_id"].to_list() == movies["movie_id"].to_list()
    assert {name: result.counts[name] for name in ("movies", *PARTS, "development")} == {
        "movies": 300,
        "train": 240,
        "validation": 30,
        "test": 30,
        "development": 24,
    }
    assert splits.filter(pl.col("is_development"))["part"].unique().to_list() == ["train"]


def test_counts_are_those_of_the_file(paths: DataPaths) -> None:
    movies = write_movies(paths, 300)
    result = split_movies(paths, SplitConfig(), 1)
    drama = movies.join(pl.read_parquet(paths.splits), on="movie_id").filter(pl.col("genres").list.contains("Drama"))
    counted = dict(drama["part"].cast(pl.String).value_counts().iter_rows())
    assert result.counts["genres"]["Drama"] == {**counted, "development": int(drama["is_development"].sum())}
    assert set(result.counts["genres"]) == {"Comedy", "Drama", "Horror", "Thriller", "War"}
    shares = {part: counted[part] / 30 - drama.height / 300 for part in ("validation", "test")}
    assert result.counts["largest_share_difference"] >= 100 * max(map(abs, shares.values())) - 1e-3


def test_largest_share_difference_is_in_percentage_points() -> None:
    movies = pl.DataFrame({"movie_id": ["a", "b", "c", "d"], "genres": [["War"], ["War"], ["War"], ["Drama"]]})
    splits = pl.DataFrame(
        {
            "movie_id": list("abcd"),
            "part": ["train", "train", "validation", "test"],
            "is_development": [True] + [False] * 3,
            "fold": [0, 1, 0, 0],
        },
        schema=SPLITS,
    )
    counts = count_parts(movies, splits)
    assert counts["largest_share_difference"] == 75
    assert counts["largest_fold_share_difference"] == 0


def test_folds_are_even_within_every_part() -> None:
    movies = make_movies(2000)
    joined = movies.join(assign_parts(movies, SplitConfig(), 1), on="movie_id").explode("genres")
    for _, of_part in joined.group_by("part", "genres"):
        sizes = np.bincount(of_part["fold"], minlength=N_FOLDS)
        assert sizes.max() - sizes.min() <= 3
        assert len(sizes) == N_FOLDS


def test_movies_of_one_text_group_are_on_the_same_side_of_everything(paths: DataPaths) -> None:
    movies = write_movies(paths, make_movies(600, groups_of=3))
    counts = split_movies(paths, SplitConfig(), 1).counts
    splits = pl.read_parquet(paths.splits)
    sides = splits.with_columns(movies["text_group"]).unique(["text_group", "part", "fold", "is_development"])
    assert sides.height == 200
    assert set(sides["fold"]) == set(range(N_FOLDS))
    assert counts["text_groups"] == {
        "groups": 200, "movies": 600, "across_parts": 0, "across_folds": 0, "across_development": 0,
    }  # fmt: skip


def test_same_seed_same_bytes_and_unchanged_input_is_skipped(paths: DataPaths) -> None:
    write_movies(paths, 200)
    assert not split_movies(paths, SplitConfig(), 1).skipped
    first = paths.splits.read_bytes()
    assert split_movies(paths, SplitConfig(), 1).skipped
    paths.splits.unlink()
    assert not split_movies(paths, SplitConfig(), 1).skipped
    assert paths.splits.read_bytes() == first
    assert not split_movies(paths, SplitConfig(), 2).skipped
    assert paths.splits.read_bytes() != first


def test_shares_are_configured() -> None:
    movies = make_movies(100).with_columns(genres=pl.lit(["Drama"]))
    splits = assign_parts(movies, SplitConfig(test_share=0.3, validation_share=0.2, development_share=0.5), 1)
    assert dict(splits["part"].cast(pl.String).value_counts().iter_rows()) == {
        "train": 50,
        "validation": 20,
        "test": 30,
    }
    assert splits["is_development"].sum() == 25


def test_ten_movies_are_enough_and_nine_are_not(paths: DataPaths) -> None:
    write_movies(paths, 10)
    counts = split_movies(paths, SplitConfig(), 1).counts
    assert (counts["train"], counts["validation"], counts["test"], counts["development"]) == (8, 1, 1, 1)
    write_movies(paths, 9)
    with pytest.raises(DataError, match=r"movies\.parquet: 9 movies .* At least 10 are needed"):
        split_movies(paths, SplitConfig(), 1)


def test_no_movies_at_all_are_too_few(paths: DataPaths) -> None:
    write_movies(paths, 0)
    with pytest.raises(DataError, match="At least 20 are needed"):
        split_movies(paths, SplitConfig(test_share=0.05), 1)


@pytest.mark.parametrize(
    "shares",
    [{"test_share": 0.0}, {"validation_share": 1.0}, {"test_share": 0.5, "validation_share": 0.5}, {"tset": 0.1}],
)
def test_impossible_config_is_refused(shares: dict[str, float]) -> None:
    with pytest.raises(ValidationError):
        SplitConfig(**shares)


def test_the_task_splits_the_movies_of_the_data_folder(paths: DataPaths) -> None:
    write_movies(paths, 50)
    result = split.fn(SplitConfig(), seed=3)
    assert result.folder == paths.splits.parent
    assert pl.read_parquet(paths.splits).height == 50
