"""Runs the pipeline again and again in one process, and tells after each run what the process holds.

    DRILL_RUNS=30 python soak.py ARGUMENT ...        (prints one line of JSON a run)

Each run has a seed of its own, so that it trains anew; the first makes the champion, whom none challenges.
"""

import gc
import json
import os
import sys
import threading

import psutil
from victims import log_a_run

from flows.cli import ENVIRONMENT, log_to_console, parse_command
from flows.config import FlowConfig, PipelineConfig


def holds() -> dict[str, float]:
    """Return what this process holds: memory in megabytes, Python's objects, open files and connections, threads."""
    gc.collect()
    process = psutil.Process()
    return {
        "memory_mb": process.memory_info().rss / 1e6,
        "objects": len(gc.get_objects()),
        "files": process.num_fds(),
        "threads": threading.active_count(),
    }


def tell() -> None:
    """Print what this process holds."""
    sys.stdout.write(json.dumps(holds()) + "\n")
    sys.stdout.flush()


def log_many_runs(config: FlowConfig) -> int:
    """Log a run again and again, and tell after each; a command of the nursery."""
    for _ in range(int(os.environ["DRILL_RUNS"])):
        log_a_run(config)
        tell()
    return 0


def main() -> None:
    """Run and tell."""
    for key, value in ENVIRONMENT.items():
        os.environ.setdefault(key, value)
    log_to_console(verbose=False)
    from flows.full_pipeline import full_pipeline  # noqa: PLC0415 - what is set above is read when it is imported

    for number in range(int(os.environ["DRILL_RUNS"])):
        own = ["--seed", str(number), "--promotion.enabled", "false" if number else "true"]
        full_pipeline(config=parse_command(PipelineConfig, [*sys.argv[1:], *own]))
        tell()


if __name__ == "__main__":
    main()
