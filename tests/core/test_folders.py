"""Folders on a filesystem while others change them."""

import pytest

from tasks.core.errors import DataError
from tasks.core.storage import LOCK, Folder


def test_a_file_that_is_taken_away_meanwhile_is_left_out_alone(tmp_path, monkeypatch):
    for name in ("a.csv", "b.csv"):
        (tmp_path / name).write_bytes(b"12345")
    find = Folder.find

    def find_too_late(folder, name):
        (tmp_path / "a.csv").unlink(missing_ok=True)
        return find(folder, name)

    monkeypatch.setattr(Folder, "find", find_too_late)
    assert list(Folder(tmp_path).files()) == ["b.csv"]


def test_a_folder_that_is_not_there_is_empty(tmp_path):
    assert Folder(tmp_path / "nowhere").files() == {}


def test_one_run_at_a_time_writes_to_a_folder(tmp_path):
    with Folder(tmp_path).locked():
        with pytest.raises(DataError, match="another run writes to"), Folder(tmp_path).locked():
            pass
        assert Folder(tmp_path).files() == {}
    with Folder(tmp_path).locked():
        pass


def test_a_folder_that_cannot_be_written_is_reported(tmp_path):
    (tmp_path / "file").write_bytes(b"")
    (tmp_path / "folder" / LOCK).mkdir(parents=True)
    for name in ("file", "folder"):
        with pytest.raises(DataError, match=rf"{name} cannot be written: .*; check its permissions, or give another"):
            Folder(tmp_path / name).locked().__enter__()
