"""Directories of files on a filesystem or in S3-compatible object storage, under one interface.

The pipeline's data folder is always on a filesystem: it needs renames, locks and memory maps.
"""

import contextlib
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final, NamedTuple, TypeAlias

from filelock import FileLock, Timeout

from tasks.core.errors import ConfigError, DataError, GenreflowError, StorageAwayError, StorageError, require
from tasks.core.logs import Progress
from tasks.stage import remove_unfinished, unfinished_file

S3: Final = "s3://"
LOCK: Final = ".predicting.lock"
CHUNK_BYTES: Final = 1 << 20
ATTEMPTS: Final = 4


class FileInfo(NamedTuple):
    """A file's size in bytes, and a version that changes with its content."""

    size: int
    version: str


@dataclass(frozen=True)
class Folder:
    """A folder on a filesystem; subfolders and names that begin with a dot are ignored."""

    path: Path

    @property
    def address(self) -> str:
        """Its name in messages."""
        return str(self.path)

    def files(self) -> dict[str, FileInfo]:
        """Return its files by name, sorted; none if the folder does not exist, a `DataError` if it cannot be read."""
        found: dict[str, FileInfo] = {}
        try:
            for path in sorted(filter(Path.is_file, self.path.iterdir())):
                with contextlib.suppress(FileNotFoundError):  # removed since it was listed
                    if not path.name.startswith("."):
                        found[path.name] = self.find(path.name)
        except FileNotFoundError:
            return {}
        except OSError as error:
            raise DataError(f"{error.filename} cannot be read: {error.strerror}; check its permissions") from error
        return found

    def find(self, name: str) -> FileInfo:
        """Return the size and version of a file."""
        status = (self.path / name).stat()
        return FileInfo(status.st_size, f"{status.st_size} bytes of {status.st_mtime_ns}")

    def reading(self, name: str) -> contextlib.AbstractContextManager[Path]:
        """Yield the path of a file to read, or to write; the caller writes atomically."""
        return contextlib.nullcontext(self.path / name)

    writing = reading

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Keep other runs from writing (they get a `DataError`), and remove the unfinished files of killed runs."""
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            lock = FileLock(self.path / LOCK, timeout=0).acquire()
        except Timeout as error:
            raise DataError(f"another run writes to {self.path}; wait for it, or give another folder") from error
        except OSError as error:
            remedy = "check its permissions, or give another folder"
            raise DataError(f"{self.path} cannot be written: {error.strerror}; {remedy}") from error
        with lock:
            remove_unfinished(self.path)
            yield


@dataclass(frozen=True)
class Bucket:
    """The objects directly under a prefix of a bucket, `s3://bucket/prefix/`.

    boto3 takes endpoint and credentials from its usual settings (`AWS_ENDPOINT_URL`, `AWS_ACCESS_KEY_ID`, profiles). It
    is used directly: to list 100 objects with sizes and ETags takes 1 request, but 201 with cloudpathlib 0.26.

    Every method raises:
        DataError: there is no such object, or a copy of it cannot be written.
        StorageError: the storage refuses access, does not respond (`StorageAwayError`), or does not have the bucket.
        ConfigError: boto3 is not installed, or there are no credentials.
    """

    bucket: str
    prefix: str = ""  # empty, or ending in "/"

    @property
    def address(self) -> str:
        """Its name in messages."""
        return f"{S3}{self.bucket}/{self.prefix}"

    def files(self) -> dict[str, FileInfo]:
        """Return its objects by name, sorted; without hidden ones and those under a longer prefix."""
        with _storage_errors(self.address):
            pages = _client().get_paginator("list_objects_v2")
            listed = pages.paginate(Bucket=self.bucket, Prefix=self.prefix, Delimiter="/")
            objects = [entry for page in listed for entry in page.get("Contents", ())]
        found = {of["Key"].removeprefix(self.prefix): FileInfo(of["Size"], of["ETag"].strip('"')) for of in objects}
        return {name: found[name] for name in sorted(found) if name and not name.startswith(".")}

    def find(self, name: str) -> FileInfo:
        """Return the size and version of an object."""
        with _storage_errors(self.address + name):
            head = _client().head_object(Bucket=self.bucket, Key=self.prefix + name)
        return FileInfo(head["ContentLength"], head["ETag"].strip('"'))

    def fetch(self, name: str, target: Path) -> FileInfo:
        """Copy an object to a file, atomically; return its size and version."""
        with _storage_errors(self.address + name), unfinished_file(target) as path:
            answer = _client().get_object(Bucket=self.bucket, Key=self.prefix + name)
            progress = Progress(f"fetch {name} (bytes)", answer["ContentLength"])
            with path.open("wb") as file:
                for chunk in answer["Body"].iter_chunks(CHUNK_BYTES):  # raises if the connection ends too early
                    file.write(chunk)
                    progress.advance(len(chunk))
            progress.finish()
        return FileInfo(answer["ContentLength"], answer["ETag"].strip('"'))

    @contextlib.contextmanager
    def reading(self, name: str) -> Iterator[Path]:
        """Yield the path of a temporary copy of an object."""
        with self._temporary_folder() as folder:
            self.fetch(name, folder / name)
            yield folder / name

    @contextlib.contextmanager
    def writing(self, name: str) -> Iterator[Path]:
        """Yield a temporary path to write to; the file is uploaded when the context ends without an error."""
        with self._temporary_folder() as folder:
            yield folder / name
            with _storage_errors(self.address + name):
                _client().upload_file(str(folder / name), self.bucket, self.prefix + name)

    def locked(self) -> contextlib.AbstractContextManager[None]:
        """Do nothing: buckets have no locks, so the later of two runs that write an object wins."""
        return contextlib.nullcontext()

    @contextlib.contextmanager
    def _temporary_folder(self) -> Iterator[Path]:
        """Yield a temporary folder; errors that name a file in it name the object instead."""
        with tempfile.TemporaryDirectory(prefix="genreflow-") as folder:
            try:
                yield Path(folder)
            except DataError as error:
                raise DataError(str(error).replace(f"{folder}/", self.address)) from error


Directory: TypeAlias = Folder | Bucket


def in_storage(address: str) -> bool:
    """Return whether an address is in object storage."""
    return address.startswith(S3)


def is_directory(address: str) -> bool:
    """Return whether an address is a directory, not a file: it ends in "/", or is a folder or a whole bucket."""
    if address.endswith("/"):
        return True
    return "/" not in address.removeprefix(S3) if in_storage(address) else Path(address).expanduser().is_dir()


def open_directory(address: str) -> Directory:
    """Return the directory at an address, which does not have to exist; a `ConfigError` if it names no bucket."""
    if not in_storage(address):
        return Folder(Path(address).expanduser().resolve())
    bucket, _, prefix = address.removeprefix(S3).partition("/")
    if not bucket:
        raise ConfigError(f"{address} names no bucket; expected s3://bucket/name or s3://bucket/folder/")
    return Bucket(bucket, prefix.rstrip("/") + "/" if prefix else "")


def split_address(address: str) -> tuple[Directory, str]:
    """Return the directory and the name of a file; a `ConfigError` if the address names no file or no bucket."""
    if is_directory(address):
        raise ConfigError(f"{address} is a folder; give the name of a file in it")
    if not in_storage(address):
        path = Path(address).expanduser()
        return Folder(path.parent.resolve()), path.name
    folder, _, name = address.rpartition("/")
    return open_directory(folder), name


@cache
def _client() -> Any:
    import boto3  # noqa: PLC0415 - optional, and it takes a second
    from botocore.config import Config  # noqa: PLC0415

    retries = {"max_attempts": ATTEMPTS, "mode": "standard"}
    return boto3.client("s3", config=Config(connect_timeout=10, read_timeout=60, retries=retries))


@contextlib.contextmanager
def _storage_errors(address: str) -> Iterator[None]:
    """Turn boto3's errors into one-line errors, without boto3's own messages, which may quote keys."""
    require(["s3"], address)
    from boto3.exceptions import Boto3Error  # noqa: PLC0415 - optional, and it takes a second
    from botocore import exceptions  # noqa: PLC0415

    try:
        yield
    except (exceptions.NoCredentialsError, exceptions.PartialCredentialsError, exceptions.ProfileNotFound) as error:
        remedy = "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE"
        raise ConfigError(f"{address}: no credentials found ({type(error).__name__}); {remedy}") from None
    except (exceptions.ClientError, Boto3Error) as error:
        raise _refusal(address, error if isinstance(error, exceptions.ClientError) else error.__context__) from None
    except (exceptions.BotoCoreError, ValueError) as error:  # many are OSErrors, too; a ValueError: a bad endpoint
        raise StorageAwayError(
            f"{address}: the storage cannot be reached ({type(error).__name__}); check AWS_ENDPOINT_URL, the bucket's "
            "name and the network, and try again"
        ) from None
    except OSError as error:
        raise DataError(
            f"{address}: {error.filename or 'a copy of it'} cannot be written ({error.strerror}); free some space, or "
            "set TMPDIR to another folder"
        ) from error


def _refusal(address: str, error: BaseException | None) -> GenreflowError:
    answer = getattr(error, "response", {})
    code = str(answer.get("Error", {}).get("Code", type(error).__name__))
    status = answer.get("ResponseMetadata", {}).get("HTTPStatusCode", "no status")
    if code == "NoSuchBucket":
        return StorageError(f"{address}: there is no such bucket; check its name, or create it")
    if code in {"404", "NoSuchKey", "NotFound"}:
        return DataError(f"{address} does not exist; check the name, and end the name of a folder with /")
    if status in {401, 403}:
        return StorageError(f"{address}: access denied ({status} {code}); check the credentials and their permissions")
    return StorageAwayError(f"{address}: the storage responded with {status} {code}; try again later")
