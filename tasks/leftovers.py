"""What piles up in a data folder beside its results: logs, fetched copies, caches. Owns which may go."""

import shutil
from collections.abc import Sequence
from pathlib import Path

from tasks.paths import DataPaths
from tasks.stage import TEMPORARY_PREFIX


def find_leftovers(paths: DataPaths, keep_logs: int, caches: bool) -> list[Path]:
    """Return files and folders that no command needs: at worst one makes or fetches them again.

    Args:
        paths: the data folder.
        keep_logs: so many of the newest logs stay.
        caches: also representations of the movies, which the next training makes again.
    """
    logs = sorted(paths.logs.glob("*.log"), key=lambda log: log.stat().st_mtime, reverse=True)
    found = [*logs[keep_logs:], *_entries(paths.compared)]
    if caches:
        found += _entries(paths.features)
    inside = set(found)
    unfinished = [path for path in paths.root.rglob(f"{TEMPORARY_PREFIX}*") if inside.isdisjoint(path.parents)]
    return [*found, *unfinished]


def remove(found: Sequence[Path]) -> None:
    """Remove files and folders. The caller holds the data folder's lock."""
    for path in found:
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)


def size_mb(found: Sequence[Path]) -> float:
    """Return how much disk files and folders take, in megabytes."""
    files = (file for path in found for file in (path.rglob("*") if path.is_dir() else [path]) if file.is_file())
    return sum(file.stat().st_size for file in files) / 1e6


def _entries(folder: Path) -> list[Path]:
    return sorted(folder.iterdir()) if folder.is_dir() else []
