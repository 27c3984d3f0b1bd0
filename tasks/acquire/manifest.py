"""What can be downloaded, and what is known of it. Owns the manifest, the record of what was learnt, and its check.

The manifest is a file of the project, the record (the lock) one of the data folder. A file that a user put in its
place by hand is taken as if it had been downloaded. Knows no server.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any, Final, Literal

import yaml
from pydantic import BaseModel, ConfigDict

from tasks.acquire.download import Fetched
from tasks.acquire.partial_file import PartialFile
from tasks.acquire.whole_file import Expected, begins_like_page
from tasks.errors import ConfigError, DownloadError, SourceError
from tasks.hashes import hash_file
from tasks.stage import write_atomically

MANIFEST: Final = Path(__file__).with_name("manifest.yaml")


class Entry(BaseModel):
    """A file that can be downloaded."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    host: Literal["kaggle", "drive"]
    address: str | None  # None: it was never published
    version: int | None = None
    file: str
    size: int | None
    sha256: str | None


@cache
def read_manifest() -> dict[str, Entry]:
    """Return the entries of the manifest by their names."""
    entries: dict[str, dict[str, Any]] = yaml.safe_load(MANIFEST.read_text(encoding="utf-8"))
    return {name: Entry(name=name, **fields) for name, fields in entries.items()}


def find_entry(name: str, host: Literal["kaggle", "drive"]) -> Entry:
    """Return an entry of a host by its name.

    Raises:
        ConfigError: there is none.
    """
    entry = read_manifest().get(name)
    if entry is None or entry.host != host:
        names = ", ".join(entry.name for entry in read_manifest().values() if entry.host == host)
        raise ConfigError(f"there is no file {name!r} to download from {host}; there are: {names}")
    return entry


@dataclass(frozen=True)
class Lock:
    """The record of what was learnt of downloaded files: `{name: {address, version, size, sha256}}` as JSON."""

    path: Path

    def expected(self, entry: Entry) -> Expected:
        """Return what is known of a file: what the manifest says, else what was learnt of this address and version.

        Raises:
            SourceError: the record is damaged.
        """
        remedy = f"If you trust the new file, remove the entry {entry.name} from {self.path} and run again."
        if entry.sha256 is not None:
            remedy = f"Get the file that {MANIFEST.name} describes, or correct the entry {entry.name} there."
        learnt = self._read().get(entry.name, {})
        if (learnt.get("address"), learnt.get("version")) != (entry.address, entry.version):
            learnt = {}
        return Expected(entry.size or learnt.get("size"), entry.sha256 or learnt.get("sha256"), remedy)

    def learn(self, entry: Entry, fetched: Fetched) -> None:
        """Record a file that came."""
        known = {"address": entry.address, "version": entry.version, "size": fetched.size, "sha256": fetched.sha256}
        records = self._read()
        if records.get(entry.name) != known:
            text = json.dumps({**records, entry.name: known}, indent=1, sort_keys=True)
            write_atomically(self.path, text + "\n")

    def _read(self) -> dict[str, dict[str, Any]]:
        try:
            records = json.loads(self.path.read_text(encoding="utf-8"))
            if not all(isinstance(record, dict) for record in records.values()):
                raise TypeError("its values are no objects")  # noqa: TRY301 - one message for all damage
        except FileNotFoundError:
            return {}
        except (ValueError, TypeError, AttributeError) as error:
            raise SourceError(
                f"{self.path} cannot be read ({error}). Remove it, and what is downloaded is learnt anew."
            ) from error
        return dict(records)


def obtain(
    entry: Entry,
    target: Path,
    lock: Lock,
    fetch: Callable[[Expected], Fetched],
    check: Callable[[Path], object] = lambda _: None,
) -> Fetched:
    """Return a file that is in its place already, or fetch it; either way it is the one on record.

    Args:
        entry: which file.
        target: its place.
        lock: the record.
        fetch: puts the file at the target; it is told what is known.
        check: raises a `SourceError` if the file's content cannot be what it should; it is not kept then.

    Raises:
        DownloadError: what is there, or what comes, is not the file on record.
        SourceError: the record is damaged, or `check` says so.
    """
    expected = lock.expected(entry)
    if target.is_file():
        fetched = _find(entry, target, expected)
        check(target)
    else:
        fetched = replace(fetch(expected), name=entry.name)
        try:
            check(target)
        except SourceError:
            target.unlink()
            raise
    PartialFile(target).discard()
    lock.learn(entry, fetched)
    return fetched


def summarise(files: Sequence[Fetched]) -> dict[str, int]:
    """Return how many files were `fetched`, `resumed` and `skipped`, and the `bytes` of all."""
    states = [file.state for file in files]
    counts = {state: states.count(state) for state in ("fetched", "resumed", "skipped")}
    return {**counts, "bytes": sum(file.size for file in files)}


def summary_line(counts: Mapping[str, int]) -> str:
    """Return a summary as a line: `1 fetched, 0 resumed, 2 skipped (already here), 12,345 bytes in all`."""
    return (
        f"{counts['fetched']} fetched, {counts['resumed']} resumed, {counts['skipped']} skipped (already here), "
        f"{counts['bytes']:,} bytes in all"
    )


def _find(entry: Entry, target: Path, expected: Expected) -> Fetched:
    if begins_like_page(target):
        raise DownloadError(f"{target} is a web page, not {entry.file}. Remove it.")
    size, sha256 = target.stat().st_size, hash_file(target)
    if not expected.fits(size, sha256):
        raise DownloadError(
            f"{target} ({size:,} bytes) is not the file on record. Remove it to download the right one. "
            f"{expected.remedy}"
        )
    return Fetched(entry.name, target, size, sha256, "skipped")
