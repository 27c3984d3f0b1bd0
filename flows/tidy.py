"""Remove old runs, logs and caches: `python flows/tidy.py [--plan] [--keep-runs 20] [--caches] [--purge]`.

Not a Prefect flow, because it does not need a server.
"""

import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

from flows.cli import run_command
from flows.config import TidyConfig
from tasks.core.settings import DataPaths, data_paths
from tasks.stage import TEMPORARY_PREFIX


def find_removable(paths: DataPaths, keep_logs: int, caches: bool) -> list[Path]:
    """Return what no command needs: old logs, fetched results, files of killed runs, and with `caches` features."""
    logs = sorted(paths.logs.glob("*.log"), key=lambda log: log.stat().st_mtime, reverse=True)
    found = [*logs[keep_logs:], *_entries(paths.compared), *(_entries(paths.features) if caches else [])]
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
    """Return the size on disk of files and folders, in megabytes."""
    files = (file for path in found for file in (path.rglob("*") if path.is_dir() else [path]) if file.is_file())
    return sum(file.stat().st_size for file in files) / 1e6


def _entries(folder: Path) -> list[Path]:
    return sorted(folder.iterdir()) if folder.is_dir() else []


def tidy(config: TidyConfig) -> int:
    """Remove what is old, or only report it; registered models and their runs are always kept."""
    from flows.run_context import exclusive  # noqa: PLC0415 - `--help` is answered without these
    from tasks.tracking.past_runs import empty_trash, find_old_runs, remove_runs  # noqa: PLC0415

    paths = data_paths()
    with exclusive(paths):
        old = find_old_runs(config.experiment, config.keep_runs, paths)
        found = find_removable(paths, config.keep_runs, config.caches)
        sys.stdout.write(
            f"MLflow: {old.n_pipelines} pipeline runs ({len(old.run_ids)} including their models' runs) and "
            f"{len(old.model_ids)} logged models\n"
            f"{paths.root}: {len(found)} files and folders, {size_mb(found):.1f} MB\n"
        )
        if config.plan:
            sys.stdout.write("nothing was removed; run without --plan to remove these\n")
            return 0
        remove_runs(old)
        remove(found)
        if config.purge:
            empty_trash()
            sys.stdout.write("removed; MLflow's trash is empty\n")
        else:
            sys.stdout.write("removed; the runs are in MLflow's trash, which --purge empties\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(run_command(TidyConfig, tidy))
