"""How long a newcomer waits from `git clone` to the first leaderboard, and for each further step.

    python benchmarks/first_run.py [REVISION ...]        (default: HEAD)

Each revision is cloned into a new folder, with separate data, MLflow store and Prefect database, and runs the same
commands; give two revisions to compare them in one run. Packages come from the network or from the caches of uv and
pip, so the times of `make run` in a clone and of `make install` depend on both.
"""

import json
import os
import re
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[1]
FOREIGN: Final = ("GENREFLOW_", "MLFLOW_", "PREFECT_", "PYTHONPATH", "MAKE", "MFLAGS", "VIRTUAL_ENV")
DONE: Final = re.compile(r"(\S+/\S+): done in ([\d.]+) s")
SHOWN: Final = re.compile("draw|report|leaderboard|similarity|explore|versus")  # stages that make pictures and pages


def measure(command: list[str], environment: Mapping[str, str]) -> dict[str, float]:
    """Run a command; return its wall and CPU seconds, and those of the stages that draw."""
    before, start_s = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    process = subprocess.run(command, env=environment, check=True, capture_output=True, text=True)
    wall_s, after = time.perf_counter() - start_s, resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu_s = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    drawing_s = sum(float(seconds) for stage, seconds in DONE.findall(process.stderr) if SHOWN.search(stage))
    return {"wall_s": round(wall_s, 1), "cpu_s": round(cpu_s, 1), "drawing_s": round(drawing_s, 1)}


def measure_revision(revision: str, folder: Path) -> dict[str, dict[str, float]]:
    """Return what each step costs in a fresh clone of a revision."""
    clone = str(folder / "genreflow")
    foreign = {key: value for key, value in os.environ.items() if not key.startswith(FOREIGN)}
    environment = {**foreign, "PREFECT_HOME": str(folder / "prefect")}
    elsewhere = {"GENREFLOW_DATA_DIR": str(folder / "data"), "GENREFLOW_MLRUNS_DIR": str(folder / "mlruns")}
    run = ["make", "-C", clone, "run"]
    subprocess.run(["git", "clone", "--quiet", str(ROOT), clone], check=True)
    subprocess.run(["git", "-C", clone, "checkout", "--quiet", revision], check=True)
    return {
        "make run in a fresh clone": measure(run, environment),
        "make run, new data folder": measure(run, {**environment, **elsewhere}),
        "make run, unchanged": measure(run, {**environment, **elsewhere}),
        "make install": measure(["make", "-C", clone, "install"], environment),
    }


def main() -> None:
    """Measure each revision, and print a table and a line of JSON."""
    found = {}
    for revision in sys.argv[1:] or ["HEAD"]:
        with tempfile.TemporaryDirectory() as folder:
            found[revision] = measure_revision(revision, Path(folder))
        print(f"\n{revision:28} {'wall s':>8} {'CPU s':>8} {'of it pictures and pages, s':>28}")
        for step, taken in found[revision].items():
            print(f"{step:28} {taken['wall_s']:8.1f} {taken['cpu_s']:8.1f} {taken['drawing_s']:28.1f}")
    print(json.dumps({"benchmark": "first_run", "taken": found}))


if __name__ == "__main__":
    main()
