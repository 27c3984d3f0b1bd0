"""Whether what came is what was promised. Owns the checks of size, hash and kind; fetches nothing."""

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tasks.acquire.http_answer import HealableError, page_instead
from tasks.acquire.partial_file import PartialFile, Version
from tasks.errors import DownloadError
from tasks.hashes import hash_file

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
