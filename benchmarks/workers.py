"""How much faster two models at a time are than one: the classical models of `standard`, in threads and processes.

    python benchmarks/workers.py [FOLDER_OR_ZIP]         (default: the embedded sample)

The data is prepared once; each way then trains from features of its own. Wall time is that of the whole command, its
start-up included. Ratios of one run count: seconds depend on the machine, and on what else it does.
"""

import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

FLOWS = Path(__file__).resolve().parents[1] / "flows"
WAYS = (("thread", 1), ("thread", 2), ("process", 2))
CLASSICAL = ("--preset", "standard", "--models", "*,!*-tuned*,!minilm*")


def run_flow(folder: Path, *arguments: str) -> dict[str, float]:
    """Run a flow file on outputs of its own, and return what it cost."""
    (folder / "prefect").mkdir(exist_ok=True)
    own = {
        "GENREFLOW_DATA_DIR": str(folder / "data"),
        "GENREFLOW_MLRUNS_DIR": str(folder / "mlruns"),
        "PREFECT_HOME": str(folder / "prefect"),
    }
    environment = {key: value for key, value in os.environ.items() if key != "MLFLOW_TRACKING_URI"} | own
    before, start_s = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    subprocess.run([sys.executable, *arguments], env=environment, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu_s = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return {"wall_s": round(time.perf_counter() - start_s, 1), "cpu_s": round(cpu_s, 1)}


def main() -> None:
    """Prepare, train each way, and print a table and JSON."""
    source = sys.argv[1] if len(sys.argv) > 1 else "sample"
    measured = {}
    with tempfile.TemporaryDirectory() as folder:
        prepared = Path(folder, "prepared")
        prepared.mkdir()
        run_flow(prepared, str(FLOWS / "prepare.py"), "--source", source, "--preset", "standard")
        for runner, workers in WAYS:
            own = Path(shutil.copytree(prepared, Path(folder, f"{runner}-{workers}")))
            command = (str(FLOWS / "train.py"), *CLASSICAL, "--runner", runner, "--workers", str(workers))
            measured[f"{runner}, {workers}"] = run_flow(own, *command)
    one_s = measured["thread, 1"]["wall_s"]
    print(f"\n{'runner, workers':16} {'wall s':>8} {'CPU s':>8} {'times as fast':>14}")
    for way, cost in measured.items():
        print(f"{way:16} {cost['wall_s']:8.1f} {cost['cpu_s']:8.1f} {one_s / cost['wall_s']:14.2f}")
    print(json.dumps({"source": Path(source).name, "models": CLASSICAL[-1], "measured": measured}))


if __name__ == "__main__":
    main()
