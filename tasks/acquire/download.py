"""Downloads from Kaggle, Google Drive and object storage; untested with these, only with local servers."""

import base64
import hashlib
import json
import logging
import os
import re
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import partial
from importlib.metadata import version
from itertools import count
from pathlib import Path, PurePosixPath
from queue import Empty, SimpleQueue
from typing import Any, Final
from urllib.parse import urlsplit

from tasks.acquire.config import DownloadConfig, DriveFile
from tasks.core.errors import DownloadError, SourceError
from tasks.core.files import hash_file
from tasks.core.logs import Progress
from tasks.core.settings import DataPaths
from tasks.core.storage import Bucket, open_directory, split_address
from tasks.stage import TEMPORARY_PREFIX, remove_unfinished, unfinished_file, write_atomically

logger = logging.getLogger(__name__)

DATASET: Final = "rajugc/imdb-movies-dataset-based-on-genre"  # licence CC BY-NC-SA 4.0
DATASET_VERSION: Final = 2
DATASET_PAGE: Final = f"https://www.kaggle.com/datasets/{DATASET}"
ARCHIVE: Final = "imdb-movies-dataset-based-on-genre.zip"
# The earlier system's files; None was never published.
DRIVE_IDS: Final[dict[DriveFile, str | None]] = {
    "crawl_data": "1HAARdniVyolwvwfYjhXTy5EUzd9kYSkE",
    "clean_data": "12pSL_4PxiyqGTQm8mfomHGEbB3Il1yZG",
    "conllu_data": "1cyjpL7dXFr_2WhLIlbNPO-PyHeEZBpHI",
    "genres": None,
}
CHUNK_BYTES: Final = 1 << 16
FIRST_WAIT_S: Final = 1.0  # before the second attempt; doubled with each further one
TRANSIENT_STATUS: Final = frozenset({408, 425, 429, 500, 502, 503, 504})
DRIVE_REFUSALS: Final = frozenset({401, 403, 404, 410, 429})
SUMMARY: Final = "{fetched} fetched, {skipped} skipped (already here), {bytes:,} bytes in total"
OBJECTS_RECORD: Final = "objects.json"  # the version of each object that was copied
_WEB_PAGE: Final = re.compile(rb"\A(?:\xef\xbb\xbf)?\s*<(?:!doctype|html)", re.IGNORECASE)


@dataclass(frozen=True)
class Fetched:
    """A file, and whether it was downloaded just now."""

    path: Path
    is_new: bool


def summarise(files: Sequence[Fetched]) -> dict[str, int]:
    """Return how many files were `fetched` and `skipped`, and the `bytes` of all."""
    n_new = sum(file.is_new for file in files)
    return {"fetched": n_new, "skipped": len(files) - n_new, "bytes": sum(file.path.stat().st_size for file in files)}


def parse_retry_after(value: str | None, now: datetime) -> float | None:
    """Return the seconds that a Retry-After header requests, 0 for a past date, None for any other text.

    Source: RFC 9110, section 10.2.3; fractions of seconds occur in practice and are accepted.
    """
    text = (value or "").strip()
    if re.fullmatch(r"\d+(?:\.\d+)?", text, re.ASCII):
        return float(text)
    try:
        moment = parsedate_to_datetime(text)
        if moment.tzinfo is None:  # "-0000": a time in UTC of unknown origin
            moment = moment.replace(tzinfo=UTC)
        return max(0.0, (moment - now).total_seconds())
    except (ValueError, OverflowError):
        return None


def drive_targets(paths: DataPaths) -> dict[DriveFile, Path]:
    """Return the target of each file of the earlier system."""
    return {
        "crawl_data": paths.published_crawl_csv,
        "clean_data": paths.download / "clean_data.csv",
        "conllu_data": paths.download / "conllu_data.conllu",
        "genres": paths.downloaded_genres,
    }


def fetch_drive_files(paths: DataPaths, names: Sequence[DriveFile], config: DownloadConfig) -> list[Fetched]:
    """Fetch the named files to `drive_targets`, unless they are there; crawled plots also to `paths.crawl_csv`."""
    targets = drive_targets(paths)
    files = [_fetch(targets[name], partial(_download_from_drive, name, targets[name], config)) for name in names]
    if "crawl_data" in names:
        if not paths.crawl_csv.exists():
            write_atomically(paths.crawl_csv, paths.published_crawl_csv.read_bytes())
        elif hash_file(paths.crawl_csv) != hash_file(paths.published_crawl_csv):
            logger.info("drive: %s is another crawl and is kept; remove it to use the published one", paths.crawl_csv)
    return files


def fetch_objects(paths: DataPaths, address: str, config: DownloadConfig) -> tuple[Path, list[Fetched]]:
    """Return the local copy of a zip `s3://bucket/name.zip`, or of the CSVs under a prefix `s3://bucket/prefix/`.

    An object with the size and ETag of its copy is not fetched again. Copies of deleted objects are removed.
    """
    folder = paths.download / f"s3-{hashlib.sha256(address.encode()).hexdigest()[:12]}"
    if PurePosixPath(address).suffix.lower() == ".zip":
        bucket, archive = split_address(address)
        wanted = {archive: bucket.find(archive)}
    else:
        bucket, archive = open_directory(address), ""
        wanted = {name: found for name, found in bucket.files().items() if name.lower().endswith(".csv")}
        if not wanted:
            raise SourceError(f"there is no *.csv directly under {bucket.address}: check the bucket and the prefix")
    assert isinstance(bucket, Bucket)  # the address is in object storage
    for name, found in wanted.items():
        if found.size > config.max_bytes:
            raise SourceError(f"{bucket.address}{name} has {found.size:,} bytes; the limit is {config.max_bytes:,}.")
    record = read_record(folder / OBJECTS_RECORD, "all objects are fetched again")
    for gone in record.keys() - wanted.keys():
        (folder / gone).unlink(missing_ok=True)
        del record[gone]
    files = []
    for name, found in wanted.items():
        path = folder / name
        is_new = record.get(name) != found.version or not path.is_file() or path.stat().st_size != found.size
        if is_new:
            record[name] = bucket.fetch(name, path).version
        write_atomically(folder / OBJECTS_RECORD, json.dumps(record, indent=1, sort_keys=True) + "\n")
        files.append(Fetched(path, is_new))
    return folder / archive, files


def read_record(path: Path, if_damaged: str) -> dict[str, Any]:
    """Return the JSON object in a file, empty if there is none; if it is damaged, log that and what follows from it."""
    try:
        return dict(json.loads(path.read_text(encoding="utf-8")))
    except FileNotFoundError:
        return {}
    except (ValueError, TypeError) as error:
        logger.warning("%s cannot be read (%s): %s", path, error, if_damaged)
        return {}


def _fetch(target: Path, download: Callable[[Path], None]) -> Fetched:
    """Download a file to the target unless it is there; it appears whole or not at all."""
    if is_new := not target.is_file():
        remove_unfinished(target.parent)
        try:
            with unfinished_file(target) as path:
                download(path)
                if _is_web_page(path):
                    raise DownloadError(
                        f"{target.name}: received a web page instead of the file, perhaps a login, a consent form or a "
                        "captive portal. Open the address in a browser to see it."
                    )
        except OSError as error:
            raise DownloadError(
                f"{error.filename or target} cannot be written: {error.strerror}. Free some space or check the "
                "permissions, and run again."
            ) from error
    elif _is_web_page(target):
        raise DownloadError(f"{target} is a web page, not the file. Remove it.")
    return Fetched(target, is_new)


def _is_web_page(path: Path) -> bool:
    with path.open("rb") as file:
        return _WEB_PAGE.match(file.read(512)) is not None


def _show_progress(name: str, config: DownloadConfig) -> Callable[[int, int | None], None]:
    progress: list[Progress] = []

    def show(received: int, total: int | None) -> None:
        if not progress:
            progress.append(Progress(f"download {name}, bytes", total))
        progress[0].advance(received - progress[0].done)
        if max(received, total or 0) > config.max_bytes:
            raise DownloadError(f"{name} is larger than the limit of {config.max_bytes:,} bytes.")

    return show


class _TransientError(Exception):  # another attempt may succeed
    wait_s = 0.0  # the wait that the server requests


def fetch_kaggle_archive(paths: DataPaths, config: DownloadConfig) -> Fetched:
    """Return the Kaggle set as a zip in the download folder, fetched unless it is there, perhaps put there by hand.

    `kagglehub.dataset_download` is not used: it unpacks the archive without the checks of `list_archive`, sets no
    timeouts and draws its own progress bar. Its client is asked for the archive instead. DownloadError if that fails.
    """
    target = paths.download / ARCHIVE
    return _fetch(target, lambda path: _download_archive(path, target, config))


def _download_archive(path: Path, target: Path, config: DownloadConfig) -> None:
    deadline = time.monotonic() + config.deadline_s
    for attempt in count(1):
        try:
            return _attempt(path, target, config, deadline)
        except _TransientError as error:
            wait_s = max(FIRST_WAIT_S * 2 ** (attempt - 1), error.wait_s)
            no_time = error.wait_s > config.longest_wait_s or time.monotonic() + wait_s >= deadline
            if no_time or attempt >= config.attempts:
                failed = f"{ARCHIVE}: {error} ({attempt} attempts)"
                raise DownloadError(f"{failed}. Run again later, or {_by_hand(target)}") from None
            logger.warning("download: %s: %s; trying again in %.0f s", ARCHIVE, error, wait_s)
            time.sleep(wait_s)
    return None


def _attempt(path: Path, target: Path, config: DownloadConfig, deadline: float) -> None:
    """Download once, in a thread that is abandoned on a stall or at the deadline: Kaggle's client has no timeouts."""
    events: SimpleQueue[tuple[int, int | None] | Exception | None] = SimpleQueue()
    abandoned = threading.Event()

    def work() -> None:
        try:
            for sizes in _receive_archive(path):
                events.put(sizes)
                if abandoned.is_set():
                    return
            events.put(None)
        except Exception as error:  # noqa: BLE001 - raised in the thread that waits for it
            events.put(error)

    threading.Thread(target=work, daemon=True).start()
    show = _show_progress(target.name, config)
    try:
        while True:
            left_s = deadline - time.monotonic()
            try:
                event = events.get(timeout=max(0.0, min(config.stall_s, left_s)))
            except Empty:
                if left_s > config.stall_s:
                    raise _TransientError(f"no data for {config.stall_s:g} s") from None
                raise _late(target, config) from None
            if event is None:
                return
            if isinstance(event, Exception):
                raise _as_user_error(event, target) from None  # a chained error could show a signed address
            show(*event)
    finally:
        abandoned.set()


def _late(target: Path, config: DownloadConfig) -> DownloadError:
    late = f"not finished after {config.deadline_s:,g} s"
    return DownloadError(f"{target.name}: {late}. Run again with a longer deadline.")


def _receive_archive(path: Path) -> Iterator[tuple[int, int | None]]:
    """Write the archive to a file; yield after each chunk the bytes received, and the total if it is known."""
    from kagglehub.config import KaggleApiCredentials, get_kaggle_credentials  # noqa: PLC0415 - needs half a second
    from kagglehub.integrity import get_md5_checksum_from_response  # noqa: PLC0415
    from kagglesdk import KaggleClient  # noqa: PLC0415
    from kagglesdk.datasets.types.dataset_api_service import ApiDownloadDatasetRequest  # noqa: PLC0415

    if bool(os.environ.get("KAGGLE_USERNAME")) != bool(os.environ.get("KAGGLE_KEY")):
        logger.warning("kaggle: only one of KAGGLE_USERNAME and KAGGLE_KEY is set; it is ignored")
    try:
        user = get_kaggle_credentials() or KaggleApiCredentials()
    except (OSError, ValueError, TypeError) as error:  # its text may quote the file
        raise DownloadError(
            f"kaggle.json (in KAGGLE_CONFIG_DIR, default: ~/.kaggle) cannot be used ({type(error).__name__}). "
            "Correct or remove it."
        ) from None
    agent = f"genreflow/{version('genreflow')}"
    kaggle = KaggleClient(username=user.username, password=user.key, api_token=user.api_key, user_agent=agent)
    request = ApiDownloadDatasetRequest()
    request.owner_slug, request.dataset_slug = DATASET.split("/")
    request.dataset_version_number = DATASET_VERSION
    with kaggle as client, client.datasets.dataset_api_client.download_dataset(request) as response:
        schemes = {urlsplit(each.url).scheme for each in (*response.history, response)}
        if schemes == {"http", "https"}:
            raise DownloadError(
                f"{ARCHIVE}: Kaggle redirects to an address that is not encrypted; the file is refused."
            )
        length = response.headers.get("Content-Length", "")
        total = int(length) if length.isascii() and length.isdigit() else None
        digest = hashlib.md5(usedforsecurity=False)
        with path.open("wb") as file:
            for chunk in response.iter_content(CHUNK_BYTES):
                file.write(chunk)
                digest.update(chunk)
                yield file.tell(), total
    expected = get_md5_checksum_from_response(response)
    if expected is not None and expected != base64.b64encode(digest.digest()).decode():
        raise _TransientError("the file does not match the server's MD5")


def _as_user_error(error: Exception, target: Path) -> Exception:
    """Return a failure of Kaggle's client as an error to retry or to show, without what its message may quote."""
    import requests  # noqa: PLC0415 - comes with Kaggle's client

    if isinstance(error, requests.HTTPError) and error.response is not None:
        status = error.response.status_code
        error.response.close()
        account = "KAGGLE_USERNAME and KAGGLE_KEY, KAGGLE_API_TOKEN or kaggle.json"
        message = {
            401: f"Kaggle rejects the credentials, or requires an account (401): set or check {account}.",
            403: (
                f"Kaggle refuses access to {DATASET} (403): it is private, or its terms must be accepted first. Open "
                f"{DATASET_PAGE} with an account, accept them, and set {account}."
            ),
            404: f"Kaggle has no version {DATASET_VERSION} of {DATASET} (404).",
            429: "Kaggle has received too many requests from here (429).",
        }.get(status, f"Kaggle answers {status}.")
        if status not in TRANSIENT_STATUS:
            return DownloadError(f"{message} Or {_by_hand(target)}")
        transient = _TransientError(message.rstrip("."))
        transient.wait_s = parse_retry_after(error.response.headers.get("Retry-After"), datetime.now(UTC)) or 0.0
        return transient
    if isinstance(error, requests.exceptions.SSLError) and "CERTIFICATE_VERIFY_FAILED" in str(error):
        return DownloadError(f"{ARCHIVE}: the server's certificate is not trusted. Check proxy and system time.")
    if isinstance(error, requests.RequestException):
        return _TransientError(f"the connection to Kaggle failed ({type(error).__name__}); check the network")
    return error


def _by_hand(target: Path) -> str:
    return f"download it from {DATASET_PAGE}/versions/{DATASET_VERSION} in a browser and save it as {target}."


def _download_from_drive(name: DriveFile, target: Path, config: DownloadConfig, path: Path) -> None:
    """Let gdown write a file, with a deadline, a size limit and no cookies, and translate its errors."""
    import gdown  # noqa: PLC0415 - takes half a second to import, and few runs need it
    import requests  # noqa: PLC0415

    drive_id = DRIVE_IDS[name]
    if drive_id is None:
        raise DownloadError(
            f"{target.name} was never published and cannot be downloaded. It is only needed where the genres are not "
            f"in alphabetical order; if you have it, save it as {target}."
        )

    def refused(reason: str) -> DownloadError:
        return DownloadError(
            f"Drive refuses {target.name}: {' '.join(reason.split())[:300].rstrip('.')}. Often too many people "
            "downloaded it recently, which lasts up to a day, or it is no longer shared. Open "
            f"https://drive.google.com/file/d/{drive_id}/view in a browser, and save the file as {target}."
        )

    cancel = threading.Event()
    deadline = threading.Timer(config.deadline_s, cancel.set)
    deadline.daemon = True
    deadline.start()
    try:
        # gdown keeps parts of failed downloads, and later appends to them even if Drive serves another file by then.
        with tempfile.TemporaryDirectory(prefix=TEMPORARY_PREFIX, dir=path.parent) as folder:
            gdown.download(
                id=drive_id,
                output=str(Path(folder) / target.name),
                quiet=True,
                use_cookies=False,
                timeout=(config.connect_timeout_s, config.stall_s),
                retries=config.attempts - 1,
                progress=_show_progress(target.name, config),
                cancel=cancel,
            )
            (Path(folder) / target.name).replace(path)
    except gdown.FileURLRetrievalError as error:
        raise refused(str(error.__context__ or error)) from error
    except gdown.DownloadCancelled as error:
        raise _late(target, config) from error
    except (gdown.DownloadError, requests.RequestException) as error:
        status = getattr(getattr(error, "response", None), "status_code", None)
        if status in DRIVE_REFUSALS:
            raise refused(f"it answers {status}") from error
        raise DownloadError(f"{target.name}: the download from Drive failed ({error}). Run again later.") from error
    except (KeyError, AttributeError, AssertionError) as error:  # gdown relies on the form of Drive's pages
        raise refused(f"it answers in an unknown form, {error!r}") from error
    finally:
        deadline.cancel()
