"""A file that is not yet whole, beside its target. Owns its name, the note of what it is a part of, and its end.

The note is written before the first byte, so whatever lies in the partial file is the beginning of what the note says,
at whichever moment the process was killed.
"""

import glob
import json
import logging
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import BinaryIO

from tasks.stage import TEMPORARY_PREFIX, write_atomically

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Version:
    """What a server said of the file that it began to send."""

    address: str  # as asked for, before any redirect: signed addresses are secrets and short-lived
    etag: str | None  # strong ones only
    last_modified: str | None
    length: int | None
    md5: str | None  # hexadecimal

    @property
    def validator(self) -> str | None:
        """What proves to the server that it still has the same file."""
        return self.etag or self.last_modified


class PartialFile:
    """The beginning of a download. Its name is the target's with `.partial`, its note's with `.partial.json`."""

    def __init__(self, target: Path) -> None:
        self.target = target
        self.path = target.with_name(f"{target.name}.partial")
        self.note = target.with_name(f"{target.name}.partial.json")
        self.is_new = False  # whether it was begun by this object, and so holds nothing of an earlier run

    @property
    def size(self) -> int:
        """Bytes that are here."""
        return self.path.stat().st_size if self.path.is_file() else 0

    def version(self, address: str) -> Version | None:
        """Return what this is the beginning of, or None if that is unknown or of another address."""
        try:
            version = Version(**json.loads(self.note.read_text(encoding="utf-8")))
        except FileNotFoundError:
            return None
        except (ValueError, TypeError) as error:
            logger.warning("%s cannot be read (%s): the download begins anew", self.note, error)
            return None
        return version if version.address == address else None

    def begin(self, version: Version) -> None:
        """Start from nothing with a new version."""
        self.is_new = True
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.path.write_bytes(b"")
        write_atomically(self.note, json.dumps(asdict(version), indent=1) + "\n")

    def append(self) -> BinaryIO:
        """Open for adding bytes; what is written is in the file at once."""
        return self.path.open("ab", buffering=0)

    def discard(self) -> None:
        """Remove it and its note."""
        self.path.unlink(missing_ok=True)
        self._remove_notes()

    def publish(self) -> None:
        """Make it the target, for good: synced, then renamed."""
        _sync(self.path)
        self.path.replace(self.target)
        _sync(self.target.parent)
        self._remove_notes()

    def _remove_notes(self) -> None:
        """Remove the note, and those that a killed process was just writing."""
        self.note.unlink(missing_ok=True)
        for left in self.note.parent.glob(f"{TEMPORARY_PREFIX}{glob.escape(self.note.name)}-*"):
            left.unlink()


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
