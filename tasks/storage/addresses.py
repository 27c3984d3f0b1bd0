"""Addresses of files and places: a path, or `s3://bucket/...`. Owns how they are read; opens nothing."""

from pathlib import Path
from typing import Final

from tasks.errors import ConfigError
from tasks.storage.object_storage import Bucket
from tasks.storage.places import Folder, Place

S3: Final = "s3://"


def in_storage(address: str) -> bool:
    """Return whether an address is of object storage."""
    return address.startswith(S3)


def is_place(address: str) -> bool:
    """Return whether an address is of a place and not of a file: it ends in "/", or is a folder or a whole bucket."""
    if address.endswith("/"):
        return True
    return "/" not in address.removeprefix(S3) if in_storage(address) else Path(address).expanduser().is_dir()


def open_place(address: str) -> Place:
    """Return the place of an address, which need not exist.

    Raises:
        ConfigError: it is of object storage and names no bucket.
    """
    if not in_storage(address):
        return Folder(Path(address).expanduser().resolve())
    bucket, _, prefix = address.removeprefix(S3).partition("/")
    if not bucket:
        raise ConfigError(f"{address} names no bucket; expected is s3://bucket/name or s3://bucket/folder/")
    return Bucket(bucket, prefix.rstrip("/") + "/" if prefix else "")


def split_address(address: str) -> tuple[Place, str]:
    """Return the place that the file of an address is in, and the file's name there.

    Raises:
        ConfigError: it names no file, or is of object storage and names no bucket.
    """
    if is_place(address):
        raise ConfigError(f"{address} is a folder; give the name of a file in it")
    if not in_storage(address):
        path = Path(address).expanduser()
        return Folder(path.parent.resolve()), path.name
    folder, _, name = address.rpartition("/")
    return open_place(folder), name
