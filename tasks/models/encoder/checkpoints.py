"""Checkpoints that vouch for themselves: whether one is whole. Owns the file that says so."""

import json
import logging
import shutil
from pathlib import Path
from typing import Final

from tasks.stage import hash_file, write_atomically

logger = logging.getLogger(__name__)

PREFIX: Final = "checkpoint-"
SEAL: Final = "complete.json"


def seal(checkpoint: Path) -> None:
    """Write the hashes of a finished checkpoint's files beside them."""
    files = sorted(file for file in checkpoint.rglob("*") if file.is_file() and file.name != SEAL)
    hashes = {str(file.relative_to(checkpoint)): hash_file(file) for file in files}
    write_atomically(checkpoint / SEAL, json.dumps(hashes, indent=1) + "\n")


def is_whole(checkpoint: Path) -> bool:
    """Tell whether a checkpoint has all its files as they were written."""
    try:
        hashes: dict[str, str] = json.loads((checkpoint / SEAL).read_text(encoding="utf-8"))
        return bool(hashes) and all(hash_file(checkpoint / name) == value for name, value in hashes.items())
    except (OSError, ValueError, AttributeError):
        return False


def last_whole(folder: Path) -> Path | None:
    """Return the newest whole checkpoint of a folder, or None; those that are not whole are told and removed."""
    steps = [path for path in folder.glob(f"{PREFIX}*") if path.name.removeprefix(PREFIX).isdecimal()]
    for checkpoint in sorted(steps, key=lambda path: int(path.name.removeprefix(PREFIX)), reverse=True):
        if is_whole(checkpoint):
            return checkpoint
        logger.warning("%s is damaged or was not finished: removed, the one before it is used", checkpoint)
        shutil.rmtree(checkpoint)
    return None
