"""Listings in object storage, brought to the download folder. Owns which objects come, and which are here already."""

import hashlib
import json
import logging
from pathlib import Path, PurePosixPath
from typing import Any, Final

from tasks.acquire.config import DownloadConfig
from tasks.acquire.download import Fetched
from tasks.errors import SourceError
from tasks.hashes import hash_file
from tasks.paths import DataPaths
from tasks.stage import write_atomically
from tasks.storage.addresses import open_place, split_address
from tasks.storage.object_storage import Bucket
from tasks.storage.places import Found

logger = logging.getLogger(__name__)

RECORD: Final = "objects.json"  # the version of each object that is here


def fetch_objects(paths: DataPaths, address: str, config: DownloadConfig) -> tuple[Path, list[Fetched]]:
    """Return the local copy of a zip `s3://bucket/name.zip`, or of the CSVs under a prefix `s3://bucket/prefix/`.

    An object comes whole, and only if its size or ETag is not that of the copy. Copies of objects that are gone go.

    Raises:
        SourceError: there is no CSV under the prefix, or an object is larger than is accepted.
        DataError: there is no such object, or copies cannot be written.
        StorageError, ConfigError: as `Bucket.files`.
    """
    folder = paths.download / f"s3-{hashlib.sha256(address.encode()).hexdigest()[:12]}"
    if PurePosixPath(address).suffix.lower() == ".zip":
        place, name = split_address(address)
        wanted = {name: place.find(name)}
    else:
        place, name = open_place(address), ""
        wanted = {name: found for name, found in place.files().items() if name.lower().endswith(".csv")}
        if not wanted:
            raise SourceError(f"there is no *.csv directly under {place.address}: check the bucket and the prefix")
    assert isinstance(place, Bucket)  # the address is one of object storage
    for own, found in wanted.items():
        if found.size > config.max_bytes:
            raise SourceError(f"{place.address}{own} has {found.size:,} bytes; {config.max_bytes:,} are accepted.")
    files = _bring(place, wanted, folder)
    return folder / name, files


def _bring(bucket: Bucket, wanted: dict[str, Found], folder: Path) -> list[Fetched]:
    """Make a folder the copy of some objects."""
    record = _read_record(folder)
    for left in record.keys() - wanted.keys():
        (folder / left).unlink(missing_ok=True)
    files = []
    for name, found in wanted.items():
        path = folder / name
        is_here = record.get(name) == found.version and path.is_file() and path.stat().st_size == found.size
        version = found.version if is_here else bucket.fetch(name, path).version
        record = {**{key: value for key, value in record.items() if key in wanted}, name: version}
        write_atomically(folder / RECORD, json.dumps(record, indent=1, sort_keys=True) + "\n")
        files.append(Fetched(name, path, found.size, hash_file(path), "skipped" if is_here else "fetched"))
    return files


def _read_record(folder: Path) -> dict[str, Any]:
    path = folder / RECORD
    try:
        return dict(json.loads(path.read_text(encoding="utf-8")))
    except FileNotFoundError:
        return {}
    except (ValueError, TypeError) as error:
        logger.warning("%s cannot be read (%s): all objects are fetched again", path, error)
        return {}
