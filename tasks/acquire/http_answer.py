"""What a server's answer to a request for a file means. Owns reading status and headers; sends and writes nothing."""

import base64
import binascii
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

import httpx

from tasks.acquire.partial_file import Version
from tasks.acquire.retry_after import parse_retry_after
from tasks.errors import DownloadError

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
