from pathlib import Path

import pytest

from tasks.acquire.download import Expected, Fetched
from tasks.acquire.sources import Entry, Lock, find_entry, obtain, read_manifest, summarise
from tasks.core.errors import ConfigError, DownloadError, SourceError
from tasks.core.files import hash_file

ENTRY = Entry(name="set", host="kaggle", address="ann/set", version=1, file="set.zip", size=None, sha256=None)


@pytest.fixture
def lock(tmp_path: Path) -> Lock:
    return Lock(tmp_path / "manifest.lock.json")


def put(path: Path, content: bytes = b"abc") -> Fetched:
    path.write_bytes(content)
    return Fetched("set", path, len(content), hash_file(path), "fetched")


def test_the_manifest_names_every_file_of_the_earlier_system() -> None:
    entries = read_manifest()
    assert list(entries) == ["listings", "crawl_data", "clean_data", "conllu_data", "genres"]
    assert [name for name, entry in entries.items() if entry.address is None] == ["genres"]
    assert entries["listings"].version is not None


def test_an_unknown_name_is_refused_with_those_that_are_known() -> None:
    with pytest.raises(ConfigError, match=r"'dirt'.*crawl_data, clean_data, conllu_data, genres$"):
        find_entry("dirt", "drive")
    with pytest.raises(ConfigError, match="no file 'listings' to download from drive"):
        find_entry("listings", "drive")


def test_what_is_learnt_is_expected_of_this_address_and_version_only(lock: Lock, tmp_path: Path) -> None:
    assert lock.expected(ENTRY).sha256 is None
    fetched = put(tmp_path / "set.zip")
    lock.learn(ENTRY, fetched)
    known = lock.expected(ENTRY)
    assert (known.size, known.sha256) == (3, fetched.sha256)
    assert "remove the entry set from" in known.remedy
    for other in ({"version": 2}, {"address": "bob/set"}):
        assert lock.expected(ENTRY.model_copy(update=other)).sha256 is None


def test_the_manifest_comes_before_what_was_learnt(lock: Lock, tmp_path: Path) -> None:
    lock.learn(ENTRY, put(tmp_path / "set.zip"))
    pinned = ENTRY.model_copy(update={"sha256": "0" * 64, "size": 9})
    assert (lock.expected(pinned).size, lock.expected(pinned).sha256) == (9, "0" * 64)
    assert "manifest.yaml" in lock.expected(pinned).remedy


def test_the_record_does_not_change_when_nothing_is_new(lock: Lock, tmp_path: Path) -> None:
    fetched = put(tmp_path / "set.zip")
    lock.learn(ENTRY, fetched)
    before = lock.path.stat()
    lock.learn(ENTRY, fetched)
    assert lock.path.stat().st_ino == before.st_ino


@pytest.mark.parametrize("content", ["", "[]", "{", '{"set": 1}'])
def test_a_damaged_record_is_no_licence_to_trust_anything(lock: Lock, content: str) -> None:
    lock.path.write_text(content)
    with pytest.raises(SourceError, match=r"manifest\.lock\.json cannot be read .*Remove it"):
        lock.expected(ENTRY)


def test_a_file_is_fetched_once_and_found_then(lock: Lock, tmp_path: Path) -> None:
    target = tmp_path / "set.zip"
    told: list[Expected] = []

    def fetch(expected: Expected) -> Fetched:
        told.append(expected)
        return put(target)

    files = [obtain(ENTRY, target, lock, fetch) for _ in range(2)]
    assert len(told) == 1
    assert summarise(files) == {"fetched": 1, "resumed": 0, "skipped": 1, "bytes": 6}


def test_a_page_saved_by_mistake_is_not_taken(lock: Lock, tmp_path: Path) -> None:
    target = tmp_path / "set.zip"
    target.write_text("<!doctype html><title>Sign in</title>")
    with pytest.raises(DownloadError, match=r"set\.zip is a web page, not set\.zip\. Remove it\."):
        obtain(ENTRY, target, lock, lambda _: put(target))


def test_a_file_of_the_user_that_fails_the_check_is_left_where_it_is(lock: Lock, tmp_path: Path) -> None:
    def check(path: Path) -> None:
        raise SourceError(path.name)

    target = tmp_path / "set.zip"
    target.write_text("mine")
    with pytest.raises(SourceError):
        obtain(ENTRY, target, lock, lambda _: put(target), check)
    assert target.read_text() == "mine"
    assert not lock.path.exists()
