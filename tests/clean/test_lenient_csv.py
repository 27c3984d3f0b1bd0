from pathlib import Path

import pytest

from tasks.clean.read import read_leniently

HEADER = b"id,name,text\n"


def read(tmp_path: Path, body: bytes) -> tuple[list[tuple[object, ...]], int, dict[str, tuple[int, int]]]:
    path = tmp_path / "x.csv"
    path.write_bytes(HEADER + body)
    rows, n_records, damage = read_leniently(path, {"id": 0, "text": 2}, 3)
    return rows.rows(), n_records, {kind: (n, damage.first_lines[kind]) for kind, n in damage.counts.items()}


def test_damage_costs_the_row_it_is_in(tmp_path: Path) -> None:
    rows, n_records, damage = read(tmp_path, b'1,a,x\n2,"b,x\n3,"c",x\n4,d,x\n')
    assert rows == [("1", "x", False), ("3", "x", False), ("4", "x", False)]
    assert n_records == 4
    assert damage == {"dropped/broken_quotes": (1, 3)}


def test_an_unclosed_quote_does_not_swallow_the_file(tmp_path: Path) -> None:
    rows, n_records, damage = read(tmp_path, b'1,a,x\n2,"b\n' + b"3,c,x\n" * 1000)
    assert len(rows) == 1001
    assert n_records == 1002
    assert damage == {"dropped/broken_quotes": (1, 3)}


def test_a_row_with_too_many_fields_is_left_out(tmp_path: Path) -> None:
    rows, n_records, damage = read(tmp_path, b"1,a,x\n2,b,x,y\n3,c,x,\n4,d,x\n")
    assert [row[0] for row in rows] == ["1", "4"]
    assert n_records == 4
    assert damage == {"dropped/long_row": (2, 3)}


def test_a_row_with_too_few_fields_is_marked(tmp_path: Path) -> None:
    rows, _, damage = read(tmp_path, b"1,a,x\n2,b\n")
    assert rows == [("1", "x", False), ("2", "", True)]
    assert damage == {"repaired/short_row": (1, 3)}


def test_a_quote_inside_a_field_is_text(tmp_path: Path) -> None:
    rows, _, damage = read(tmp_path, b'1,a,5" tall\n2,b,"He said "hi" to me"\n3,c,"x"\n')
    assert [row[0] for row in rows] == ["1", "2", "3"]
    assert rows[0][1] == '5" tall'
    assert damage == {"repaired/stray_quote": (1, 3)}


def test_bytes_that_are_not_utf8_are_windows_1252_and_counted(tmp_path: Path) -> None:
    rows, _, damage = read(tmp_path, b"1,a,infirmi\xe8re\n2,b,\x93\x80\x94!\n3,c,\xc3\xa9 \xe9\n4,d,a\x81\n")
    assert [row[1] for row in rows] == ["infirmière", "“€”!", "é é", "a\ufffd"]
    assert damage == {"repaired/invalid_utf8": (6, 2)}


def test_bytes_are_counted_once_though_lines_are_read_twice(tmp_path: Path) -> None:
    _, _, damage = read(tmp_path, b'1,"a\n\xff,b,x\n2,"c",x\n')
    assert damage["repaired/invalid_utf8"] == (1, 3)


def test_blank_lines_are_no_rows_and_any_line_end_will_do(tmp_path: Path) -> None:
    rows, n_records, damage = read(tmp_path, b"1,a,x\n\n\r\n2,b,x\r3,c,x\r\n\n")
    assert [row[0] for row in rows] == ["1", "2", "3"]
    assert n_records == 3
    assert damage == {}


def test_lines_inside_quotes_count_for_line_numbers(tmp_path: Path) -> None:
    _, _, damage = read(tmp_path, b'1,a,"x\ny\nz"\n2,b\n')
    assert damage == {"repaired/short_row": (1, 5)}


@pytest.mark.parametrize(
    ("field", "reason"),
    [
        (b'"%s"', "field_too_long"),
        (b"%s", "field_too_long"),
        (b'"He said ""%s"", twice"', "field_too_long"),
        (b'"%s', "broken_quotes"),
        (b'"a" %s', "broken_quotes"),
    ],
)
def test_an_endless_field_costs_its_row(tmp_path: Path, field: bytes, reason: str) -> None:
    rows, n_records, damage = read(tmp_path, b"1,a," + field % (b"x" * 200_000) + b"\n2,b,x\n")
    assert rows == [("2", "x", False)]
    assert n_records == 2
    assert damage == {f"dropped/{reason}": (1, 2)}


def test_many_rows_come_in_their_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tasks.clean.read.BATCH_ROWS", 7)
    rows, n_records, _ = read(tmp_path, b"".join(b"%d,a,x\n" % number for number in range(50)))
    assert [int(str(row[0])) for row in rows] == list(range(50))
    assert n_records == 50
