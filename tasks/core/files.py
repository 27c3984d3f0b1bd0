"""Hashes of files, and the check of a folder against its `hashes.json`. Part of logged models."""

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from tasks.core.errors import ModelError

HASHES_FILE: Final = "hashes.json"
REMEDY: Final = (
    "do not use this model: restore the previous champion (flows/compare.py --rollback), or delete it in MLflow and "
    "train it again"
)


def write_json(path: Path, content: object) -> None:
    """Write indented JSON; a number that is not finite is an error."""
    path.write_text(json.dumps(content, ensure_ascii=False, indent=1, allow_nan=False) + "\n", encoding="utf-8")


def is_same_file(one: Path, other: Path) -> bool:
    """Return whether two paths name one file, by whatever spelling or link; neither has to exist."""
    one, other = one.expanduser(), other.expanduser()
    return one.samefile(other) if one.exists() and other.exists() else one.resolve() == other.resolve()


def hash_file(path: Path) -> str:
    """Return the SHA-256 of a file's content, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def hash_files(paths: Sequence[Path]) -> str:
    """Return one SHA-256 over the names and contents of files, regardless of their order and folder."""
    digest = hashlib.sha256()
    for name, content in sorted((path.name, hash_file(path)) for path in paths):
        digest.update(f"{name}\0{content}\n".encode())
    return digest.hexdigest()


def write_hashes(folder: Path) -> str:
    """Write a folder's `hashes.json`; return its SHA-256, to verify the folder later if kept out of reach."""
    write_json(folder / HASHES_FILE, _hash_all(folder))
    return hash_file(folder / HASHES_FILE)


def check_hashes(folder: Path, digest: str | None = None) -> None:
    """Check that a folder has exactly the files that were stored, unchanged.

    A `ModelError` names the first file that was changed, is missing or was added. Without `digest`, which
    `write_hashes` returned, damage is found, but not a deliberate change of `hashes.json`.
    """
    manifest = folder / HASHES_FILE
    try:
        if digest is not None and hash_file(manifest) != digest:
            raise ModelError(f"{manifest} was changed since it was stored: {REMEDY}")
        stored = dict(json.loads(manifest.read_text(encoding="utf-8")))
        found = _hash_all(folder)
    except (OSError, ValueError, TypeError) as error:
        raise ModelError(f"{manifest} is missing or damaged ({error}): {REMEDY}") from error
    for name in sorted({*stored, *found}):
        if name not in found:
            raise ModelError(f"{folder / name} is missing: {REMEDY}")
        if name not in stored:
            raise ModelError(f"{folder / name} was added since the model was stored: {REMEDY}")
        if stored[name] != found[name]:
            raise ModelError(f"{folder / name} was changed since it was stored: {REMEDY}")


def _hash_all(folder: Path) -> dict[str, str]:
    files = sorted(path for path in folder.rglob("*") if path.is_file() and path != folder / HASHES_FILE)
    return {path.relative_to(folder).as_posix(): hash_file(path) for path in files}
