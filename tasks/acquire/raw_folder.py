"""Whose the files in `data/raw` are. Owns the record of what genreflow put there; knows no source.

Files of the user are never overwritten or removed. A file is ours if its name and the hash of its content are on the
record; the record is written before the files, so that a run killed in between does not take its own for the user's.
"""

import json
import logging
from pathlib import Path
from typing import Final

from tasks.hashes import hash_file
from tasks.stage import Stage, write_atomically

logger = logging.getLogger(__name__)

RECORD: Final = "acquire.owned.json"


def divide_by_owner(folder: Path) -> tuple[list[str], list[str]]:
    """Return the names of the CSVs in the folder, sorted: those that genreflow wrote, and those that it did not."""
    record = _read_record(folder)
    ours: list[str] = []
    theirs: list[str] = []
    for path in sorted(filter(Path.is_file, folder.glob("*.csv"))):
        (ours if path.name in record and hash_file(path) in record[path.name] else theirs).append(path.name)
    return ours, theirs


def make_room(stage: Stage, unfinished: Path) -> None:
    """Put the new files on the record, then remove those of ours that the new source does not have.

    Called when all new files are written under `unfinished`. The sidecar goes first: nothing vouches for a mix.
    """
    ours, _ = divide_by_owner(stage.folder)
    record = {name: {hash_file(stage.folder / name)} for name in ours}
    for name in stage.outputs:
        record.setdefault(name, set()).add(hash_file(unfinished / name))
    text = json.dumps({name: sorted(hashes) for name, hashes in sorted(record.items())}, ensure_ascii=False, indent=1)
    write_atomically(stage.folder / RECORD, text + "\n")
    stage.sidecar.unlink(missing_ok=True)
    for name in set(ours).difference(stage.outputs):
        logger.info("%s: %s is of the previous source and is removed", stage.name, name)
        (stage.folder / name).unlink()


def _read_record(folder: Path) -> dict[str, list[str]]:
    path = folder / RECORD
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except ValueError as error:
        logger.warning("%s cannot be read (%s): all files beside it are taken for the user's", path, error)
        return {}
    return record if isinstance(record, dict) else {}
