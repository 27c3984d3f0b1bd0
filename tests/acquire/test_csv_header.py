from pathlib import Path

import pytest

from tasks.acquire.listings import check_header
from tasks.core.errors import SourceError


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
        b' movie_id , movie_name,genre\t,"description "\n',
        b"movie_id,movie_name,genre,description,ann\xe9e\n",
        b"x,movie_id,movie_name,genre,description,x\n",
    ],
)
def test_any_order_extra_columns_and_a_byte_order_mark_are_fine(tmp_path: Path, content: bytes) -> None:
    check(tmp_path, content)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "found nothing"),
        (b"\n", "found nothing"),
        (b"movie_id,movie_name,genre\n", "no column description; found movie_id, movie_name, genre"),
        (b"movie_id;movie_name;genre;description\n", "no column movie_id or movie_name or genre or description; found"),
        ("movie_id,movie_name,genre,description\n".encode("utf-16"), r"UTF-16, or not text.*Save the file as UTF-8"),
        ("movie_id,movie_name,genre,description\n".encode("utf-16-le"), r"UTF-16, or not text.*Save the file as UTF-8"),
        (b"movie_id,movie_name\xe9,genre,description\n", "no column movie_name"),
        (b"movie_id,movie_name,genre,description\rtt1,a,b,c\r", r"\(CR\) alone.*line ends LF or CRLF"),
        (b"movie_id,genre,movie_name,description, genre\n", "more than one column genre; found movie_id, genre"),
        (b"movie_id,genre,year,movie_name,description,year\n", "more than one column year"),
    ],
)
def test_another_first_row_is_refused_in_plain_words(tmp_path: Path, content: bytes, said: str) -> None:
    with pytest.raises(SourceError, match=rf"^the zip: war\.csv, line 1: .*{said}.*remove (it|the file)") as refusal:
        check(tmp_path, content)
    assert not any(told in str(refusal.value) for told in ("codec", "universal-newline", "\0"))


def test_a_file_that_is_gone_is_named(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"gone\.csv cannot be read: No such file"):
        check_header(tmp_path / "gone.csv", "gone.csv")
