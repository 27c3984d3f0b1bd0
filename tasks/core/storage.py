"""Addresses of files and places: a path, or `s3://bucket/...`. Owns how they are read; opens nothing."""

import contextlib
import tempfile
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final, Protocol

from filelock import FileLock, Timeout

from tasks.core.errors import ConfigError, DataError, GenreflowError, StorageAwayError, StorageError, require
from tasks.core.logs import Progress
from tasks.stage import remove_unfinished, unfinished_file

# Folders, wherever they are, under one face. Owns the face, and folders on a filesystem.
#
# The working folder of the pipeline is no such place: it needs renames, locks and memory maps, which only a filesystem
# has.


LOCK = ".predicting.lock"


@dataclass(frozen=True)
class Found:
    """A file in a place: its size in bytes, and a version that is another one when its content changed."""

    size: int
    version: str


class Place(Protocol):
    """A folder of files; folders inside of it do not count, nor do names that begin with a dot."""

    @property
    def address(self) -> str:
        """What a user calls it."""
        ...

    def files(self) -> dict[str, Found]:
        """Return what is in it by name, in the order of the names."""
        ...

    def find(self, name: str) -> Found:
        """Return what is known of a file that is in it."""
        ...

    def reading(self, name: str) -> AbstractContextManager[Path]:
        """Give a file of it as one on a filesystem, for as long as the context lasts."""
        ...

    def writing(self, name: str) -> AbstractContextManager[Path]:
        """Give where to write a file; it is in the place, whole, when the context ends without an error."""
        ...

    def alone(self) -> AbstractContextManager[None]:
        """Keep other runs from writing to it, where that can be done."""
        ...


@dataclass(frozen=True)
class Folder:
    """A folder on a filesystem. What is written there is written atomically by whoever writes."""

    path: Path

    @property
    def address(self) -> str:
        """See `Place.address`."""
        return str(self.path)

    def files(self) -> dict[str, Found]:
        """See `Place.files`.

        Raises:
            DataError: the folder cannot be read.
        """
        found: dict[str, Found] = {}
        try:
            paths = sorted(path for path in self.path.iterdir() if path.is_file() and not path.name.startswith("."))
            for path in paths:
                with contextlib.suppress(FileNotFoundError):  # whoever puts files here took it away just now
                    found[path.name] = self.find(path.name)
        except FileNotFoundError:
            return {}
        except OSError as error:
            raise DataError(f"{error.filename} cannot be read: {error.strerror}; mend its permissions") from error
        return found

    def find(self, name: str) -> Found:
        """See `Place.find`."""
        status = (self.path / name).stat()
        return Found(status.st_size, f"{status.st_size} bytes of {status.st_mtime_ns}")

    @contextlib.contextmanager
    def reading(self, name: str) -> Iterator[Path]:
        """See `Place.reading`."""
        yield self.path / name

    @contextlib.contextmanager
    def writing(self, name: str) -> Iterator[Path]:
        """See `Place.writing`."""
        yield self.path / name

    @contextlib.contextmanager
    def alone(self) -> Iterator[None]:
        """See `Place.alone`; what a killed run left unfinished is removed.

        Raises:
            DataError: another run writes to the folder, or nobody can.
        """
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            lock = FileLock(self.path / LOCK, timeout=0).acquire()
        except Timeout as error:
            raise DataError(f"another run writes to {self.path}; wait for it, or give another folder") from error
        except OSError as error:
            raise DataError(
                f"{self.path} cannot be written: {error.strerror}; mend its permissions, or give another folder"
            ) from error
        with lock:
            remove_unfinished(self.path)
            yield


# Buckets of S3-compatible object storage, as places of files. Owns the client and what its refusals mean.
#
# Where the storage is and who asks comes from boto3's usual settings (`AWS_ENDPOINT_URL`, `AWS_ACCESS_KEY_ID`,
# profiles).


CHUNK_BYTES: Final = 1 << 20
LISTED_AT_ONCE: Final = 1000  # as many as the storage gives
CONNECT_S: Final = 10
READ_S: Final = 60
ATTEMPTS: Final = 4
MISSING: Final = {"404", "NoSuchKey", "NotFound"}


@dataclass(frozen=True)
class Bucket:
    """What lies directly under a prefix of a bucket, `s3://bucket/prefix/`.

    An object appears whole or not at all. Nothing keeps two runs from writing at the same time: each object is then of
    the one that wrote it last.
    """

    bucket: str
    prefix: str = ""  # empty, or ending in "/"

    @property
    def address(self) -> str:
        """See `Place.address`."""
        return f"s3://{self.bucket}/{self.prefix}"

    def files(self) -> dict[str, Found]:
        """See `Place.files`.

        Raises:
            StorageError: the storage refuses, does not answer, or has no such bucket.
            ConfigError: boto3 is not installed, or nothing says who asks.
        """
        with _mistakes_told(self.address):
            pages = _client().get_paginator("list_objects_v2")
            asked = {"Bucket": self.bucket, "Prefix": self.prefix, "Delimiter": "/"}
            answers = pages.paginate(**asked, PaginationConfig={"PageSize": LISTED_AT_ONCE})
            listed = [found for answer in answers for found in answer.get("Contents", ())]
        names = {found["Key"].removeprefix(self.prefix): _found(found["Size"], found["ETag"]) for found in listed}
        return {name: found for name, found in sorted(names.items()) if name and not name.startswith(".")}

    def find(self, name: str) -> Found:
        """See `Place.find`.

        Raises:
            DataError: it is not there.
            StorageError, ConfigError: as `files`.
        """
        with _mistakes_told(self.address + name):
            head = _client().head_object(Bucket=self.bucket, Key=self.prefix + name)
        return _found(head["ContentLength"], head["ETag"])

    def fetch(self, name: str, target: Path) -> Found:
        """Write an object to a file, which appears whole or not at all.

        Raises:
            DataError: the object is not there, or the file cannot be written.
            StorageError, ConfigError: as `files`.
        """
        with _mistakes_told(self.address + name), unfinished_file(target) as path:
            answer = _client().get_object(Bucket=self.bucket, Key=self.prefix + name)
            found = _found(answer["ContentLength"], answer["ETag"])
            progress = Progress(f"fetch {name} (bytes)", found.size)
            with path.open("wb") as file:
                for chunk in answer["Body"].iter_chunks(CHUNK_BYTES):  # it raises if the connection ends too early
                    file.write(chunk)
                    progress.advance(len(chunk))
            progress.finish()
        return found

    @contextlib.contextmanager
    def reading(self, name: str) -> Iterator[Path]:
        """See `Place.reading`: a copy among the temporary files. Errors as those of `fetch`."""
        with self._copies() as folder:
            self.fetch(name, folder / name)
            yield folder / name

    @contextlib.contextmanager
    def writing(self, name: str) -> Iterator[Path]:
        """See `Place.writing`: among the temporary files, and sent when it is written. Errors as those of `files`."""
        with self._copies() as folder:
            yield folder / name
            with _mistakes_told(self.address + name):
                _client().upload_file(str(folder / name), self.bucket, self.prefix + name)

    @contextlib.contextmanager
    def _copies(self) -> Iterator[Path]:
        """Give a temporary folder for copies of objects; errors that name a copy name its object instead."""
        with tempfile.TemporaryDirectory(prefix="genreflow-") as folder:
            try:
                yield Path(folder)
            except DataError as error:
                raise DataError(str(error).replace(f"{folder}/", self.address)) from error

    def alone(self) -> contextlib.AbstractContextManager[None]:
        """See `Place.alone`; buckets have no locks."""
        return contextlib.nullcontext()


def _found(size: int, etag: str) -> Found:
    return Found(size, etag.strip('"'))


@cache
def _client() -> Any:
    import boto3  # noqa: PLC0415 - optional, and it takes a second
    from botocore.config import Config  # noqa: PLC0415

    retries = {"max_attempts": ATTEMPTS, "mode": "standard"}
    return boto3.client("s3", config=Config(connect_timeout=CONNECT_S, read_timeout=READ_S, retries=retries))


@contextlib.contextmanager
def _mistakes_told(address: str) -> Iterator[None]:
    """Turn what boto3 raises into errors that say what to do. Of its own texts, which may quote keys, none is used."""
    require(["s3"], address)
    from boto3.exceptions import Boto3Error  # noqa: PLC0415 - optional, and it takes a second
    from botocore import exceptions as refused  # noqa: PLC0415

    try:
        yield
    except (refused.NoCredentialsError, refused.PartialCredentialsError, refused.ProfileNotFound) as error:
        raise ConfigError(
            f"{address}: nothing says who asks ({type(error).__name__}); set AWS_ACCESS_KEY_ID and "
            "AWS_SECRET_ACCESS_KEY, or AWS_PROFILE"
        ) from None
    except (refused.ClientError, Boto3Error) as error:
        raise _refusal(address, error if isinstance(error, refused.ClientError) else error.__context__) from None
    except (refused.BotoCoreError, ValueError) as error:  # many are OSErrors, too; a ValueError: no address
        raise StorageAwayError(
            f"{address}: the storage cannot be reached ({type(error).__name__}); check AWS_ENDPOINT_URL, the name of "
            "the bucket and the network, and try again"
        ) from None
    except OSError as error:
        raise DataError(
            f"{address}: {error.filename or 'a copy of it'} cannot be written ({error.strerror}); make room, or set "
            "TMPDIR to another folder"
        ) from error


def _refusal(address: str, error: BaseException | None) -> GenreflowError:
    """Return what to say of an answer that is a refusal."""
    answer = getattr(error, "response", {})
    code = str(answer.get("Error", {}).get("Code", type(error).__name__))
    status = answer.get("ResponseMetadata", {}).get("HTTPStatusCode", "no status")
    if code == "NoSuchBucket":
        return StorageError(f"{address}: there is no such bucket; check its name, or create it")
    if code in MISSING:
        return DataError(f"{address} does not exist; check the name, and end that of a folder in /")
    if status in {401, 403}:
        return StorageError(
            f"{address}: the storage refuses ({status} {code}); check the credentials and what they are allowed to do"
        )
    return StorageAwayError(f"{address}: the storage answers {status} {code}; try again later")


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
