import csv
import io
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.clean.read import MAX_RECORD_BYTES, is_well_formed

FIELD = st.text(st.sampled_from('a,"\n\ré '), max_size=6)


@pytest.mark.parametrize(
    "content",
    [
        b"a,b\n1,2\n",
        b"a,b\n1,2",
        b"a,b\r\n1,2\r\n",
        b"\xef\xbb\xbfa,b\n1,2\n",
        b'\xef\xbb\xbf"a",b\n1,2\n',
        b'a,b\n"1\n1",2\n',
        b'a,b\n"1\r1",2\n',
        b'a,b\n"1,1","2"\n',
        b'a,b\n"1 ""one"" 1",""""\n',
        b'a,b\n"",""\n',
        b"a,b\n,\n",
        b'a,b\r\n"1","2"\r\n',
    ],
)
def test_whole_files_are_well_formed(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "x.csv"
    path.write_bytes(content)
    assert is_well_formed(path, 2)
    assert all(is_well_formed(path, 2, block_bytes=size) for size in range(1, 9))


@pytest.mark.parametrize(
    "content",
    [
        b"a,b\n1,2,3\n",
        b"a,b\n1\n",
        b"a,b\n1,2\n1",
        b"a,b\n1,2\n\n1,2\n",
        b"a,b\n1,2\n\n",
        b"a,b\r1,2\r",
        b"a,b\n1,2\r3\n",
        b'a,b\n1,"2\n',
        b'a,b\n1,2"2\n',
        b'a,b\n1,2"2"\n',
        b'a,b\n1,"2"2\n',
        b'a,b\n1, "2"\n',
        b'a,b\n1,"2" \n',
        b'a,b\n1,"2"\r3\n',
        b'a,b\n"1,2\n"3,4\n',
        b"a,b\n1," + b"x" * MAX_RECORD_BYTES + b"\n",
        b'a,b\n1,"' + b"x\n" * MAX_RECORD_BYTES + b'"\n',
    ],
)
def test_damage_is_seen(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "x.csv"
    path.write_bytes(content)
    assert not is_well_formed(path, 2)
    if len(content) < 100:
        assert not any(is_well_formed(path, 2, block_bytes=size) for size in range(1, 9))


@given(
    rows=st.lists(st.tuples(FIELD, FIELD, FIELD), min_size=1, max_size=6),
    quoting=st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]),
    end=st.sampled_from(["\n", "\r\n"]),
    block_bytes=st.integers(1, 40),
)
def test_what_a_csv_writer_writes_is_well_formed(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[str, str, str]], quoting: int, end: str, block_bytes: int
) -> None:
    text = io.StringIO(newline="")
    # A lone carriage return must be quoted; csv does that from Python 3.13 on.
    csv.writer(
        text, quoting=csv.QUOTE_ALL if any("\r" in f for r in rows for f in r) else quoting, lineterminator=end
    ).writerows(rows)
    path = tmp_path_factory.mktemp("csv") / "x.csv"
    path.write_bytes(text.getvalue().encode())
    assert is_well_formed(path, 3, block_bytes)
