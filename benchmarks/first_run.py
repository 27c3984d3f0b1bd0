"""How long it takes from `git clone` to the first leaderboard: what a newcomer waits.

    python benchmarks/first_run.py

The committed revision is cloned into a new folder, and `make install` and `make run` are called there. Most of the time
of the first goes to fetching packages, of which pip may have kept some: it depends on the network and on pip's cache.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
OWN = ("GENREFLOW_", "MLFLOW_", "PREFECT_", "PYTHONPATH", "MAKE", "MFLAGS", "VIRTUAL_ENV")


def main() -> None:
    """Clone, install, run, and print a table and a line of JSON."""
    environment = {key: value for key, value in os.environ.items() if not key.startswith(OWN)}
    taken = {}
    with tempfile.TemporaryDirectory() as folder:
        clone = str(Path(folder) / "genreflow")
        for name, command in {
            "git clone": ["git", "clone", "--quiet", str(ROOT), clone],
            "make install": ["make", "-C", clone, "install"],
            "make run": ["make", "-C", clone, "run"],
        }.items():
            start_s = time.perf_counter()
            subprocess.run(command, env=environment, check=True, stdout=sys.stderr)
            taken[name] = round(time.perf_counter() - start_s, 1)
    for name, seconds in taken.items():
        print(f"{name:16} {seconds:6.1f} s")
    print(json.dumps({"benchmark": "first_run", "taken_s": taken, "in_all_s": round(sum(taken.values()), 1)}))


if __name__ == "__main__":
    main()
