"""One file from a server to the disk, whatever happens in between. Owns attempts, waits, deadlines and checks.

A download is a partial file beside the target, continued where the last attempt, or the last run, ended, and renamed
when all of it was checked. Knows no data set; `http_answer` knows what an answer means.
"""

import asyncio
import logging
import random
import ssl
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cache
from importlib.metadata import version as package_version
from pathlib import Path
from typing import Final, Literal

import httpx

from tasks.acquire.config import DownloadConfig
from tasks.acquire.http_answer import (
    HealableError,
    check_form,
    check_status,
    open_answer,
    read_range,
    read_version,
)
from tasks.acquire.partial_file import PartialFile, Version
from tasks.acquire.whole_file import ANYTHING, Expected, WrongBytesError, check_announced, check_whole
from tasks.errors import DownloadError
from tasks.hashes import hash_file
from tasks.progress import Progress

logger = logging.getLogger(__name__)

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
