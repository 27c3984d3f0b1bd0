"""One file from a server to the disk, whatever happens in between. Owns attempts, waits, deadlines and checks.

A download is a partial file beside the target, continued where the last attempt, or the last run, ended, and renamed
when all of it was checked. Knows no data set; `http_answer` knows what an answer means.
"""

import asyncio
import base64
import binascii
import glob
import hashlib
import json
import logging
import os
import random
import re
import ssl
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import cache
from importlib.metadata import version as package_version
from pathlib import Path
from typing import BinaryIO, Final, Literal

import httpx

from tasks.acquire.config import DownloadConfig
from tasks.core.errors import DownloadError
from tasks.core.files import hash_file
from tasks.core.logs import Progress
from tasks.stage import TEMPORARY_PREFIX, write_atomically

# How long a server asks us to wait, out of its Retry-After header. Owns the header's forms; waits for nobody.
#
# Source: RFC 9110, section 10.2.3; seconds with a fraction are seen in the wild and accepted.


_SECONDS: Final = re.compile(r"\d+(?:\.\d+)?", re.ASCII)


def parse_retry_after(value: str | None, now: datetime) -> float | None:
    """Return the seconds that a header asks for, 0 for a date that is past, or None where it says nothing usable.

    Negative numbers, `nan`, `inf` and any other text say nothing. The number can be as large as the server likes:
    whoever waits sets a limit.

    >>> parse_retry_after("120", datetime.now(UTC))
    120.0
    """
    text = (value or "").strip()
    if _SECONDS.fullmatch(text):
        return float(text)
    try:
        moment = parsedate_to_datetime(text)
        if moment.tzinfo is None:  # "-0000": a time in UTC of unknown origin
            moment = moment.replace(tzinfo=UTC)
        return max(0.0, (moment - now).total_seconds())
    except (ValueError, OverflowError):
        return None


# A file that is not yet whole, beside its target. Owns its name, the note of what it is a part of, and its end.
#
# The note is written before the first byte, so whatever lies in the partial file is the beginning of what the note
# says, at whichever moment the process was killed.


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


MAX_REDIRECTS: Final = 10
MAY_HEAL: Final = frozenset({408, 425, 429, 500, 502, 503, 504})  # the server, or the way to it, in a bad moment
LOOPBACK: Final = frozenset({"127.0.0.1", "::1", "localhost"})


class HealableError(Exception):
    """This attempt failed and another may not. `wait_s` is how long the server asks to wait, if it does."""

    def __init__(self, message: str, wait_s: float | None = None) -> None:
        super().__init__(message)
        self.wait_s = wait_s


@dataclass(frozen=True)
class Range:
    """The part of a file that a 206 answer brings, or the size alone in a 416."""

    start: int | None
    total: int | None


@asynccontextmanager
async def open_answer(
    client: httpx.AsyncClient, address: str, headers: dict[str, str], auth: httpx.BasicAuth | None
) -> AsyncIterator[httpx.Response]:
    """Ask for a file, follow redirects, and give the answer with its body unread.

    Only https is followed, and http on this machine from there. Credentials go to the first server and no other.

    Raises:
        DownloadError: a redirect leads elsewhere, or in a circle.
        httpx.TransportError: the connection failed.
    """
    origin = url = httpx.URL(address)
    for _ in range(MAX_REDIRECTS + 1):
        _check_address(url, origin)
        shown_to = auth if (url.scheme, url.host, url.port) == (origin.scheme, origin.host, origin.port) else None
        async with client.stream("GET", url, headers=headers, auth=shown_to) as response:
            if not response.has_redirect_location:
                yield response
                return
            url = url.join(response.headers["location"])
    raise DownloadError(f"{origin.host} redirects more than {MAX_REDIRECTS} times. Try again later.")


def check_status(response: httpx.Response, name: str, refusals: dict[int, str]) -> None:
    """Return if the answer brings the file (200), a part of it (206), or says that no part is missing (416).

    Raises:
        HealableError: the server asks to come again.
        DownloadError: it refuses.
    """
    status, server = response.status_code, response.url.host
    if status in (200, 206, 416):
        return
    said = refusals.get(status)
    if status in MAY_HEAL:
        wait_s = parse_retry_after(response.headers.get("retry-after"), datetime.now(UTC))
        raise HealableError(said or f"{server} answers {status} {response.reason_phrase}", wait_s)
    raise DownloadError(said or f"{name}: {server} answers {status} {response.reason_phrase}, which no retry mends.")


def check_form(response: httpx.Response, name: str, *, is_verifiable: bool) -> None:
    """Return if the body is a file as asked for.

    Args:
        response: a 200 or 206.
        name: how a message calls the file.
        is_verifiable: whether size or hash are known from elsewhere, so that the answer need not tell where it ends.

    Raises:
        DownloadError: it is a web page or packed, or nothing tells a whole body from one that was cut.
    """
    server, headers = response.url.host, response.headers
    if headers.get("content-type", "").lower().startswith(("text/html", "application/xhtml")):
        raise DownloadError(page_instead(name))
    if headers.get("content-encoding", "identity").lower() != "identity":
        raise DownloadError(
            f"{name}: {server} sends it packed ({headers['content-encoding']}) although asked not to. "
            "A proxy may be in the way: try without, or get the file with a browser."
        )
    has_end = "content-length" in headers or headers.get("transfer-encoding", "").lower() == "chunked"
    if not has_end and not is_verifiable:
        raise DownloadError(
            f"{name}: {server} does not say how long it is, so that a cut could not be noticed. "
            "Get the file with a browser."
        )


def page_instead(name: str) -> str:
    """Return what to say of a web page that came in place of a file."""
    return (
        f"{name}: a web page came instead of the file, perhaps one to log in, to agree to something, or of a captive "
        "portal. Open the address in a browser to see it."
    )


def read_version(response: httpx.Response, address: str) -> Version:
    """Return what a 200 answer says of the file: its validators, length and MD5 (as Google's storage gives it)."""
    etag = response.headers.get("etag")
    is_strong = etag is not None and etag.startswith('"')
    length = response.headers.get("content-length", "")
    return Version(
        address=address,
        etag=etag if is_strong else None,
        last_modified=response.headers.get("last-modified"),
        length=int(length) if length.isascii() and length.isdigit() else None,
        md5=_google_md5(response.headers.get("x-goog-hash", "")),
    )


def read_range(response: httpx.Response) -> Range:
    """Return the Content-Range of an answer; None for what it does not say."""
    found = re.fullmatch(
        r"bytes (?:(\d+)-\d+|\*)/(\d+|\*)", response.headers.get("content-range", "").strip(), re.ASCII
    )
    if not found:
        return Range(None, None)
    start, total = found.groups()
    return Range(int(start) if start else None, int(total) if total != "*" else None)


def _google_md5(header: str) -> str | None:
    """Return the MD5 out of `crc32c=..., md5=<base64>`, in hexadecimal."""
    found = re.search(r"(?:^|,)\s*md5=([A-Za-z0-9+/=]+)", header)
    try:
        digest = base64.b64decode(found[1], validate=True) if found else b""
    except binascii.Error:
        return None
    return digest.hex() if len(digest) == 16 else None


def _check_address(url: httpx.URL, origin: httpx.URL) -> None:
    if url.scheme == "https" or (url.scheme == "http" and url.host in LOOPBACK and origin.host in LOOPBACK):
        return
    raise DownloadError(
        f"{origin.host} leads to {url.scheme}://{url.host}, which is not encrypted. Files are only taken over https."
    )


_PAGE: Final = re.compile(rb"\A(?:\xef\xbb\xbf)?\s*<(?:!doctype|html)", re.IGNORECASE)


@dataclass(frozen=True)
class Expected:
    """What is known of a file before it comes, and what to do if another one comes."""

    size: int | None = None
    sha256: str | None = None
    remedy: str = "Try again later."

    def fits(self, size: int, sha256: str) -> bool:
        """Return whether a file is the expected one, as far as that is known."""
        return self.size in (None, size) and self.sha256 in (None, sha256)


ANYTHING: Final = Expected()


class WrongBytesError(HealableError):
    """What came is not what was promised: it must go, and one more attempt from the beginning may bring the right."""


def check_announced(name: str, version: Version, expected: Expected, max_bytes: int) -> None:
    """Return if the size that a server announces can be that of the file.

    Raises:
        DownloadError: it is another than the expected one, or more than is accepted.
    """
    if version.length is None:
        return
    if version.length > max_bytes:
        raise DownloadError(f"{name} has {version.length:,} bytes; {max_bytes:,} are accepted.")
    if expected.size not in (None, version.length):
        raise DownloadError(
            f"{name} has changed: it has {version.length:,} bytes and not the {expected.size:,} on record. "
            f"{expected.remedy}"
        )


def check_whole(name: str, version: Version, expected: Expected, partial: PartialFile) -> None:
    """Return if the partial file is whole and right.

    Raises:
        HealableError: bytes are missing.
        WrongBytesError: they are not those that the server's hash, or the expected one, stands for.
        DownloadError: they are right by the server's hash and yet not the expected ones, or a web page.
    """
    size = partial.size
    if version.length is not None and size < version.length:
        raise HealableError(f"only {size:,} of {version.length:,} bytes came")
    if version.length is not None and size > version.length:
        raise WrongBytesError(f"{size:,} bytes came instead of {version.length:,}")
    if begins_like_page(partial.path):
        partial.discard()
        raise DownloadError(page_instead(name))
    if version.md5 and version.md5 != _md5(partial.path):
        raise WrongBytesError("the bytes are not those of the MD5 that the server gives")
    if expected.fits(size, hash_file(partial.path)):
        return
    said = f"has changed: {size:,} bytes came that are not the file on record"
    if version.md5:
        partial.discard()
        raise DownloadError(f"{name} {said}. {expected.remedy}")
    raise WrongBytesError(said)


def begins_like_page(path: Path) -> bool:
    """Return whether a file begins like a web page."""
    with path.open("rb") as file:
        return _PAGE.match(file.read(512)) is not None


def _md5(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()


FIRST_WAIT_S: Final = 1.0
LONGEST_BACKOFF_S: Final = 60.0
STALL_BYTES: Final = 1024  # fewer in `stall_s` are a stall
PROGRESS_BYTES: Final = 1 << 18  # after an attempt that brought as many, failures are counted anew


@dataclass(frozen=True)
class Request:
    """A file to fetch: where it is, what it is called, and what is known of it."""

    address: str
    name: str
    expected: Expected = ANYTHING
    auth: httpx.BasicAuth | None = field(default=None, repr=False)
    refusals: dict[int, str] = field(default_factory=dict)  # what to say for a status, with the remedy


@dataclass(frozen=True)
class Fetched:
    """A file that is here and was checked."""

    name: str
    path: Path
    size: int
    sha256: str
    state: Literal["fetched", "resumed", "skipped"]


@dataclass(frozen=True)
class Downloader:
    """Fetches files. Clock, sleep and dice are given in, so that tests need not wait."""

    config: DownloadConfig
    clock: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep
    dice: Callable[[], float] = random.random

    def fetch(self, request: Request, target: Path) -> Fetched:
        """Fetch a file and put it at its target, whole and checked, in place of what is there.

        Must not be called where an event loop runs: it runs one of its own.

        Raises:
            DownloadError: it is refused, is not what was expected, or did not come in time. What came of it in the
                last case is kept, and the next call continues there.
        """
        partial = PartialFile(target)
        found = partial.size if partial.version(request.address) else 0
        if found:
            logger.info("download: %s continues after %s bytes", request.name, f"{found:,}")
        try:
            self._complete(request, partial)
            size, sha256 = partial.size, hash_file(partial.path)
            partial.publish()
        except OSError as error:
            raise DownloadError(
                f"{error.filename or target} cannot be written: {error.strerror}. Make room or mend the permissions, "
                "and run again to continue."
            ) from error
        return Fetched(request.name, target, size, sha256, "resumed" if found and not partial.is_new else "fetched")

    def _complete(self, request: Request, partial: PartialFile) -> None:
        """Attempt until all bytes are here and proved to be the right ones."""
        deadline = self.clock() + self.config.deadline_s
        failures = n_wrong = 0
        while True:
            before = partial.size
            try:
                version = asyncio.run(self._attempt(request, partial, deadline - self.clock()))
                check_whole(request.name, version, request.expected, partial)
            except WrongBytesError as fault:
                partial.discard()
                n_wrong += 1
                if n_wrong > 1:
                    raise DownloadError(f"{request.name}: {fault}. {request.expected.remedy}") from fault
                self._wait(request, fault, 1, deadline)
            except HealableError as fault:
                failures = 1 if partial.size - before >= PROGRESS_BYTES else failures + 1
                self._wait(request, fault, failures, deadline)
            else:
                return

    def _wait(self, request: Request, fault: HealableError, failures: int, deadline: float) -> None:
        """Sleep until the next attempt is due, or give up."""
        kept = "What came is kept: run again later to continue."
        if failures >= self.config.attempts:
            raise DownloadError(f"{request.name}: {fault} ({failures} times in a row). {kept}") from fault
        asked_s = fault.wait_s or 0.0
        if asked_s > self.config.longest_wait_s:
            raise DownloadError(f"{request.name}: {fault} and asks to wait {asked_s:,.0f} s. {kept}") from fault
        backoff_s = min(FIRST_WAIT_S * 2 ** (failures - 1), LONGEST_BACKOFF_S) * (0.5 + self.dice() / 2)
        wait_s = max(backoff_s, asked_s)
        if self.clock() + wait_s >= deadline:
            raise DownloadError(f"{request.name}: {fault}, and no time is left. {kept}") from fault
        logger.warning("download: %s: %s; again in %.0f s", request.name, fault, wait_s)
        self.sleep(wait_s)

    async def _attempt(self, request: Request, partial: PartialFile, left_s: float) -> Version:
        """Ask once, add what comes to the partial file, and return what it is a part of.

        The deadline is asyncio's, because it holds for all that a request does: httpx limits the wait for the next
        byte only, and a server that sends one a second keeps it waiting for hours.
        """
        try:
            async with asyncio.timeout(max(left_s, 0)), self._client() as client:
                known = partial.version(request.address) if partial.size else None
                asked = _ask_for_rest(known, partial.size)
                async with open_answer(client, request.address, asked, request.auth) as response:
                    return await self._receive(response, request, partial, known if asked else None)
        except TimeoutError as error:
            raise DownloadError(
                f"{request.name}: {self.config.deadline_s:,g} s were not enough. What came ({partial.size:,} bytes) is "
                "kept: run again to continue."
            ) from error
        except httpx.TransportError as error:
            if "CERTIFICATE_VERIFY_FAILED" in str(error):
                raise DownloadError(f"{request.name}: the server's certificate is not trusted ({error}).") from error
            raise HealableError(f"the connection failed ({str(error) or type(error).__name__})") from error

    async def _receive(
        self, response: httpx.Response, request: Request, partial: PartialFile, known: Version | None
    ) -> Version:
        check_status(response, request.name, request.refusals)
        if response.status_code == 416:
            return _continue(response, partial, known)
        version = read_version(response, request.address) if response.status_code == 200 else None
        check_form(response, request.name, is_verifiable=bool(request.expected.sha256 or (version and version.md5)))
        if version is None:
            version = _continue(response, partial, known)
        else:
            check_announced(request.name, version, request.expected, self.config.max_bytes)
            partial.begin(version)
        await self._write_body(response, request, partial, version)
        return version

    async def _write_body(
        self, response: httpx.Response, request: Request, partial: PartialFile, version: Version
    ) -> None:
        size = partial.size
        progress = Progress(f"download {request.name}, bytes", version.length and version.length - size)
        window_s, window_bytes = self.clock(), 0
        with partial.append() as file:
            async for chunk in response.aiter_raw():
                file.write(chunk)
                size += len(chunk)
                window_bytes += len(chunk)
                progress.advance(len(chunk))
                if size > self.config.max_bytes:
                    partial.discard()
                    raise DownloadError(f"{request.name} is larger than the {self.config.max_bytes:,} bytes accepted.")
                if self.clock() - window_s >= self.config.stall_s:
                    if window_bytes < STALL_BYTES:
                        raise HealableError(f"only {window_bytes} bytes came in {self.config.stall_s:g} s")
                    window_s, window_bytes = self.clock(), 0
        progress.finish()

    def _client(self) -> httpx.AsyncClient:
        timeout = httpx.Timeout(self.config.stall_s, connect=self.config.connect_timeout_s)
        agent = f"genreflow/{package_version('genreflow')}"
        headers = {"User-Agent": agent, "Accept-Encoding": "identity"}
        return httpx.AsyncClient(timeout=timeout, headers=headers, verify=_certificates())


@cache
def _certificates() -> ssl.SSLContext:
    """Return the trusted certificates; reading them takes longer than many a file."""
    return httpx.create_ssl_context()


def _ask_for_rest(known: Version | None, size: int) -> dict[str, str]:
    """Return the headers that ask for what is missing, on condition that the file is still the same; else none."""
    if known is None or known.validator is None or not size:
        return {}
    return {"Range": f"bytes={size}-", "If-Range": known.validator}


def _continue(response: httpx.Response, partial: PartialFile, known: Version | None) -> Version:
    """Return what the partial file is a part of, if the answer (206 or 416) fits behind it.

    Raises:
        WrongBytesError: it does not.
    """
    given = read_range(response)
    now = read_version(response, known.address if known else "")
    if known is None:
        raise WrongBytesError(f"{response.url.host} answers with a part although all of it was asked for")
    fits = given.start == partial.size if response.status_code == 206 else given.total == partial.size
    is_same = (
        known.length in (None, given.total or known.length)
        and now.etag in (None, known.etag)
        and now.last_modified in (None, known.last_modified)
    )
    if not fits or not is_same:
        raise WrongBytesError(f"{response.url.host} answers with another part than the one that was asked for")
    return replace(known, length=known.length or given.total)
