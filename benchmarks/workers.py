"""How much faster two models at a time are than one: the classical models of `standard`, with each runner.

    python benchmarks/workers.py [FOLDER_OR_ZIP] [--runners thread process dask]       (default: the embedded sample)

The data is prepared once; each runner then trains and builds its own features. Wall time is that of the whole command,
including start-up. Dask's scheduler and workers, with one thread each, are started before it, and their CPU time
counts. Compare ratios of one run: seconds depend on the machine and its load; `load` is the load before a runner
started.
"""

import argparse
import contextlib
import json
import os
import resource
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

FLOWS = Path(__file__).resolve().parents[1] / "flows"
WAYS = (("thread", 1), ("thread", 2), ("process", 2), ("dask", 1), ("dask", 2))
CLASSICAL = ("--preset", "standard", "--models", "*,!*-tuned*,!minilm*")


@contextlib.contextmanager
def dask_cluster(folder: Path, workers: int) -> Iterator[str]:
    """Run a Dask scheduler on a free loopback port and workers for it, and yield its address."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    address, dask = f"tcp://127.0.0.1:{port}", (sys.executable, "-m", "dask")
    worker = (*dask, "worker", address, "--nthreads", "1", "--no-nanny", "--no-dashboard")
    commands = [(*dask, "scheduler", "--host", "127.0.0.1", "--port", port, "--no-dashboard"), *[worker] * workers]
    environment = environment_in(folder) | {"OMP_NUM_THREADS": "1"}
    with contextlib.ExitStack() as processes:
        for command in commands:
            started = processes.enter_context(subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL))
            processes.callback(started.terminate)
        from distributed import Client  # noqa: PLC0415 - only this way needs it

        with Client(address, timeout=120, set_as_default=False) as client:
            client.wait_for_workers(workers, timeout=120)
        yield address


def environment_in(folder: Path) -> dict[str, str]:
    """Return this process's environment with outputs in a folder."""
    own = {
        "GENREFLOW_DATA_DIR": str(folder / "data"),
        "GENREFLOW_MLRUNS_DIR": str(folder / "mlruns"),
        "PREFECT_HOME": str(folder / "prefect"),
    }
    return {key: value for key, value in os.environ.items() if key != "MLFLOW_TRACKING_URI"} | own


def run_flow(folder: Path, *arguments: str) -> dict[str, float]:
    """Run a flow file with separate outputs, and return its cost."""
    (folder / "prefect").mkdir(exist_ok=True)
    load, start_s = os.getloadavg()[0], time.perf_counter()
    subprocess.run([sys.executable, *arguments], env=environment_in(folder), check=True)
    return {"wall_s": round(time.perf_counter() - start_s, 1), "load": round(load, 1)}


def train(folder: Path, runner: str, workers: int) -> dict[str, float]:
    """Train on prepared data, and return the cost."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    command = (str(FLOWS / "train.py"), *CLASSICAL, "--runner", runner)
    if runner == "dask":
        with dask_cluster(folder, workers) as address:
            cost = run_flow(folder, *command, "--dask-address", address)
    else:
        cost = run_flow(folder, *command, "--workers", str(workers))
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return {**cost, "cpu_s": round(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, 1)}


def main() -> None:
    """Prepare, train with each runner, and print a table and a line of JSON."""
    parser = argparse.ArgumentParser(description="How much faster two models at a time are than one.")
    parser.add_argument("source", nargs="?", default="sample", metavar="FOLDER_OR_ZIP", help="without: the sample")
    runners = tuple(dict.fromkeys(runner for runner, _ in WAYS))
    parser.add_argument("--runners", nargs="+", choices=runners, default=runners, help="without: all")
    options = parser.parse_args()
    source, measured = options.source, {}
    with tempfile.TemporaryDirectory() as folder:
        prepared = Path(folder, "prepared")
        prepared.mkdir()
        run_flow(prepared, str(FLOWS / "prepare.py"), "--source", source, "--preset", "standard")
        for runner, workers in WAYS:
            if runner in options.runners:
                own = Path(shutil.copytree(prepared, Path(folder, f"{runner}-{workers}")))
                measured[f"{runner}, {workers}"] = train(own, runner, workers)
    first_s = next(iter(measured.values()))["wall_s"]
    print(f"\n{'runner, workers':16} {'wall s':>8} {'CPU s':>8} {'load':>6} {'times as fast as the first':>27}")
    for way, cost in measured.items():
        times = first_s / cost["wall_s"]
        print(f"{way:16} {cost['wall_s']:8.1f} {cost['cpu_s']:8.1f} {cost['load']:6.1f} {times:27.2f}")
    print(json.dumps({"source": Path(source).name, "models": CLASSICAL[-1], "measured": measured}))


if __name__ == "__main__":
    main()
