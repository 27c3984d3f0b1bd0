"""Folders, wherever they are, under one face. Owns the face, and folders on a filesystem.

The working folder of the pipeline is no such place: it needs renames, locks and memory maps, which only a filesystem
has.
"""

import contextlib
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from filelock import FileLock, Timeout

from tasks.errors import DataError
from tasks.stage import remove_unfinished

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
