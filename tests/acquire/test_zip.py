import contextlib
import io
import stat
import zipfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.acquire import listings
from tasks.acquire.listings import list_archive, unpack_archive
from tasks.core.errors import SourceError

LISTING = "movie_id,movie_name,genre,description\ntt1,Salt,War,Two sailors wait.\n"


def test_csvs_come_out_unchanged_and_other_entries_do_not(tmp_path: Path, make_zip: Any) -> None:
    path = make_zip(
        {"set/Action.csv": LISTING, "war.CSV": "\ufeff" + LISTING, "README.md": "x", "__MACOSX/._war.csv": "\x00"}
    )
    unpack_archive(path, tmp_path)
    assert list_archive(path) == {"Action.csv": "set/Action.csv", "war.csv": "war.CSV"}
    assert (tmp_path / "Action.csv").read_bytes() == LISTING.encode()
    assert (tmp_path / "war.csv").read_bytes() == b"\xef\xbb\xbf" + LISTING.encode()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["Action.csv", "archive.zip", "war.csv"]


@pytest.mark.parametrize(
    "name", ["../evil.csv", "/evil.csv", "a/../../evil.csv", "..\\evil.csv", "C:evil.csv", "a\n.csv"]
)
def test_a_name_that_points_elsewhere_is_refused(tmp_path: Path, make_zip: Any, name: str) -> None:
    path = make_zip({"war.csv": LISTING, name: LISTING})
    with pytest.raises(SourceError, match="points outside its folder"):
        unpack_archive(path, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["archive.zip"]


@pytest.mark.parametrize("names", [("a/war.csv", "b/war.csv"), ("war.csv", "WAR.csv"), ("war.csv", "war.CSV")])
def test_two_files_of_one_name_are_refused(make_zip: Any, names: tuple[str, str]) -> None:
    path = make_zip(dict.fromkeys(names, LISTING))
    with pytest.raises(SourceError, match=r"two files named (war|WAR)\.csv"):
        list_archive(path)


def test_an_archive_without_csvs_is_refused(make_zip: Any) -> None:
    with pytest.raises(SourceError, match=r"archive\.zip has no \*\.csv"):
        list_archive(make_zip({"notes.txt": "x"}))


def test_a_csv_that_is_no_listing_is_named_with_its_archive(tmp_path: Path, make_zip: Any) -> None:
    path = make_zip({"set/war.csv": "a,b\n"})
    with pytest.raises(SourceError, match=r"archive\.zip: set/war\.csv, line 1: no column movie_id"):
        unpack_archive(path, tmp_path)


def test_a_bomb_is_refused_by_its_ratio_and_by_its_size(make_zip: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    path = make_zip({"war.csv": LISTING + "0" * 3_000_000})
    with pytest.raises(SourceError, match=r"would unpack .* to 3,000,0"):
        list_archive(path)
    monkeypatch.setattr(listings, "MAX_BYTES", 10)
    with pytest.raises(SourceError, match="the limits are 10 "):
        list_archive(make_zip({"war.csv": LISTING}))


def test_too_many_entries_are_refused(make_zip: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listings, "MAX_ENTRIES", 2)
    with pytest.raises(SourceError, match="has 3 entries"):
        list_archive(make_zip({f"{number}.csv": LISTING for number in range(3)}))


def test_a_damaged_entry_is_named(tmp_path: Path) -> None:
    path = tmp_path / "stored.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as file:
        file.writestr("war.csv", LISTING)
    path.write_bytes(path.read_bytes().replace(b"sailors", b"sailers"))
    with pytest.raises(SourceError, match=r"stored\.zip: war\.csv is damaged .*Download the archive again"):
        unpack_archive(path, tmp_path)


def test_two_entries_of_the_very_same_name_are_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "twice.zip", "w") as file:
        file.writestr("war.csv", LISTING)
        with pytest.warns(UserWarning, match="Duplicate name"):
            file.writestr("war.csv", LISTING + LISTING)
    with pytest.raises(SourceError, match=r"two files named war\.csv"):
        list_archive(tmp_path / "twice.zip")


def test_an_archive_of_a_hundred_thousand_entries_is_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "many.zip", "w") as file:
        for number in range(100_000):
            file.writestr(zipfile.ZipInfo(f"{number}.csv"), "")
    with pytest.raises(SourceError, match="has 100,000 entries"):
        unpack_archive(tmp_path / "many.zip", tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["many.zip"]


def test_an_entry_that_lies_about_its_size_gives_no_more_than_it_said(tmp_path: Path, make_zip: Any) -> None:
    honest = make_zip({"war.csv": LISTING + "0" * 3_000_000}).read_bytes()
    declared, claimed = (3_000_000 + len(LISTING)).to_bytes(4, "little"), (3_000).to_bytes(4, "little")
    assert honest.count(declared) == 2  # before the entry and in the directory
    (tmp_path / "archive.zip").write_bytes(honest.replace(declared, claimed))
    with pytest.raises(SourceError, match=r"war\.csv is damaged"):
        unpack_archive(tmp_path / "archive.zip", tmp_path)
    assert (tmp_path / "war.csv").stat().st_size <= 3_000


def test_an_archive_that_was_cut_anywhere_is_refused(tmp_path: Path, make_zip: Any) -> None:
    whole = make_zip({"war.csv": LISTING, "mystery.csv": LISTING}).read_bytes()
    for length in range(len(whole)):
        (tmp_path / "archive.zip").write_bytes(whole[:length])
        with pytest.raises(SourceError, match="is not a zip file, or is damaged"):
            list_archive(tmp_path / "archive.zip")


def test_a_name_too_long_for_a_file_is_refused(make_zip: Any) -> None:
    assert list_archive(make_zip({"é" * 98 + ".csv": LISTING}))
    with pytest.raises(SourceError, match="is too long for a file"):
        list_archive(make_zip({"é" * 99 + ".csv": LISTING}))


def test_hidden_files_are_left_out(make_zip: Any) -> None:
    path = make_zip({"war.csv": LISTING, ".unfinished-war.csv": LISTING, "a/._war.csv": "x"})
    assert list(list_archive(path)) == ["war.csv"]


@pytest.mark.parametrize("kind", [stat.S_IFLNK, stat.S_IFIFO, stat.S_IFCHR, stat.S_IFSOCK])
def test_what_is_no_plain_file_is_refused(tmp_path: Path, kind: int) -> None:
    entry = zipfile.ZipInfo("war.csv")
    entry.external_attr = (kind | 0o777) << 16
    with zipfile.ZipFile(tmp_path / "odd.zip", "w") as file:
        file.writestr(entry, "/etc/passwd")
    with pytest.raises(SourceError, match="is a link or a device"):
        list_archive(tmp_path / "odd.zip")


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 cut short", b"<!DOCTYPE html>"])
def test_what_is_no_zip_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "page.zip").write_bytes(content)
    with pytest.raises(SourceError, match=r"page\.zip is not a zip file, or is damaged"):
        list_archive(tmp_path / "page.zip")


def test_an_encrypted_and_an_oddly_packed_entry_are_refused(tmp_path: Path) -> None:
    packed = zipfile.ZipInfo("packed.csv")
    packed.compress_type = zipfile.ZIP_LZMA
    with zipfile.ZipFile(tmp_path / "odd.zip", "w") as file:
        file.writestr(packed, LISTING)
    with pytest.raises(SourceError, match="compressed in an unusual way"):
        list_archive(tmp_path / "odd.zip")
    with zipfile.ZipFile(tmp_path / "odd.zip", "w") as file:
        file.writestr("war.csv", LISTING)
    content = bytearray((tmp_path / "odd.zip").read_bytes())
    content[content.index(b"PK\x01\x02") + 8] |= 1  # the flag of an encrypted entry, in the directory
    (tmp_path / "odd.zip").write_bytes(content)
    with pytest.raises(SourceError, match="is encrypted"):
        list_archive(tmp_path / "odd.zip")


@given(position=st.integers(0, 250), byte=st.integers(0, 255))
def test_one_wrong_byte_gives_a_source_error_or_the_right_files(
    tmp_path_factory: pytest.TempPathFactory, position: int, byte: int
) -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr(zipfile.ZipInfo("war.csv"), LISTING, zipfile.ZIP_DEFLATED)
    content = bytearray(buffer.getvalue())
    content[position % len(content)] = byte
    folder = tmp_path_factory.mktemp("wrong")
    (folder / "wrong.zip").write_bytes(content)
    with contextlib.suppress(SourceError):
        unpack_archive(folder / "wrong.zip", folder)
        assert [path.read_text() for path in folder.glob("*.csv")] == [LISTING]
