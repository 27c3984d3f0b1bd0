"""Cost of the whole pipeline: wall time, CPU time and peak memory, in total and by stage, then of a rerun.

    python benchmarks/pipeline.py [FOLDER_OR_ZIP]        (default: the embedded sample)

It runs `flows/full_pipeline.py` twice in fresh output folders, with the preset `quick`. Memory is the resident set of
the command and all its child processes (Prefect's server among them), read five times a second; memory that processes
share is counted in each. A stage's peak is the highest reading while it ran. Times depend on the machine: compare those
of one machine only.
"""

import json
import os
import platform
import re
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import psutil

ROOT = Path(__file__).resolve().parents[1]
DONE = re.compile(r"(\S+/\S+): done in ([\d.]+) s")
SKIPPED = re.compile(r"(\S+/\S+): unchanged, skipped")
INTERVAL_S = 0.2


def run_pipeline(source: str, environment: dict[str, str]) -> dict[str, object]:
    """Run the pipeline once and return its cost."""
    command = [sys.executable, str(ROOT / "flows" / "full_pipeline.py"), "--source", source]
    start_s = time.perf_counter()
    process = subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True)
    readings: list[tuple[float, float]] = []
    watcher = threading.Thread(target=watch_memory, args=(process.pid, readings), daemon=True)
    watcher.start()
    stages, skipped = [], 0
    assert process.stderr is not None
    for line in process.stderr:
        sys.stderr.write(line)
        if found := DONE.search(line):
            end_s, wall_s = time.perf_counter(), float(found[2])
            during = [mb for at_s, mb in list(readings) if end_s - wall_s - INTERVAL_S <= at_s <= end_s]
            stages.append({"stage": found[1], "wall_s": wall_s, "peak_mb": round(max(during, default=0))})
        skipped += bool(SKIPPED.search(line))
    code = process.wait()
    wall_s = time.perf_counter() - start_s
    watcher.join()
    return {
        "exit_code": code,
        "wall_s": round(wall_s, 1),
        "peak_mb": round(max(mb for _, mb in readings)),
        "stages_skipped": skipped,
        "stages": stages,
    }


def watch_memory(pid: int, readings: list[tuple[float, float]]) -> None:
    """Append (time, megabytes) of a process and its children until it ends."""
    while True:
        try:
            main = psutil.Process(pid)
            if main.status() == psutil.STATUS_ZOMBIE:
                return
            family = [main, *main.children(recursive=True)]
        except psutil.NoSuchProcess:
            return
        total = 0
        for member in family:
            try:
                total += member.memory_info().rss
            except psutil.NoSuchProcess:
                continue
        readings.append((time.perf_counter(), total / 1e6))
        time.sleep(INTERVAL_S)


def main() -> None:
    """Measure a first run and an unchanged second one, and print both as tables and JSON."""
    source = sys.argv[1] if len(sys.argv) > 1 else "sample"
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "prefect").mkdir()
        own = {
            "GENREFLOW_DATA_DIR": f"{folder}/data",
            "GENREFLOW_MLRUNS_DIR": f"{folder}/mlruns",
            "PREFECT_HOME": f"{folder}/prefect",
        }
        environment = {**{key: value for key, value in os.environ.items() if key != "MLFLOW_TRACKING_URI"}, **own}
        first, second = run_pipeline(source, environment), run_pipeline(source, environment)
    print(f"\n{'stage':44} {'wall s':>8} {'peak MB':>8}")
    for stage in first["stages"]:  # type: ignore[attr-defined]
        print(f"{stage['stage']:44} {stage['wall_s']:8.1f} {stage['peak_mb']:8,}")
    for name, run in (("whole run", first), ("unchanged second run", second)):
        print(f"{name:44} {run['wall_s']:8.1f} {run['peak_mb']:8,}   {run['stages_skipped']} stages skipped")
    cores = os.cpu_count()
    report = {"machine": f"{platform.machine()}, {cores} cores", "python": platform.python_version(), "source": source}
    print(json.dumps({**report, "source": Path(source).name, "first": first, "second": second}))


if __name__ == "__main__":
    main()
