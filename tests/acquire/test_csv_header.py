from pathlib import Path

import pytest

from tasks.acquire.csv_header import check_header
from tasks.errors import SourceError


def check(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "war.csv").write_bytes(content)
    check_header(tmp_path / "war.csv", "the zip: war.csv")


@pytest.mark.parametrize(
    "content",
    [
        b"movie_id,movie_name,genre,description\n",
        b"\xef\xbb\xbfmovie_id,movie_name,genre,description\r\n",
        b'extra,description,"genre",movie_name,movie_id\nrows are not looked at \xff',
        b"movie_id,movie_name,genre,description",
    ],
)
def test_any_order_extra_columns_and_a_byte_order_mark_are_fine(tmp_path: Path, content: bytes) -> None:
    check(tmp_path, content)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "reads nothing"),
        (b"\n", "reads nothing"),
        (b"movie_id,movie_name,genre\n", "lacks description"),
        (b"movie_id;movie_name;genre;description\n", "lacks movie_id, movie_name, genre, description"),
        ("movie_id,movie_name,genre,description\n".encode("utf-16"), "no CSV in UTF-8"),
        (b"movie_id,movie_name\xe9,genre,description\n", "no CSV in UTF-8"),
        (b"movie_id,movie_name,genre,description\rtt1,a,b,c\r", "no CSV in UTF-8"),
    ],
)
def test_another_first_row_is_refused(tmp_path: Path, content: bytes, said: str) -> None:
    with pytest.raises(SourceError, match=rf"the zip: war\.csv.*{said}.*take the file away"):
        check(tmp_path, content)


def test_a_file_that_is_gone_is_named(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"gone\.csv cannot be read: No such file"):
        check_header(tmp_path / "gone.csv", "gone.csv")
