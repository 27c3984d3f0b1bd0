"""Whether the workers of a Dask scheduler can do this project's work. Owns what they need; knows no work."""

import contextlib
import importlib.util
import logging
import os
import sys
import uuid
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from tasks.cluster import PATIENCE_S, joined
from tasks.errors import ConfigError
from tasks.hashes import hash_files
from tasks.paths import data_paths
from tasks.stage import installed_version, write_atomically

if TYPE_CHECKING:
    from distributed import Client

# What results depend on; stages record the versions, so workers with others would make each other's results anew.
PACKAGES: Final = (
    "imbalanced-learn",
    "numpy",
    "polars",
    "pyarrow",
    "scikit-learn",
    "scipy",
    "simplemma",
    "spacy",
    "torch",
)
DATA_FACTS: Final = ("data folder", "file in the data folder")  # which are nothing to the scheduler
REMEDIES: Final = {
    "data folder": "set GENREFLOW_DATA_DIR alike",
    "file in the data folder": "mount the same folder there",
    "code of the project": "bring it to the same revision",
}


def check_workers(address: str, environment: Mapping[str, str]) -> int:
    """Make sure that a scheduler's workers can do this project's work as this process would; return how many there are.

    Args:
        address: of the scheduler.
        environment: variables that workers take over where they have no value of their own.

    Raises:
        ConfigError: there is no scheduler or no worker, or one of them lacks the project or has other code or packages,
            or a worker has another data folder. The message names who, and the remedy.
    """
    with joined(address) as client:
        try:
            client.wait_for_workers(1, timeout=PATIENCE_S)
        except TimeoutError as error:
            raise ConfigError(
                f"the Dask scheduler at {address} has no worker; start some with `dask worker {address} --nthreads 1`"
            ) from error
        with _token() as token:
            ours, probe = worker_facts(token), _probe(token, environment)
            found = client.run(probe, on_error="return")
            complaints = list(_complaints("the scheduler", _facts_of_scheduler(client, probe), _without_data(ours)))
            complaints += [line for worker, facts in sorted(found.items()) for line in _complaints(worker, facts, ours)]
    if complaints:
        raise ConfigError(f"Dask at {address} cannot take part:\n" + "\n".join(f"  {line}" for line in complaints))
    return len(found)


@cache
def code_hash() -> str:
    """Return a hash of the project's code as it was when this process first asked.

    A worker goes on with the code that it has loaded, whatever becomes of the files.
    """
    folders = [Path(str(importlib.util.find_spec(name).origin)).parent for name in ("flows", "tasks")]  # type: ignore[union-attr]
    return hash_files([path for folder in folders for path in sorted(folder.rglob("*.py"))])[:12]


def worker_facts(token: Path) -> dict[str, str]:
    """Return what has to be the same on every worker and here, by name."""
    return {
        "Python": ".".join(map(str, sys.version_info[:2])),
        "code of the project": code_hash(),
        "data folder": str(data_paths().root),
        "file in the data folder": token.read_text(encoding="utf-8") if token.is_file() else "not there",
        **{package: installed_version(package) for package in PACKAGES},
    }


@contextlib.contextmanager
def _token() -> Iterator[Path]:
    """A file that only those have who see the same data folder."""
    path = data_paths().root / f".cluster-{uuid.uuid4().hex}"
    write_atomically(path, path.name)
    try:
        yield path
    finally:
        path.unlink()


def _probe(token: Path, environment: Mapping[str, str]) -> Callable[[], dict[str, str]]:
    """Return a function that travels by its code, not its name: workers without the project can run it."""
    place, taken_over = str(token), dict(environment)

    def probe() -> dict[str, str]:
        for name, value in taken_over.items():
            os.environ.setdefault(name, value)
        logging.getLogger("tasks").setLevel(logging.INFO)
        from tasks.worker_check import worker_facts  # noqa: PLC0415

        return worker_facts(Path(place))

    return probe


def _facts_of_scheduler(client: "Client", probe: Callable[[], dict[str, str]]) -> Any:
    """Return what the scheduler says of itself: it reads the arguments of tasks before it passes them on."""
    try:
        return client.run_on_scheduler(probe)
    except ImportError as error:
        return error


def _without_data(facts: Mapping[str, str]) -> dict[str, str]:
    return {name: fact for name, fact in facts.items() if name not in DATA_FACTS}


def _complaints(who: str, facts: Any, ours: Mapping[str, str]) -> Iterator[str]:
    if isinstance(facts, ImportError):
        yield f"{who} has no genreflow ({facts}): install the project where it runs, and start it again"
    elif isinstance(facts, BaseException):
        yield f"{who}: {type(facts).__name__}: {facts}"
    else:
        for name, fact in ours.items():
            if (theirs := facts.get(name)) != fact:
                remedy = REMEDIES.get(name, "install what constraints.txt says")
                yield f"{who}: its {name} is {theirs}, not {fact}: {remedy}, and start it again"
