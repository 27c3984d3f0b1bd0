from pathlib import Path

import polars as pl
import pytest

from tasks.core.errors import DataError
from tasks.explore.stages import movies_of_listings, raw_files, read_listings, read_movies

HEADER = "movie_id,movie_name,year,genre,description\n"


def write(folder: Path, name: str, content: str | bytes) -> Path:
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def test_listings_are_tidied_but_not_judged(tmp_path: Path) -> None:
    path = write(tmp_path, "war.csv", HEADER + 'tt1," The\nBridge ",I 1943,"War, Drama,War",A bridge holds.\ntt2,,,,\n')
    rows, _, _ = read_listings([path])
    assert rows.select("file", "movie_id", "movie_name", "year").rows() == [
        ("war.csv", "tt1", "The Bridge", 1943),
        ("war.csv", "tt2", None, None),
    ]
    assert rows["genres"].to_list() == [["Drama", "War"], []]


def test_a_year_in_other_digits_is_not_known(tmp_path: Path) -> None:
    path = write(tmp_path, "war.csv", HEADER + "tt1,One,٢٠٠١,War,Text\ntt2,Two,2001,War,Text\n")
    assert read_listings([path])[0]["year"].to_list() == [None, 2001]


def test_unreadable_files_and_rows_without_id_are_counted(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    good = write(tmp_path, "good.csv", HEADER + "tt1,One,1999,Drama,Text\n ,Two,1999,Drama,Text\n")
    empty = write(tmp_path, "empty.csv", "")
    rows, unreadable, n_without_id = read_listings([empty, good])
    assert (rows.height, n_without_id, unreadable) == (1, 1, ["empty.csv"])
    assert "empty.csv" in caplog.text


def test_odd_bytes_extra_fields_and_absent_columns_are_read(tmp_path: Path) -> None:
    path = write(tmp_path, "odd.csv", b"\xef\xbb\xbfmovie_id,genre\ntt1,Drama,extra\ntt2,Com\xe9die\n")
    rows, _, _ = read_listings([path])
    assert rows["genres"].to_list() == [["Drama"], ["Com\ufffddie"]]
    assert rows["description"].null_count() == 2


def test_nothing_to_read_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "folder.csv").mkdir()
    with pytest.raises(DataError, match="acquire"):
        raw_files(tmp_path)
    with pytest.raises(DataError, match="none of 1"):
        read_listings([write(tmp_path, "empty.csv", "")])
    with pytest.raises(DataError, match="movie_id"):
        read_listings([write(tmp_path, "other.csv", "a,b\n1,2\n")])


def test_a_movie_gathers_its_rows(tmp_path: Path) -> None:
    body = "tt1,Old,,War,Add a Plot\ntt1,New,1943,Drama,A bridge holds ... See full summary »\ntt1,New,1944,War,Short\n"
    rows, _, _ = read_listings([write(tmp_path, "war.csv", HEADER + body)])
    assert movies_of_listings(rows).rows() == [("tt1", "Old", 1943, ["Drama", "War"], "A bridge holds")]


def test_a_cleaned_table_that_cannot_be_used_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="clean"):
        read_movies(write(tmp_path, "damaged.parquet", b"PAR1"))
    pl.DataFrame({"movie_id": ["tt1"]}).write_parquet(tmp_path / "narrow.parquet")
    with pytest.raises(DataError, match=r"movie_name, year.*; run the clean stage again$"):  # in a line
        read_movies(tmp_path / "narrow.parquet")
