"""Checkpoints that vouch for themselves: whether one is whole. Owns the file that says so."""

import json
import logging
import shutil
from pathlib import Path
from typing import Final

from tasks.hashes import hash_file
from tasks.stage import write_atomically

logger = logging.getLogger(__name__)

PREFIX: Final = "checkpoint-"
SEAL: Final = "complete.json"
SPENT: Final = "spent_s.txt"
STATE: Final = "trainer_state.json"  # the trainer's


def spent_s(folder: Path) -> float:
    """Return how long the trainings took that left a folder's checkpoints, until the last one of them was written."""
    try:
        return float((folder / SPENT).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return 0.0


def note_spent_s(folder: Path, seconds: float) -> None:
    """Note that for a training that goes on."""
    write_atomically(folder / SPENT, f"{seconds}\n")


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
    """Return the newest whole checkpoint of a folder, or None; others are told and removed.

    One is of use only as long as the best one before it is whole, too.
    """
    steps = [path for path in folder.glob(f"{PREFIX}*") if path.name.removeprefix(PREFIX).isdecimal()]
    for checkpoint in sorted(steps, key=lambda path: int(path.name.removeprefix(PREFIX)), reverse=True):
        broken = [needed for needed in (checkpoint, *_best_before(checkpoint)) if not is_whole(needed)]
        if not broken:
            return checkpoint
        logger.warning(
            "%s is damaged or was not finished: %s is removed, the one before it is used", broken[0], checkpoint.name
        )
        shutil.rmtree(checkpoint)
    return None


def _best_before(checkpoint: Path) -> list[Path]:
    """Return the best checkpoint of a training so far, which it ends with if no better one comes."""
    try:
        step = json.loads((checkpoint / STATE).read_text(encoding="utf-8"))["best_global_step"]
    except (OSError, ValueError, KeyError, TypeError):
        return []
    return [] if step is None else [checkpoint.with_name(f"{PREFIX}{step}")]
