"""Old runs, logs and caches go: `python flows/tidy.py [--plan] [--keep-runs 20] [--caches] [--purge]`.

It takes no flow, since a Prefect server has nothing to do in it.
"""

import sys

from flows.command_line import run_command
from flows.config import TidyConfig


def tidy(config: TidyConfig) -> int:
    """Remove what is old, or only say what would go; a registered model and its runs always stay."""
    from flows.runtime import exclusive  # noqa: PLC0415 - as all of these: `--help` is answered without them
    from tasks.leftovers import find_leftovers, remove, size_mb  # noqa: PLC0415
    from tasks.paths import data_paths  # noqa: PLC0415
    from tasks.tracking.tidy import empty_trash, find_old_runs, remove_runs  # noqa: PLC0415

    paths = data_paths()
    with exclusive(paths):
        old = find_old_runs(config.experiment, config.keep_runs, paths)
        found = find_leftovers(paths, config.keep_runs, config.caches)
        sys.stdout.write(
            f"MLflow: {old.n_pipelines} pipeline runs ({len(old.run_ids)} with their models' runs) and "
            f"{len(old.model_ids)} logged models\n"
            f"{paths.root}: {len(found)} files and folders, {size_mb(found):.1f} MB\n"
        )
        if config.plan:
            sys.stdout.write("nothing is removed; without --plan these go\n")
            return 0
        remove_runs(old)
        remove(found)
        if config.purge:
            empty_trash()
            sys.stdout.write("removed; MLflow's trash is empty\n")
        else:
            sys.stdout.write("removed; the runs lie in MLflow's trash, which --purge empties\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(run_command(TidyConfig, tidy))
