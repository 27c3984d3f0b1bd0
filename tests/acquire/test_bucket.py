"""Listings in object storage, against a server on loopback."""

import io
import zipfile
from pathlib import Path
from typing import Any

import pytest

from tasks.acquire.config import DownloadConfig, SampleConfig
from tasks.acquire.download import OBJECTS_RECORD
from tasks.acquire.listings import acquire_listings
from tasks.core.errors import DataError, SourceError, StorageError
from tasks.core.settings import DataPaths
from tasks.stage import StageResult

LISTING = b"movie_id,movie_name,genre,description\ntt1,Salt,War,Two sailors wait.\n"
OTHER = b"movie_id,movie_name,genre,description\ntt2,Fog,War,A harbour at night.\n"
PREFIX = "s3://movies/raw/"


def acquire(paths: DataPaths, source: str = PREFIX, **download: Any) -> StageResult:
    return acquire_listings(paths, source, SampleConfig(), 1, DownloadConfig(**download))


def raw(paths: DataPaths) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in paths.raw.glob("*.csv")}


def came(result: StageResult) -> tuple[int, int]:
    return result.counts["download"]["fetched"], result.counts["download"]["skipped"]


def copies(paths: DataPaths) -> list[str]:
    return sorted(path.name for folder in paths.download.glob("s3-*") for path in folder.iterdir())


@pytest.fixture
def listings(bucket: Any) -> Any:
    """Two listings under a prefix, and what is none."""
    for key, body in {"war.csv": LISTING, "mystery.csv": OTHER, "notes.txt": b"-", "inner/war.csv": b"-"}.items():
        bucket.put_object(Key=f"raw/{key}", Body=body)
    return bucket


@pytest.mark.parametrize("source", [PREFIX, "s3://movies/raw"])
def test_the_listings_under_a_prefix_come_and_stay(listings: Any, paths: DataPaths, source: str) -> None:
    first = acquire(paths, source)
    assert raw(paths) == {"war.csv": LISTING, "mystery.csv": OTHER}
    assert (first.counts["source"], first.counts["label"], came(first)) == ("s3", source, (2, 0))
    second = acquire(paths, source)
    assert second.skipped
    assert came(second) == (0, 2)


def test_only_what_changed_comes_again_and_what_is_gone_goes(listings: Any, paths: DataPaths) -> None:
    acquire(paths)
    changed = LISTING.replace(b"Salt", b"Sand")
    listings.put_object(Key="raw/war.csv", Body=changed)
    assert came(acquire(paths)) == (1, 1)
    listings.Object("raw/mystery.csv").delete()
    assert came(acquire(paths)) == (0, 1)
    assert raw(paths) == {"war.csv": changed}
    assert copies(paths) == [OBJECTS_RECORD, "war.csv"]


@pytest.mark.parametrize("damage", [lambda path: path.unlink(), lambda path: path.write_bytes(b"less")])
def test_a_copy_that_is_not_whole_comes_again(listings: Any, paths: DataPaths, damage: Any) -> None:
    acquire(paths)
    (copy,) = paths.download.glob("s3-*/war.csv")
    damage(copy)
    assert came(acquire(paths)) == (1, 1)
    assert raw(paths)["war.csv"] == LISTING


def test_a_damaged_record_fetches_all_again(listings: Any, paths: DataPaths) -> None:
    acquire(paths)
    (record,) = paths.download.glob(f"s3-*/{OBJECTS_RECORD}")
    record.write_text("{", encoding="utf-8")
    assert came(acquire(paths)) == (2, 0)


def test_a_zip_comes_and_is_unpacked(bucket: Any, paths: DataPaths) -> None:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("war.csv", LISTING)
    bucket.put_object(Key="sets/all.zip", Body=packed.getvalue())
    assert came(acquire(paths, "s3://movies/sets/all.zip")) == (1, 0)
    assert raw(paths) == {"war.csv": LISTING}
    assert acquire(paths, "s3://movies/sets/all.zip").skipped


@pytest.mark.parametrize(
    ("source", "kind", "message"),
    [
        ("s3://movies/empty/", SourceError, r"no \*\.csv directly under s3://movies/empty/"),
        ("s3://movies/none.zip", DataError, r"s3://movies/none\.zip does not exist"),
        ("s3://none/raw/", StorageError, "s3://none/raw/: there is no such bucket"),
    ],
)
def test_a_missing_object_is_reported(listings: Any, paths: DataPaths, source: str, kind: Any, message: str) -> None:
    with pytest.raises(kind, match=message):
        acquire(paths, source)
    assert raw(paths) == {}


def test_an_object_that_is_too_large_is_not_fetched(listings: Any, paths: DataPaths) -> None:
    with pytest.raises(SourceError, match=r"s3://movies/raw/.*\.csv has \d+ bytes; the limit is 10"):
        acquire(paths, max_bytes=10)
    assert copies(paths) == []


def test_files_of_the_user_are_seen_before_the_download(listings: Any, paths: DataPaths) -> None:
    paths.raw.mkdir(parents=True)
    Path(paths.raw / "mine.csv").write_bytes(LISTING)
    with pytest.raises(SourceError, match="holds CSVs that genreflow did not write"):
        acquire(paths)
    assert copies(paths) == []
