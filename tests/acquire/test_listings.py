import json
import logging
from pathlib import Path
from typing import Any

import pytest

from tasks import stage
from tasks.acquire.config import SampleConfig
from tasks.acquire.listings import acquire_listings
from tasks.core.errors import SourceError
from tasks.core.settings import DataPaths
from tasks.stage import StageResult

LISTING = "movie_id,movie_name,genre,description\ntt1,Salt,War,Two sailors wait.\n"
OTHER = "\ufeffdescription,genre,movie_name,movie_id,extra\nA harbour at night.,War,Fog,tt2,1\n"


def acquire(paths: DataPaths, source: object = "sample", n_movies: int = 20) -> StageResult:
    return acquire_listings(paths, str(source), SampleConfig(n_movies=n_movies), seed=1)


def raw(paths: DataPaths) -> dict[str, str]:
    return {path.name: path.read_text(encoding="utf-8") for path in paths.raw.glob("*.csv")}


def test_the_sample_fills_the_raw_folder_and_is_skipped_the_second_time(paths: DataPaths) -> None:
    first = acquire(paths)
    second = acquire(paths)
    assert (first.skipped, second.skipped) == (False, True)
    assert first.counts == second.counts
    assert (first.counts["source"], first.counts["files"], first.counts["movies"]) == ("sample", 16, 20)
    assert first.counts["bytes"] == sum(path.stat().st_size for path in paths.raw.glob("*.csv"))
    assert len(raw(paths)) == 16


def test_another_size_or_seed_makes_another_sample(paths: DataPaths) -> None:
    acquire(paths)
    before = raw(paths)
    assert not acquire(paths, n_movies=21).skipped
    larger = raw(paths)
    assert not acquire_listings(paths, "sample", SampleConfig(n_movies=21), seed=2).skipped
    assert before != larger != raw(paths)


def test_a_folder_is_copied_byte_by_byte(paths: DataPaths, make_folder: Any) -> None:
    folder = make_folder(war=LISTING, mystery=OTHER)
    (folder / "notes.txt").write_text("not a listing")
    (folder / "HORROR.CSV").write_text(LISTING)
    result = acquire(paths, folder)
    assert raw(paths) == {"war.csv": LISTING, "mystery.csv": OTHER, "HORROR.csv": LISTING}
    assert result.counts == {
        "source": "folder",
        "label": "mine",
        "files": 3,
        "bytes": len((LISTING + OTHER + LISTING).encode()),
    }
    assert acquire(paths, folder).skipped
    (folder / "war.csv").write_text(LISTING * 2)
    assert not acquire(paths, folder).skipped


def test_a_zip_is_unpacked(paths: DataPaths, make_zip: Any) -> None:
    path = make_zip({"set/war.csv": LISTING, "mystery.csv": OTHER})
    result = acquire(paths, path)
    assert raw(paths) == {"war.csv": LISTING, "mystery.csv": OTHER}
    assert (result.counts["source"], result.counts["label"], result.counts["files"]) == ("zip", "archive.zip", 2)
    assert acquire(paths, path).skipped


def test_no_path_of_this_machine_is_recorded(paths: DataPaths, make_folder: Any) -> None:
    acquire(paths, make_folder(war=LISTING))
    recorded = "".join(path.read_text() for path in paths.raw.glob("*.json"))
    assert '"war.csv"' in recorded
    assert str(paths.root.parent) not in recorded


def test_sources_never_mix(paths: DataPaths, make_folder: Any, make_zip: Any) -> None:
    acquire(paths)
    acquire(paths, make_folder(war=LISTING, mine=OTHER))
    assert raw(paths) == {"war.csv": LISTING, "mine.csv": OTHER}
    acquire(paths, make_zip({"zipped.csv": OTHER}))
    assert raw(paths) == {"zipped.csv": OTHER}
    acquire(paths)
    assert len(raw(paths)) == 16


def test_files_of_the_user_are_neither_overwritten_nor_removed(paths: DataPaths) -> None:
    paths.raw.mkdir(parents=True)
    (paths.raw / "action.csv").write_text(LISTING)
    with pytest.raises(SourceError, match=r"did not write .*\(action\.csv\).*--source .*GENREFLOW_DATA_DIR"):
        acquire(paths)
    assert raw(paths) == {"action.csv": LISTING}


def test_a_file_of_ours_that_was_changed_is_the_users_from_then_on(paths: DataPaths, make_folder: Any) -> None:
    acquire(paths)
    (paths.raw / "war.csv").write_text(LISTING)
    for source in ("sample", make_folder(war=OTHER)):
        with pytest.raises(SourceError, match=r"were changed since \(war\.csv\)"):
            acquire(paths, source)
    assert raw(paths)["war.csv"] == LISTING


def test_a_file_of_ours_that_is_gone_comes_back(paths: DataPaths) -> None:
    acquire(paths)
    before = raw(paths)
    (paths.raw / "war.csv").unlink()
    assert not acquire(paths).skipped
    assert raw(paths) == before


def test_the_raw_folder_itself_is_used_in_place(paths: DataPaths) -> None:
    paths.raw.mkdir(parents=True)
    (paths.raw / "action.csv").write_text(LISTING)
    result = acquire(paths, paths.raw)
    assert (result.counts["source"], result.counts["files"], result.skipped) == ("in place", 1, False)
    assert acquire(paths, paths.raw / ".." / "raw").skipped
    (paths.raw / "war.csv").write_text(OTHER)
    assert acquire(paths, paths.raw).counts["files"] == 2
    assert raw(paths) == {"action.csv": LISTING, "war.csv": OTHER}
    with pytest.raises(SourceError, match=r"action\.csv, war\.csv"):
        acquire(paths)


def test_what_is_used_in_place_is_checked_and_must_be_of_one_source(paths: DataPaths) -> None:
    acquire(paths)
    assert acquire(paths, paths.raw).counts["source"] == "in place"
    (paths.raw / "mine.csv").write_text("a,b\n")
    with pytest.raises(SourceError, match=r"mine\.csv, line 1: no column movie_id"):
        acquire(paths, paths.raw)
    (paths.raw / "mine.csv").write_text(LISTING)
    with pytest.raises(
        SourceError, match=r"of an earlier source \(action\.csv,.* and 11 more\) next to yours \(mine\.csv\)"
    ):
        acquire(paths, paths.raw)
    (paths.raw / "mine.csv").unlink()
    assert acquire(paths).counts["source"] == "sample"


@pytest.mark.parametrize("killed_in", ["_publish", "write_atomically"])
def test_a_run_killed_while_the_source_changes_vouches_for_nothing_and_recovers(
    paths: DataPaths, make_folder: Any, monkeypatch: pytest.MonkeyPatch, killed_in: str
) -> None:
    def die(*_: object) -> None:
        raise KeyboardInterrupt

    acquire(paths)
    folder = make_folder(war=LISTING, mine=OTHER)
    with monkeypatch.context() as patch:
        patch.setattr(stage, killed_in, die)
        with pytest.raises(KeyboardInterrupt):
            acquire(paths, folder)
    assert not (paths.raw / "acquire.stage.json").exists()
    acquire(paths)
    assert len(raw(paths)) == 16
    acquire(paths, folder)
    assert raw(paths) == {"war.csv": LISTING, "mine.csv": OTHER}


def test_a_source_that_fails_leaves_the_earlier_one(paths: DataPaths, make_zip: Any) -> None:
    acquire(paths)
    with pytest.raises(SourceError, match="no column movie_id"):
        acquire(paths, make_zip({"war.csv": "a,b\n"}))
    assert acquire(paths).skipped


def test_a_damaged_record_protects_the_files(paths: DataPaths, caplog: pytest.LogCaptureFixture) -> None:
    acquire(paths)
    (paths.raw / "acquire.owned.json").write_text("{")
    with caplog.at_level(logging.WARNING), pytest.raises(SourceError, match="and 11 more"):
        acquire(paths)
    assert "acquire.owned.json cannot be read" in caplog.text


def test_the_record_names_what_is_there(paths: DataPaths, make_folder: Any) -> None:
    acquire(paths)
    for text in (LISTING, OTHER, LISTING):
        acquire(paths, make_folder(war=text))
    record = json.loads((paths.raw / "acquire.owned.json").read_text())
    assert {name: len(hashes) for name, hashes in record.items()} == {"war.csv": 2}


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("nowhere", r"no source 'nowhere'.*`sample`, `kaggle`, a folder"),
        ("", "no source ''"),
        ("empty", r"no \*\.csv in the folder .*empty\. Expected one CSV per genre"),
        ("only_zip", r"no \*\.csv in the folder .*Pass what it holds: .*set\.zip"),
        (".", r"no \*\.csv in the folder .*Pass what it holds: bad\."),
        ("bad", r"bad/war\.csv, line 1: no column genre or description"),
        ("bad/war.csv", r"war\.csv is a single file\. Pass its folder"),
        ("only_zip/set.zip", r"set\.zip is not a zip"),
        ("notes.txt", r"notes\.txt is not a folder, zip or table\. Expected `sample`"),
        ("twice", r"would be taken as war\.csv"),
    ],
)
def test_a_source_that_cannot_be_used_is_refused(
    paths: DataPaths, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, source: str, said: str
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("empty", "only_zip", "bad", "twice"):
        Path(name).mkdir()
    Path("only_zip/set.zip").write_text("nothing")
    Path("notes.txt").write_text("nothing")
    Path("bad/war.csv").write_text("movie_id,movie_name\n")
    Path("twice/war.csv").write_text(LISTING)
    Path("twice/war.CSV").write_text(LISTING)
    with pytest.raises(SourceError, match=said):
        acquire(paths, source)
    assert not paths.raw.exists()


def test_the_real_listings_are_accepted(paths: DataPaths, real_listings: Path) -> None:
    result = acquire(paths, real_listings)
    assert result.counts["files"] == len(list(real_listings.glob("*.csv")))
    for path in real_listings.glob("*.csv"):
        assert (paths.raw / path.name).read_bytes() == path.read_bytes()


def test_a_folder_that_cannot_be_read_is_reported(
    paths: DataPaths, make_folder: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(folder: Path) -> None:
        raise PermissionError(13, "Permission denied", str(folder))

    folder = make_folder()
    monkeypatch.setattr(Path, "iterdir", refuse)
    with pytest.raises(SourceError, match=r"mine cannot be read: Permission denied\. Check its permissions"):
        acquire(paths, folder)
