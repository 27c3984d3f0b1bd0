"""Cost of Prefect and MLflow: the flow of a preset and direct calls of the same functions, in turns.

    python benchmarks/overhead.py [FOLDER_OR_ZIP] [--preset standard] [--rounds 1]       (default: the embedded sample)

Start-up is the time until the first stage is done, in which Prefect starts a server; it is shown separately. CPU time
is that of the command and all its children, including the server. The fastest round of each side counts, because other
work on the machine slows the others. The sample needs little computing, so its difference is the absolute cost; on real
listings the share matters.
"""

import argparse
import json
import os
import re
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil

HERE = Path(__file__).resolve().parent
SIDES = {"flow": HERE.parent / "flows" / "full_pipeline.py", "plain": HERE / "plain_pipeline.py"}
DONE = re.compile(r"\S+: done in [\d.]+ s")
GOAL_SHARE, GOAL_S = 0.05, 10.0


def family_cpu_s(pid: int) -> float:
    """Return the CPU seconds so far of a process and all its children, including those that ended."""
    main = psutil.Process(pid)
    spent = [member.cpu_times() for member in (main, *main.children(recursive=True))]
    return sum(times.user + times.system + times.children_user + times.children_system for times in spent)


def cost(script: Path, source: str, preset: str) -> dict[str, float]:
    """Run one side in fresh folders, and return the cost of its start-up and of the rest."""
    with tempfile.TemporaryDirectory() as folder:
        own = {"GENREFLOW_DATA_DIR": "data", "GENREFLOW_MLRUNS_DIR": "mlruns", "PREFECT_HOME": "prefect"}
        kept = {key: value for key, value in os.environ.items() if key != "MLFLOW_TRACKING_URI"}
        environment = kept | {key: f"{folder}/{name}" for key, name in own.items()}
        before, start_s = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
        command = [sys.executable, str(script), "--source", source, "--preset", preset]
        process = subprocess.Popen(
            command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
        )
        startup = (0.0, 0.0)
        assert process.stderr is not None
        for line in process.stderr:
            sys.stderr.write(line)
            if startup == (0.0, 0.0) and DONE.search(line):
                startup = (time.perf_counter() - start_s, family_cpu_s(process.pid))
        if process.wait():
            raise SystemExit(f"{script.name} failed")
        wall_s, after = time.perf_counter() - start_s, resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu_s = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    found = {"startup_s": startup[0], "startup_cpu_s": startup[1], "wall_s": wall_s - startup[0]}
    return {name: round(value, 1) for name, value in (found | {"cpu_s": cpu_s - startup[1]}).items()}


def main() -> None:
    """Measure both sides in turns, and print a table and a line of JSON."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("source", nargs="?", default="sample", metavar="FOLDER_OR_ZIP", help="without: the sample")
    parser.add_argument("--preset", default="standard")
    parser.add_argument("--rounds", type=int, default=1)
    options = parser.parse_args()
    rounds: dict[str, list[dict[str, float]]] = {side: [] for side in SIDES}
    for _ in range(options.rounds):
        for side, script in SIDES.items():
            rounds[side].append(cost(script, options.source, options.preset))
    best = {side: {name: min(each[name] for each in found) for name in found[0]} for side, found in rounds.items()}
    print(f"\n{'':8} {'start-up s':>11} {'its CPU s':>10} {'then s':>8} {'CPU s':>8}")
    for side, found in best.items():
        print(f"{side:8} {found['startup_s']:11} {found['startup_cpu_s']:10} {found['wall_s']:8} {found['cpu_s']:8}")
    over = {name: round(best["flow"][name] - best["plain"][name], 1) for name in ("wall_s", "cpu_s")}
    share = {name: round(over[name] / best["plain"][name], 3) for name in over}
    print(f"overhead: {over['wall_s']} s ({share['wall_s']:.1%}), CPU {over['cpu_s']} s ({share['cpu_s']:.1%})")
    said = {"benchmark": "overhead", "source": Path(options.source).name, "preset": options.preset}
    print(json.dumps({**said, **best, "over": over, "share": share, "goal": {"share": GOAL_SHARE, "s": GOAL_S}}))


if __name__ == "__main__":
    main()
