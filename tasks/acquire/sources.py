"""Listings in object storage, brought to the download folder. Owns which objects come, and which are here already."""

import codecs
import csv
import hashlib
import json
import logging
import re
import shutil
import stat
import threading
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path, PurePosixPath
from typing import Any, Final, Literal
from zipfile import ZIP_DEFLATED, ZIP_STORED, BadZipFile, ZipFile, ZipInfo

import httpx
import yaml
from pydantic import BaseModel, ConfigDict

from tasks.acquire.config import DownloadConfig, DriveFile
from tasks.acquire.download import (
    Downloader,
    Expected,
    Fetched,
    PartialFile,
    Request,
    Version,
    WrongBytesError,
    begins_like_page,
    check_whole,
)
from tasks.core.errors import ConfigError, DownloadError, SourceError
from tasks.core.files import hash_file
from tasks.core.logs import Progress
from tasks.core.schema import RAW_COLUMNS, REQUIRED_RAW_COLUMNS
from tasks.core.settings import DataPaths, Settings, settings
from tasks.core.storage import Bucket, Found, open_place, split_address
from tasks.stage import TEMPORARY_PREFIX, remove_unfinished, write_atomically

HEAD_BYTES: Final = 1 << 16  # more than any header row
_UTF16_MARKS: Final = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


def check_header(path: Path, shown_as: str) -> None:
    """Return if the file's first row names the needed columns, in any order, with any others, with or without a BOM.

    Spaces around a name do not matter. Of the columns of the Kaggle set none may be there twice.

    Args:
        path: the file.
        shown_as: how a message calls it, such as `archive.zip: action.csv`.

    Raises:
        SourceError: it is empty, unreadable, no text, or a column is missing or repeated.
    """
    try:
        with path.open("rb") as file:
            head = file.readline(HEAD_BYTES)
    except OSError as error:
        raise SourceError(f"{shown_as} cannot be read: {error.strerror}. Check its permissions.") from error
    columns = _read_names(head, shown_as)
    found = ", ".join(" ".join(name.split())[:40] for name in columns[:20]) or "nothing"
    missing = [column for column in REQUIRED_RAW_COLUMNS if column not in columns]
    if missing:
        raise SourceError(
            f"{shown_as}, line 1: no column {' or '.join(missing)} among {found}. "
            f"Expected are the columns of the Kaggle set ({', '.join(RAW_COLUMNS)}), of which "
            f"{', '.join(REQUIRED_RAW_COLUMNS)} are needed. Add the missing ones, or take the file away."
        )
    if repeated := [column for column in RAW_COLUMNS if columns.count(column) > 1]:
        raise SourceError(
            f"{shown_as}, line 1: more than one column {' and '.join(repeated)} among {found}. "
            "Keep one of each, or take the file away."
        )


def _read_names(head: bytes, shown_as: str) -> list[str]:
    if head.startswith(_UTF16_MARKS) or b"\0" in head:
        raise SourceError(
            f"{shown_as}, line 1: this is UTF-16 text, or no text. Save the file as UTF-8, or take the file away."
        )
    try:  # a name in another encoding is none of those that are looked for
        return [name.strip() for name in next(csv.reader([head.decode("utf-8-sig", "replace")]), [])]
    except csv.Error as error:  # all that the csv module does not forgive in a single line
        raise SourceError(
            f"{shown_as}, line 1: its lines end in carriage returns (CR) alone. Save the file with line ends LF or "
            "CRLF, or take the file away."
        ) from error


# A zip of listings, as the Kaggle download is. Owns what is accepted in an archive and how it is unpacked.
#
# Python's `zipfile` checks sums and never leaves the target folder, but it drops `../` in silence, lets the later of
# two equal names win, and stops no bomb: all of that is refused here before a byte is written.


MAX_ENTRIES: Final = 1_000
MAX_BYTES: Final = 4 << 30  # the whole Kaggle set has 0.1 GiB
MAX_RATIO: Final = 100  # unpacked to packed; listings reach 5
MAX_NAME_BYTES: Final = 200  # file systems take 255, and temporary names need some
DAMAGED: Final = (BadZipFile, zlib.error, EOFError, NotImplementedError, ValueError)  # what a broken archive raises


def list_archive(path: Path) -> dict[str, str]:
    """Return the CSVs of an archive: the name that each gets, and its name inside. Other entries are left out.

    Raises:
        SourceError: no zip, damaged, no CSV in it, an entry that is unsafe, encrypted, a link or packed in another way
            than zip's usual one, two CSVs of one name, or more entries or bytes than a listing can have.
    """
    try:
        with ZipFile(path) as archive:
            entries = archive.infolist()
    except DAMAGED as error:
        raise SourceError(f"{path} is no zip, or a damaged one ({error}). Download it again.") from error
    except OSError as error:
        raise SourceError(f"{path} cannot be read: {error.strerror}. Check its permissions.") from error
    if len(entries) > MAX_ENTRIES:
        raise SourceError(
            f"{path} has {len(entries):,} entries, more than {MAX_ENTRIES:,}: this is not a set of listings."
        )
    names: dict[str, str] = {}
    for entry in filter(_is_csv, entries):
        _check_entry(path, entry)
        if _is_hidden(entry):
            continue
        name = PurePosixPath(entry.filename).stem + ".csv"
        if name.casefold() in map(str.casefold, names):
            raise SourceError(
                f"{path} has two files named {name}: {names.get(name, name)} and {entry.filename}. Keep one."
            )
        names[name] = entry.filename
    if not names:
        raise SourceError(f"{path} has no *.csv in it. Expected is the Kaggle download, a zip of per-genre CSVs.")
    _check_size(path, sum(entry.file_size for entry in entries if entry.filename in names.values()))
    return names


def unpack_archive(path: Path, folder: Path) -> None:
    """Write the CSVs of an archive into a folder, bytes unchanged, and check the first row of each.

    Raises:
        SourceError: as `list_archive`; an entry is damaged, or its columns are not those of a listing.
    """
    names = list_archive(path)
    with ZipFile(path) as archive:
        for name, inside in names.items():
            try:
                with archive.open(inside) as source, (folder / name).open("wb") as target:
                    shutil.copyfileobj(source, target, 1 << 20)
            except DAMAGED as error:
                raise SourceError(f"{path}: {inside} is damaged ({error}). Download the archive again.") from error
            check_header(folder / name, f"{path}: {inside}")


def _is_csv(entry: ZipInfo) -> bool:
    return PurePosixPath(entry.filename).suffix.lower() == ".csv" and not entry.is_dir()


def _is_hidden(entry: ZipInfo) -> bool:
    """Return whether an entry is a hidden file, such as the shadows that macOS packs beside each file."""
    return PurePosixPath(entry.filename).name.startswith(".")


def _check_entry(path: Path, entry: ZipInfo) -> None:
    name = entry.filename
    if name.startswith("/") or ".." in PurePosixPath(name).parts or re.search(r"[\\:\x00-\x1f]", name):
        raise SourceError(f"{path}: the entry {name!r} points out of its folder. Do not trust this archive.")
    if len(PurePosixPath(name).name.encode()) > MAX_NAME_BYTES:
        raise SourceError(f"{path}: the name of the entry {name[:60]}... is too long for a file. Shorten it.")
    if stat.S_IFMT(entry.external_attr >> 16) not in (0, stat.S_IFREG):  # 0: packed where there are no such types
        raise SourceError(f"{path}: the entry {name} is a link or a device, not a file. Pack the files themselves.")
    if entry.header_offset < 0:
        raise SourceError(
            f"{path}: the entry {name} is damaged (it begins before the file). Download the archive again."
        )
    if entry.flag_bits & 1:
        raise SourceError(f"{path}: the entry {name} is encrypted. Unpack it and pass the folder.")
    if entry.compress_type not in (ZIP_STORED, ZIP_DEFLATED):
        raise SourceError(f"{path}: the entry {name} is packed in an unusual way. Unpack it and pass the folder.")


def _check_size(path: Path, unpacked: int) -> None:
    packed = path.stat().st_size
    if unpacked > MAX_BYTES or unpacked > MAX_RATIO * packed:
        raise SourceError(
            f"{path} would unpack {packed:,} bytes to {unpacked:,}; accepted are {MAX_BYTES:,} and {MAX_RATIO} "
            "times its size. If you trust it, unpack it and pass the folder."
        )


# What can be downloaded, and what is known of it. Owns the manifest, the record of what was learnt, and its check.
#
# The manifest is a file of the project, the record (the lock) one of the data folder. A file that a user put in its
# place by hand is taken as if it had been downloaded. Knows no server.


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


# The listings as a zip from Kaggle's public API. Owns its address, the credentials, and what its refusals mean.
#
# Nothing here was tried against the real service; the tests talk to a local server.
#
# Source: https://www.kaggle.com/docs/api; the download address answers with a redirect to storage.


logger = logging.getLogger(__name__)

ENTRY: Final = "listings"


def fetch_archive(paths: DataPaths, downloader: Downloader) -> Fetched:
    """Return the zip of listings in the download folder, fetched or continued if it is not there.

    The address of the storage is never kept: each attempt asks the API anew, since that address is signed and expires.

    Raises:
        DownloadError: Kaggle refuses, the transfer failed, or the file is not the one on record.
        SourceError: it is no archive of listings, or the record of downloads is damaged.
    """
    entry = find_entry(ENTRY, "kaggle")
    target = paths.download / entry.file
    remove_unfinished(paths.download)

    def fetch(expected: Expected) -> Fetched:
        auth = read_credentials(settings())
        refusals = _refusals(entry, target, has_credentials=auth is not None)
        address = (
            f"{settings().kaggle_url}/api/v1/datasets/download/{entry.address}?datasetVersionNumber={entry.version}"
        )
        return downloader.fetch(Request(address, entry.file, expected, auth, refusals), target)

    return obtain(entry, target, Lock(paths.download_lock), fetch, list_archive)


def read_credentials(given: Settings) -> httpx.BasicAuth | None:
    """Return the account's credentials: both environment variables, else `kaggle.json`, else None.

    The data set is public and needs none. What is half there or unreadable is left out with a warning.
    """
    if given.kaggle_username and given.kaggle_key:
        return httpx.BasicAuth(given.kaggle_username, given.kaggle_key.get_secret_value())
    if given.kaggle_username or given.kaggle_key:
        logger.warning("kaggle: of KAGGLE_USERNAME and KAGGLE_KEY only one is set; it is not used")
    path = given.kaggle_config_dir.expanduser() / "kaggle.json"
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        return httpx.BasicAuth(str(content["username"]), str(content["key"]))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError) as error:
        # The kind of the error alone: its text may quote the file.
        logger.warning("kaggle: %s cannot be used (%s); going on without an account", path, type(error).__name__)
        return None


def page(entry: Entry) -> str:
    """Return the address of a data set for a browser."""
    return f"https://www.kaggle.com/datasets/{entry.address}/versions/{entry.version}"


def _refusals(entry: Entry, target: Path, *, has_credentials: bool) -> dict[int, str]:
    """Return what to say for each status that Kaggle refuses with, each with its remedy."""
    by_hand = f"Or download it from {page(entry)} and put it at {target}."
    account = "KAGGLE_USERNAME and KAGGLE_KEY (or kaggle.json)"
    unknown = f"check or remove {account}" if has_credentials else f"set {account}: the set wants an account now"
    return {
        401: f"Kaggle does not know who asks for {entry.address} (401): {unknown}. {by_hand}",
        403: (
            f"Kaggle does not let {'this account' if has_credentials else 'just anybody'} have {entry.address} (403): "
            f"it is private, or its terms must be accepted first. Open {page(entry)} with an account, accept them, and "
            f"set {account}. {by_hand}"
        ),
        404: (
            f"Kaggle has no version {entry.version} of {entry.address} (404). Look at {page(entry)}, and correct the "
            f"entry {entry.name} of the manifest. {by_hand}"
        ),
        429: (
            f"Kaggle has had too many requests from here (429). Wait, or download it from {page(entry)} and put it at "
            f"{target}"
        ),
    }


# The earlier system's files on Google Drive, through gdown. Owns their places and what Drive's refusals mean.
#
# gdown knows how to get past Drive's warning pages; what it leaves open is closed here: a deadline, a cap, no cookies,
# a hash of our own, and no file under its name before it was checked. Within a run gdown continues by itself; a killed
# run begins the file anew, since gdown would append whatever Drive serves by then to what is there.
#
# Nothing here was tried against the real service; the tests let gdown talk to a local server.


REFUSED: Final = frozenset({401, 403, 404, 410, 429})


def drive_targets(paths: DataPaths) -> dict[DriveFile, Path]:
    """Return where each file goes."""
    return {
        "crawl_data": paths.published_crawl_csv,
        "clean_data": paths.download / "clean_data.csv",
        "conllu_data": paths.download / "conllu_data.conllu",
        "genres": paths.downloaded_genres,
    }


def fetch_drive_files(paths: DataPaths, names: Sequence[DriveFile], config: DownloadConfig) -> list[Fetched]:
    """Return the named files, each in its place (`drive_targets`), fetched if it is not there.

    Crawled plots also become `paths.crawl_csv`, if there is none yet: that of a crawl, or of the user, stays.

    Raises:
        ConfigError: there is no file of that name.
        DownloadError: Drive refuses, the transfer failed, the file is not the one on record, or was never published.
        SourceError: the record of downloads is damaged.
    """
    lock = Lock(paths.download_lock)
    remove_unfinished(paths.download)
    fetched = []
    for name in names:
        entry = find_entry(name, "drive")
        target = drive_targets(paths)[name]
        fetched.append(obtain(entry, target, lock, _fetcher(entry, target, config)))
    if "crawl_data" in names:
        _offer_crawl(paths)
    return fetched


def _fetcher(entry: Entry, target: Path, config: DownloadConfig) -> Callable[[Expected], Fetched]:
    def fetch(expected: Expected) -> Fetched:
        if entry.address is None:
            raise DownloadError(
                f"{entry.file} was never published, so that it cannot be downloaded. It is only needed where the "
                f"genres are not in alphabetical order; if you have it, put it at {target}."
            )
        target.parent.mkdir(parents=True, exist_ok=True)
        folder = target.parent / f"{TEMPORARY_PREFIX}{entry.name}"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        try:
            return _fetch(entry, target, folder / entry.file, expected, config)
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    return fetch


def _fetch(entry: Entry, target: Path, unchecked: Path, expected: Expected, config: DownloadConfig) -> Fetched:
    _download(entry, target, unchecked, config)
    partial = PartialFile(target)
    partial.discard()
    unchecked.replace(partial.path)
    try:
        check_whole(entry.file, Version(str(entry.address), None, None, None, None), expected, partial)
    except WrongBytesError as error:
        partial.discard()
        raise DownloadError(f"{entry.file} {error}. {expected.remedy}") from error
    fetched = Fetched(entry.name, target, partial.size, hash_file(partial.path), "fetched")
    partial.publish()
    return fetched


def _download(entry: Entry, target: Path, unchecked: Path, config: DownloadConfig) -> None:
    """Let gdown write the file, and translate what it raises."""
    import gdown  # noqa: PLC0415 - takes half a second to import, and few runs need it

    cancel = threading.Event()
    deadline = threading.Timer(config.deadline_s, cancel.set)
    deadline.daemon = True
    deadline.start()
    try:
        gdown.download(
            id=entry.address,
            output=str(unchecked),
            quiet=True,
            use_cookies=False,
            timeout=(config.connect_timeout_s, config.stall_s),
            retries=config.attempts - 1,
            progress=_progress(entry, config),
            cancel=cancel,
        )
    except gdown.FileURLRetrievalError as error:
        raise _refused(entry, target, str(error.__context__ or error)) from error
    except gdown.DownloadCancelled as error:
        raise DownloadError(
            f"{entry.file}: {config.deadline_s:,g} s were not enough for the download from Drive. Run again, with more."
        ) from error
    except (gdown.DownloadError, OSError) as error:  # those of requests are OSErrors
        status = getattr(getattr(error, "response", None), "status_code", None)
        if status in REFUSED:
            raise _refused(entry, target, f"it answers {status}") from error
        raise DownloadError(f"{entry.file}: the download from Drive failed ({error}). Run again later.") from error
    except (KeyError, AttributeError, AssertionError) as error:  # gdown takes the form of Drive's pages for granted
        raise _refused(entry, target, f"it answers in an unknown form, {error!r}") from error
    finally:
        deadline.cancel()


def _progress(entry: Entry, config: DownloadConfig) -> Callable[[int, int | None], None]:
    progress: list[Progress] = []

    def advance(received: int, total: int | None) -> None:
        if not progress:
            progress.append(Progress(f"download {entry.file}, bytes", total))
        progress[0].advance(received - progress[0].done)
        if max(received, total or 0) > config.max_bytes:
            raise DownloadError(f"{entry.file} is larger than the {config.max_bytes:,} bytes accepted.")

    return advance


def _refused(entry: Entry, target: Path, reason: str) -> DownloadError:
    return DownloadError(
        f"Drive does not hand out {entry.file}: {' '.join(reason.split())[:300].rstrip('.')}. Often too many people "
        "fetched it lately, which lasts up to a day, or it is no longer shared. Open "
        f"https://drive.google.com/file/d/{entry.address}/view in a browser, and put the file at {target}."
    )


def _offer_crawl(paths: DataPaths) -> None:
    """Make the published crawl the one that cleaning reads, unless there is one."""
    if not paths.crawl_csv.exists():
        write_atomically(paths.crawl_csv, paths.published_crawl_csv.read_bytes())
    elif hash_file(paths.crawl_csv) != hash_file(paths.published_crawl_csv):
        logger.info("drive: %s is another crawl and stays; remove it to use the published one", paths.crawl_csv)


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
