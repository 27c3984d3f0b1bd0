"""Remove old runs, logs and caches: `python flows/tidy.py [--plan] [--keep-runs 20] [--caches] [--purge]`.

Not a Prefect flow, because it does not need a server.
"""

import contextlib
import re
import shutil
import sys
from pathlib import Path

from flows.cli import run_command
from flows.config import TidyConfig
from tasks.core.settings import DataPaths, data_paths
from tasks.stage import TEMPORARY_PREFIX, is_abandoned, written_by_stages


def tidy(config: TidyConfig) -> int:
    """Remove what is old, or only report it; registered models and their runs are always kept."""
    from flows.run_context import exclusive
    from tasks.tracking.past_runs import empty_trash, find_old_runs, remove_runs

    paths = data_paths()
    with exclusive(paths):
        if config.outputs:
            return clean(paths, config.plan)
        old = find_old_runs(config.experiment, config.keep_runs, paths)
        found = find_removable(paths, config.keep_runs, config.caches)
        files = [file for path in found for file in (path.rglob("*") if path.is_dir() else [path]) if file.is_file()]
        sys.stdout.write(
            f"MLflow: {old.n_pipelines} pipeline runs ({len(old.run_ids)} including their models' runs) and "
            f"{len(old.model_ids)} logged models\n{paths.root}: {len(found)} files and folders, "
            f"{sum(file.stat().st_size for file in files) / 1e6:.1f} MB\n"
        )
        if config.plan:
            sys.stdout.write("nothing was removed; run without --plan to remove these\n")
            return 0
        remove_runs(old)
        for path in found:
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)
        if config.purge:
            empty_trash()
        left = "MLflow's trash is empty" if config.purge else "the runs are in MLflow's trash, which --purge empties"
        sys.stdout.write(f"removed; {left}\n")
    return 0


def clean(paths: DataPaths, plan: bool) -> int:
    """Remove what stages wrote and nobody changed since, and logs; list what is left."""
    found = [*written_by_stages(paths.root), *filter(is_log, paths.logs.glob("*"))]
    size_mb = sum(path.stat().st_size for path in found) / 1e6
    if plan:
        sys.stdout.write(f"{paths.root}: {len(found)} outputs, {size_mb:.1f} MB; run without --plan to remove them\n")
        return 0
    for path in found:
        path.unlink()
    emptied = {folder for path in found for folder in path.parents if paths.root in folder.parents}
    for folder in sorted(emptied, reverse=True):
        with contextlib.suppress(OSError):  # it is not empty
            folder.rmdir()
    kept = sorted({path.relative_to(paths.root).parts[0] for path in paths.root.rglob("*") if path.is_file()})
    kept = [name for name in kept if name not in ("README.md", paths.lock.name, paths.folder_id.name)]
    sys.stdout.write(f"removed {len(found)} outputs, {size_mb:.1f} MB\n")
    if kept:
        sys.stdout.write(f"kept in {paths.root}, since no run makes them again or they are yours: {', '.join(kept)}\n")
    return 0


def is_log(path: Path) -> bool:
    """Return whether a file is the log of a run."""
    return re.fullmatch(r"\d{8}-\d{6}-\d+\.log", path.name) is not None


def find_removable(paths: DataPaths, keep_logs: int, caches: bool) -> list[Path]:
    """Return what no command needs: old logs, fetched results, files of killed runs, and with `caches` features."""
    logs = sorted(paths.logs.glob("*.log"), key=lambda log: log.stat().st_mtime, reverse=True)
    features = sorted(paths.features.glob("*")) if caches else []
    found = [*logs[keep_logs:], *sorted(paths.compared.glob("*")), *features]
    inside = set(found)
    unfinished = [path for path in paths.root.rglob(f"{TEMPORARY_PREFIX}*") if inside.isdisjoint(path.parents)]
    return [*found, *filter(is_abandoned, unfinished)]


if __name__ == "__main__":
    raise SystemExit(run_command(TidyConfig, tidy))
