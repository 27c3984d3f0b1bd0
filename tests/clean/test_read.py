import random
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from tasks.clean import read
from tasks.clean.read import find_listings, is_well_formed, read_leniently, read_table
from tasks.core import schema
from tasks.core.errors import SourceError

Encode = Callable[[list[list[str]]], bytes]


def write(tmp_path: Path, content: bytes) -> Path:
    path = tmp_path / "x.csv"
    path.write_bytes(content)
    return path


def table(path: Path) -> list[tuple[object, ...]]:
    return read_table(path, ("id", "text")).rows.rows()


EXPECTED = [("1", "x, y", False), ("2", "", False)]


@pytest.mark.parametrize(
    "content",
    [
        b'id,text\n1,"x, y"\n2,\n',
        b'text,id\n"x, y",1\n,2\n',
        b'no,id,text,end\n0,1,"x, y",\n0,2,,\n',
        b'\xef\xbb\xbfid,text\n1,"x, y"\n2,\n',
        b'\xef\xbb\xbf"id","text"\n1,"x, y"\n2,""\n',
        b'id,text\r\n1,"x, y"\r\n2,\r\n',
        b'id,text\r1,"x, y"\r2,\r',
        b'id,text\n1,"x, y"\n2,',
        b'id,text\n\n1,"x, y"\n2,\n\n',
        b' id , "text"\n1,"x, y"\n2,\n'.replace(b' "text"', b"text "),
        b'a,a,id,text\n0,0,1,"x, y"\n0,0,2,\n',
        b'"a\n1",id,text\n0,1,"x, y"\n0,2,\n',
    ],
)
def test_harmless_forms_of_one_table(tmp_path: Path, content: bytes) -> None:
    result = read_table(write(tmp_path, content), ("id", "text"))
    assert result.rows.rows() == EXPECTED
    assert result.n_records == 2
    assert not result.damage.counts


def test_an_optional_column_that_is_missing_is_empty(tmp_path: Path) -> None:
    rows = read_table(write(tmp_path, b"id,text\n1,x\n"), ("id", "text"), ("year",)).rows
    assert rows.rows(named=True) == [{"id": "1", "text": "x", "year": "", "is_short": False}]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "x.csv, line 1: the file is empty"),
        (b"\xef\xbb\xbf", "the file is empty"),
        (b"\n\nid,text\n", "starts with a blank line"),
        (b"id,name\n1,x\n", "x.csv, line 1: no column text among id, name"),
        (b"a\n", "no column id or text among a"),
        (b"id;text\n1;x\n", "commas"),
        (b"id,text,text\n1,x,y\n", "more than one column text"),
        ("id,text\n1,x\n".encode("utf-16"), "UTF-16"),
        ("id,text\n1,x\n".encode("utf-16-le"), "no column"),
        (b'id,"text\n' + b"1,x\n" * 100_000, "line 1: the header does not end, probably because of an open quote"),
        (b'id,"text\n1,x\n', "no column text"),
    ],
)
def test_a_file_that_is_no_listing_is_refused(tmp_path: Path, content: bytes, message: str) -> None:
    with pytest.raises(SourceError, match=message):
        table(write(tmp_path, content))


def test_a_file_that_cannot_be_opened_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path, b"id,text\n")

    def refuse(*_: object, **__: object) -> bool:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(read, "is_well_formed", refuse)
    with pytest.raises(SourceError, match=r"x\.csv cannot be read: Permission denied"):
        table(path)


def test_listings_come_in_the_order_of_their_names(tmp_path: Path) -> None:
    for name in ("war.csv", "action.csv", "notes.txt"):
        (tmp_path / name).touch()
    (tmp_path / "folder.csv").mkdir()
    assert [path.name for path in find_listings(tmp_path)] == ["action.csv", "war.csv"]


@pytest.mark.parametrize(("folder", "message"), [("none", "does not exist"), (".", "holds no CSV file")])
def test_a_folder_without_listings_is_refused(tmp_path: Path, folder: str, message: str) -> None:
    with pytest.raises(SourceError, match=message):
        find_listings(tmp_path / folder)


def test_a_name_is_no_pattern(tmp_path: Path) -> None:
    path = tmp_path / "a[1]*.csv"
    path.write_bytes(b"id,text\n1,x\n")
    assert table(path) == [("1", "x", False)]


def test_damage_is_logged_with_its_first_line(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    table(write(tmp_path, b"id,text\n1,x\n2,x,y\n3,x,y\n"))
    assert "x.csv: dropped/long_row 2 times, first in line 3" in caplog.text


def test_windows_1252_is_read_and_the_warning_says_what_to_do(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    assert table(write(tmp_path, b"ann\xe9e,id,text\n0,1,\xe9t\xe9\n")) == [("1", "été", False)]
    assert "repaired/invalid_utf8 3 times, first in line 1; read as Windows-1252. Save the file as UTF-8" in caplog.text


def test_a_header_in_windows_1252_is_shown_as_it_reads(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="no column text among année, id"):
        table(write(tmp_path, b"ann\xe9e,id\n0,1\n"))


def both_ways(path: Path, n_fields: int) -> tuple[pl.DataFrame, pl.DataFrame]:
    columns = {f"c{index}": index for index in range(n_fields)}
    fast = read._read_fast(path, columns, n_fields)
    assert fast is not None
    rows, n_records, damage = read_leniently(path, columns, n_fields)
    assert n_records == fast.n_records
    assert not damage.counts
    return fast.rows, rows


@given(
    rows=st.lists(
        st.lists(st.text(st.sampled_from('ab,"\n\r é—\u2028\0'), max_size=8), min_size=3, max_size=3), max_size=8
    )
)
def test_both_ways_of_reading_agree(
    tmp_path_factory: pytest.TempPathFactory, csv_bytes: Encode, rows: list[list[str]]
) -> None:
    path = write(tmp_path_factory.mktemp("csv"), b"x,y,z\n" + csv_bytes(rows))
    assert is_well_formed(path, 3)
    fast, careful = both_ways(path, 3)
    assert_frame_equal(fast, careful)
    assert [list(row[:3]) for row in fast.rows()] == rows


def test_both_ways_of_reading_agree_on_real_listings(real_listings: Path) -> None:
    for path in find_listings(real_listings):
        assert is_well_formed(path, len(schema.RAW_COLUMNS))
        assert_frame_equal(*both_ways(path, len(schema.RAW_COLUMNS)))


@pytest.mark.parametrize("seed", range(20))
def test_mutated_bytes_are_read_with_the_damage_counted_or_refused(
    tmp_path: Path, csv_bytes: Encode, seed: int
) -> None:
    rows = [[str(number), f'A "tale" of\n{number}, é', "x"] for number in range(30)]
    whole = b"id,text,end\n" + csv_bytes(rows)
    expected = {(row[0], row[1]) for row in rows}
    refusals = []
    for case in range(50):
        chance = random.Random(1000 * seed + case)
        damaged = bytearray(whole)
        for _ in range(chance.randint(1, 4)):
            place = chance.randrange(len(b"id,text,end\n") if chance.random() < 0.9 else 0, len(damaged))
            damaged[place : place + chance.randint(0, 2)] = chance.choice(
                [b"", b'"', b",", b"\n", b"\r", b"\xff", b"\0", b'""', b"\xc3", b"\xef\xbb\xbf"]
            )
        try:
            result = read_table(write(tmp_path, bytes(damaged)), ("id", "text"))
        except SourceError as error:
            refusals.append(str(error))
            continue
        dropped = sum(count for kind, count in result.damage.counts.items() if kind.startswith("dropped/"))
        assert result.n_records == result.rows.height + dropped
        # Each of at most four wounds costs at most the rows it touches: two, where it joins or splits them.
        survivors = expected & set(result.rows.select("id", "text").rows())
        assert len(survivors) >= len(rows) - 8
    assert all("x.csv" in refusal for refusal in refusals)
