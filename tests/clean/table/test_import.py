import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from tasks.clean.movies import clean_movies
from tasks.clean.own_table import import_clean_data
from tasks.clean.profiles import CleanConfig
from tasks.clean.task import import_clean
from tasks.core import schema
from tasks.core.errors import DataError, SourceError
from tasks.core.settings import DataPaths
from tasks.stage import StageResult

EARLIER = """\
,movie_id,movie_name,description,genre,encoded_genre
0,tt2,Fog,A harbour at night...,"['War', 'Drama']","[0, 1, 1]"
1,tt1,Salt,"Two sailors wait, and wait.",['Crime'],"[1, 0, 0]"
"""


@pytest.fixture
def run(paths: DataPaths, tmp_path: Path) -> Any:
    def run_on(content: str) -> StageResult:
        (tmp_path / "clean_data.csv").write_text(content, encoding="utf-8")
        return import_clean_data(paths, tmp_path / "clean_data.csv")

    return run_on


def test_the_earlier_systems_table_becomes_the_cleaned_one(paths: DataPaths, run: Any) -> None:
    result = run(EARLIER)
    movies = pl.read_parquet(paths.movies)
    assert movies.schema == schema.MOVIES
    assert movies.select("movie_id", "movie_name", "description", "genres", "is_truncated").rows() == [
        ("tt1", "Salt", "Two sailors wait, and wait.", ["Crime"], False),
        ("tt2", "Fog", "A harbour at night...", ["Drama", "War"], True),
    ]
    assert set(movies["description_source"]) == {"import"}
    assert json.loads(paths.genres_json.read_text()) == ["Crime", "Drama", "War"]
    assert pl.read_csv(paths.clean_csv)["genres"].to_list() == ["Crime", "Drama, War"]
    assert (result.name, result.counts["movies_kept"], run(EARLIER).skipped) == ("clean", 2, True)


def test_every_row_is_accounted_for(paths: DataPaths, run: Any) -> None:
    rows = [
        "tt1,Salt,A harbour.,Drama",
        "tt1,Salt,Another.,Drama",
        ",Salt,A harbour.,Drama",
        "tt2,Salt,  ,Drama",
        "tt3,Salt,A harbour.,",
        "tt4,Salt",
        "tt5,,A harbour.,Haiku",
    ]
    counts = run("movie_id,movie_name,description,genre\n" + "\n".join(rows) + "\n").counts
    dropped = {key: count for key, count in counts.items() if key.startswith("dropped/") and count}
    assert dropped == {
        "dropped/repeated_id": 1,
        "dropped/no_movie_id": 1,
        "dropped/no_description": 1,
        "dropped/no_genre": 1,
        "dropped/short_row": 1,
    }
    assert counts["rows_read"] == 7 == counts["movies_kept"] + sum(dropped.values())
    assert counts["unknown_genre/Haiku"] == 1
    assert json.loads(paths.dropped.read_text())["counts"]["dropped/short_row"] == 1
    assert pl.read_parquet(paths.movies)["movie_name"].to_list() == ["Salt", ""]


def test_side_fields_are_kept_where_they_are(paths: DataPaths, run: Any) -> None:
    run('movie_id,description,genres,year,runtime,director\ntt1,Fog.,War,1931,"1,040 min","Ann,\nBob"\n')
    movie = pl.read_parquet(paths.movies).row(0, named=True)
    assert (movie["year"], movie["runtime_min"], movie["directors"], movie["stars"]) == (1931, 1040, ["Ann", "Bob"], [])


def test_our_own_table_comes_back(paths: DataPaths, run: Any) -> None:
    run(EARLIER)
    before = pl.read_parquet(paths.movies)
    run(paths.clean_csv.read_text(encoding="utf-8"))
    assert pl.read_parquet(paths.movies).equals(before)


def test_encoded_genres_need_their_order(paths: DataPaths, run: Any) -> None:
    encoded = "movie_id,description,encoded_genre\ntt1,Fog.,[0 1 1]\n"
    with pytest.raises(DataError, match=r"clean_data\.csv, movie tt1: the genres '\[0 1 1\]' .*3 genres, but 21 are"):
        run(encoded)
    paths.download.mkdir(parents=True)
    paths.downloaded_genres.write_text('["Crime", "Drama", "War"]')
    run(encoded)
    assert pl.read_parquet(paths.movies)["genres"].to_list() == [["Drama", "War"]]
    paths.downloaded_genres.write_text('["War", "Drama", "Crime"]')
    assert not run(encoded).skipped
    assert pl.read_parquet(paths.movies)["genres"].to_list() == [["Crime", "Drama"]]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("movie_id,genre\ntt1,War\n", "no column description"),
        ("movie_id,description\ntt1,Fog.\n", "has no genres: expected a column genre or genres or encoded_genre"),
        ("", "is empty"),
    ],
)
def test_another_kind_of_table_is_refused(run: Any, content: str, said: str) -> None:
    with pytest.raises(SourceError, match=said):
        run(content)


def test_a_table_without_a_usable_movie_is_refused(run: Any) -> None:
    with pytest.raises(DataError, match=r"no movie is left of 1 rows \(dropped/no_movie_id 1\)"):
        run("movie_id,description,genre\n,Fog.,War\n")
    with pytest.raises(DataError, match="nothing below the header"):
        run("movie_id,description,genre\n")


def test_a_file_that_is_not_there_is_said(paths: DataPaths, tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"none\.csv does not exist"):
        import_clean_data(paths, tmp_path / "none.csv")


def test_import_and_cleaning_replace_each_other(paths: DataPaths, run: Any, row: Any, listing: Any) -> None:
    paths.root.mkdir()
    listing(row("tt9")).parent.rename(paths.raw)
    clean_movies(paths, CleanConfig())
    cleaned = paths.movies.read_bytes()
    assert not run(EARLIER).skipped
    assert run(EARLIER).skipped
    assert [path.name for path in paths.clean.glob("*.stage.json")] == ["clean.stage.json"]
    assert not clean_movies(paths, CleanConfig()).skipped
    assert paths.movies.read_bytes() == cleaned


def test_the_task_imports_into_the_configured_folder(paths: DataPaths, tmp_path: Path) -> None:
    (tmp_path / "clean_data.csv").write_text(EARLIER)
    assert import_clean.fn(tmp_path / "clean_data.csv").counts["movies_kept"] == 2
    assert paths.movies.is_file()
