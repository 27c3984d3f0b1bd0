"""The earlier system's files on Google Drive, through gdown. Owns their places and what Drive's refusals mean.

gdown knows how to get past Drive's warning pages; what it leaves open is closed here: a deadline, a cap, no cookies, a
hash of our own, and no file under its name before it was checked. Within a run gdown continues by itself; a killed run
begins the file anew, since gdown would append whatever Drive serves by then to what is there.

Nothing here was tried against the real service; the tests let gdown talk to a local server.
"""

import logging
import shutil
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from tasks.acquire.config import DownloadConfig, DriveFile
from tasks.acquire.download import Fetched
from tasks.acquire.manifest import Entry, Lock, find_entry, obtain
from tasks.acquire.partial_file import PartialFile, Version
from tasks.acquire.whole_file import Expected, WrongBytesError, check_whole
from tasks.errors import DownloadError
from tasks.hashes import hash_file
from tasks.paths import DataPaths
from tasks.progress import Progress
from tasks.stage import TEMPORARY_PREFIX, remove_unfinished, write_atomically

logger = logging.getLogger(__name__)

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
