"""The table of `docs/retries.md`, made from the tasks themselves: `python docs/retries.py > docs/retries.md`."""

import importlib
import sys
from pathlib import Path
from typing import Final

from prefect import Task

ROOT: Final = Path(__file__).resolve().parents[1]
HEAD: Final = """# Retries

Every task of the pipeline is tried again after an error that can heal, and after no other. Made by
`python docs/retries.py`.

| heals | does not |
|---|---|
| a network or a server that does not answer (after the HTTP client's own retries) | what a server refuses |
| object storage that cannot be reached or is too busy | a missing bucket or key, refused credentials |
| a database that is locked | an MLflow server that is away: MLflow has waited for it by itself |
| a worker process that died | a model that cannot be fitted |
| a file system that answers EIO, EAGAIN or ESTALE | a full disk, a folder that may not be written |
| | a user's mistake, bad data, a defect |

A crawl that stopped for its quota has not failed; one that is blocked is not tried again.

No task has a timeout: Prefect cannot interrupt what runs in a thread. What a task calls has its own: HTTP clients for a
connection and for a stalled answer, object storage, MLflow for its server (120 s) and its database (20 s).

| room | task | retries | delays, s (and up to half of it more) |
|---|---|---:|---|
"""


def tasks() -> list[tuple[str, Task]]:
    """Return every task of the pipeline with its room."""
    found = []
    for file in sorted(ROOT.glob("tasks/*/task.py")):
        module = importlib.import_module(f"tasks.{file.parent.name}.task")
        found += [(file.parent.name, value) for value in vars(module).values() if isinstance(value, Task)]
    return found


def table() -> str:
    """Return the page."""
    rows = []
    for room, task in tasks():
        delays = task.retry_delay_seconds
        shown = ", ".join(f"{delay:g}" for delay in (delays if isinstance(delays, list) else [delays]))
        rows.append(f"| {room} | {task.name} | {task.retries} | {shown} |")
    return HEAD + "\n".join(rows) + "\n"


if __name__ == "__main__":
    sys.stdout.write(table())
