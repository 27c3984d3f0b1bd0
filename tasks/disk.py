"""What the disk refuses, told so that it can be mended. Owns how it is recognised and worded; writes nothing."""

import contextlib
import errno
import os
import shutil
from pathlib import Path
from typing import Final

from tasks.errors import DataError, GenreflowError

FULL: Final = (errno.ENOSPC, errno.EDQUOT)
NO_ROOM_BYTES: Final = 1 << 16
REFUSED: Final = (errno.EROFS, errno.EACCES, errno.EPERM)


class DiskError(DataError):
    """A folder is full or may not be written."""


def disk_error(error: BaseException, folder: Path, what: str) -> DiskError | None:
    """Return what to tell of an error that comes from the disk, None of any other.

    Libraries in Rust and C++ raise their own errors or an `OSError` without number, so the system's wording counts too.

    Args:
        error: what was raised.
        folder: where it was written.
        what: which work could not write, such as a stage's name.
    """
    if isinstance(error, GenreflowError):
        return None  # which says by itself what is wrong
    if _is_one_of(error, FULL) or _is_full(folder):
        said = " ".join(str(error).split()) or repr(error)
        return DiskError(
            f"{what}: the disk of {folder} is full ({said}); free some space (`make tidy` removes old results) and run "
            "the same command again, which goes on from there"
        )
    if _is_one_of(error, REFUSED):
        place = getattr(error, "filename", None) or folder
        return DiskError(
            f"{what}: {place} cannot be written ({os.strerror(getattr(error, 'errno', None) or errno.EACCES)}); mend "
            "its permissions, or set GENREFLOW_DATA_DIR to another folder"
        )
    return None


def _is_full(folder: Path) -> bool:
    """Return whether no file fits any more: not every library says what stopped it."""
    for path in (folder, *folder.absolute().parents):
        with contextlib.suppress(OSError):  # it is not there, or in a folder that may not be entered
            return shutil.disk_usage(path).free < NO_ROOM_BYTES
    return False


def _is_one_of(error: BaseException, numbers: tuple[int, ...]) -> bool:
    if isinstance(error, OSError) and error.errno is not None:
        return error.errno in numbers
    text = str(error)
    return any(f"(os error {number})" in text or text == os.strerror(number) for number in numbers)
