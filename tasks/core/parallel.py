"""Parallel work in processes of this machine (joblib's loky) or on the workers of a running Dask scheduler.

Functions by name, paths, configuration, counts, and pieces of files to predict go over the network. Everything else
goes through the data folder, which every worker must see under the same path.
"""

import contextlib
import importlib.util
import logging
import os
import signal
import socket
import sys
import threading
import time
import uuid
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from concurrent.futures.process import BrokenProcessPool
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar, cast

from joblib.externals.loky import ProcessPoolExecutor, get_reusable_executor

from tasks.core.errors import ConfigError, WorkerError, how_to_install
from tasks.core.files import hash_files
from tasks.core.settings import data_paths
from tasks.stage import installed_version, write_atomically

if TYPE_CHECKING:
    from distributed import Client

logger = logging.getLogger(__name__)

Argument = TypeVar("Argument")
Result = TypeVar("Result")
Prepare = Callable[[], Callable[[Argument], Result]]

IDLE_S: Final = 10  # after which an idle process ends and frees its memory
AHEAD: Final = 2  # arguments per worker: one in work, one waiting; loky queues as many
ONE_THREAD: Final = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "POLARS_MAX_THREADS"), "1")
DASK_TIMEOUT_S: Final = 5  # for the scheduler to answer, and for its first worker to join
WATCH_S: Final = 20.0  # between checks that there is a worker

# Packages that determine results. Stages record their versions, so mixed versions would remake each other's results.
PACKAGES: Final = (
    *("imbalanced-learn", "numpy", "polars", "pyarrow", "scikit-learn", "scipy", "simplemma", "spacy", "torch"),
)
REMEDIES: Final = {
    "data folder": "set GENREFLOW_DATA_DIR to the same folder",
    "file in the data folder": "mount the same folder there",
    "code of the project": "bring it to the same revision",
}

_prepared: dict[str, Callable[[Any], Any]] = {}  # of a worker, by stream
_preparing = threading.Lock()


def map_in_order(
    function: Callable[[Argument], Result], arguments: Sequence[Argument], workers: int, address: str | None = None
) -> Iterator[Result]:
    """Yield `function(argument)` for each argument, in order, from processes here or, with an address, Dask's workers.

    With one worker or one argument everything happens in this process. Otherwise `function` has to be importable:
    loky's processes, unlike Python's own, import its module and not the running program, which may take seconds. A
    process that dies, usually out of memory, is a `WorkerError`, as is an argument that kills several Dask workers.
    """
    if address is not None:
        yield from map_on_workers(address, function, arguments)
    elif workers <= 1 or len(arguments) <= 1:
        yield from map(function, arguments)
    else:
        workers = min(workers, len(arguments))
        executor = get_reusable_executor(max_workers=workers, timeout=IDLE_S, env=ONE_THREAD)
        yield from _in_processes(executor, partial(executor.submit, function), arguments, workers, " or smaller shards")


def stream_in_order(
    prepare: Prepare[Argument, Result], arguments: Iterable[Argument], workers: int, address: str | None = None
) -> Generator[Result, None, None]:
    """Yield the result of each argument, in order, for any number of arguments in bounded memory.

    Each of `workers` processes, with one thread each, or with an address of Dask's workers calls `prepare` once, which
    loads what is needed and returns the function; both as in `map_in_order`. At most `AHEAD` arguments per worker are
    read before their results are taken.
    """
    key = uuid.uuid4().hex
    if address is not None:
        try:
            yield from map_on_workers(address, partial(_call_prepared, key, prepare), arguments)
        finally:
            with dask_client(address) as client:
                client.run(_forget, key, on_error="ignore")
        return
    # Ctrl-C reaches the whole process group, and this process ends the others.
    executor = ProcessPoolExecutor(
        workers, timeout=IDLE_S, initializer=signal.signal, initargs=(signal.SIGINT, signal.SIG_IGN), env=ONE_THREAD
    )
    submit = partial(executor.submit, _call_prepared, key, prepare)
    try:
        yield from _in_processes(executor, submit, arguments, workers)
    finally:
        executor.shutdown(kill_workers=True)


def _in_processes(
    executor: ProcessPoolExecutor, submit: Callable[..., Any], arguments: Iterable[Any], workers: int, remedy: str = ""
) -> Generator[Any, None, None]:
    """Yield the results of a few arguments at a time; if closed early, end the processes at once."""
    waiting: deque[Future[Any]] = deque()
    try:
        yield from _in_order(submit, arguments, lambda: AHEAD * workers, waiting)
    except BrokenProcessPool as error:
        cause = f"one of {workers} worker processes died, usually because memory ran out"
        raise WorkerError(f"{cause}: try again with fewer workers{remedy}") from error
    finally:
        if waiting:
            while not all(future.running() or future.done() for future in waiting):
                time.sleep(0.001)  # loky's thread would look for what it has not taken yet after discarding it
            executor.shutdown(kill_workers=True)


def _in_order(
    submit: Callable[[Argument], Any], arguments: Iterable[Argument], at_most: Callable[[], int], waiting: deque[Any]
) -> Generator[Any, None, None]:
    """Submit arguments, at most so many at once, and yield their results; `waiting` has their futures."""
    for argument in arguments:
        waiting.append(submit(argument))
        if len(waiting) >= at_most():
            yield waiting.popleft().result()
    while waiting:
        yield waiting.popleft().result()


@contextlib.contextmanager
def dask_client(address: str) -> Iterator["Client"]:
    """Connect to a scheduler, such as `tcp://127.0.0.1:8786`; a `ConfigError` if none answers or Dask is missing."""
    try:
        from distributed import Client  # noqa: PLC0415 - an extra, and takes a second
        from distributed.comm.addressing import get_address_host_port  # noqa: PLC0415
    except ImportError as error:
        raise ConfigError(f"--runner dask needs prefect-dask; {how_to_install(['dask'])}") from error
    logging.getLogger("distributed").setLevel(logging.ERROR)  # its warnings repeat ours, at length
    try:
        socket.create_connection(get_address_host_port(address), DASK_TIMEOUT_S).close()  # a client tries for longer
        client = Client(address, timeout=DASK_TIMEOUT_S, set_as_default=False)
    except (OSError, ValueError) as error:
        raise ConfigError(
            f"no Dask scheduler answers at {address} ({error}); start one with `dask scheduler --host 127.0.0.1`, or "
            "correct --dask-address"
        ) from error
    with client:
        yield client


@contextlib.contextmanager
def forwarded_log(address: str) -> Iterator[None]:
    """Handle what workers log for this project as if it were logged here; warn while no worker is left."""
    with dask_client(address) as client, _warn_without_workers(client, address):
        client.forward_logging("tasks", logging.INFO)
        try:
            yield
        finally:
            client.unforward_logging("tasks")


def map_on_workers(
    address: str, function: Callable[[Argument], Result], arguments: Iterable[Argument]
) -> Generator[Result, None, None]:
    """Yield `function(argument)`, of an importable function, in order, for any number of arguments in bounded memory.

    If a worker dies, another one repeats its work. At most `AHEAD` arguments per worker thread, each of a few megabytes
    at most, are read before their results are taken. An argument that killed several workers is a `WorkerError`.
    """
    with dask_client(address) as client, _warn_without_workers(client, address):
        submit = partial(client.submit, function, pure=False)
        try:
            yield from _in_order(submit, arguments, lambda: AHEAD * sum(client.nthreads().values()), deque())
        except Exception as error:
            if (lost := dask_error(error)) is error:
                raise
            raise lost from error


def _call_prepared(key: str, prepare: Prepare[Argument, Result], argument: Argument) -> Result:
    with _preparing:
        if key not in _prepared:
            _prepared[key] = prepare()
    return cast("Result", _prepared[key](argument))


def _forget(key: str) -> None:
    _prepared.pop(key, None)


@contextlib.contextmanager
def _warn_without_workers(client: "Client", address: str) -> Iterator[None]:
    """Warn as long as a scheduler has no worker: its work waits until one joins."""
    is_over = threading.Event()

    def watch() -> None:
        while not is_over.wait(WATCH_S):
            with contextlib.suppress(OSError):  # the work itself reports a scheduler that is gone
                if not client.nthreads():
                    logger.warning("no Dask worker is left at %s: the work waits until one joins", address)

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        yield
    finally:
        is_over.set()
        watcher.join()


def dask_error(error: BaseException) -> BaseException:
    """Return Dask's error for lost work as a `WorkerError`, any other error unchanged."""
    if type(error).__name__ != "KilledWorker":
        return error
    return WorkerError(
        f"{error.args[2] + 1} Dask workers died of the same work, the last one at {error.args[1].address}, usually "
        "because memory ran out: see the workers' logs, and start them with more (--memory-limit)"
    )


def check_workers(address: str, environment: Mapping[str, str]) -> int:
    """Check that a scheduler's workers can do this project's work as this process would; return their number.

    They inherit the variables in `environment`, unless they have their own values. A `ConfigError` names each one that
    is missing or has other code, other packages or another data folder, with the remedy.
    """
    with dask_client(address) as client:
        try:
            client.wait_for_workers(1, timeout=DASK_TIMEOUT_S)
        except TimeoutError as error:
            raise ConfigError(
                f"the Dask scheduler at {address} has no worker; start some with `dask worker {address} --nthreads 1`"
            ) from error
        token = data_paths().root / f".cluster-{uuid.uuid4().hex}"  # a file that only the same data folder has
        write_atomically(token, token.name)
        try:
            ours, probe = worker_facts(token), _probe(str(token), dict(environment))
            found = client.run(probe, on_error="return")
            needed = {name: fact for name, fact in ours.items() if "data folder" not in name}  # by the scheduler
            try:
                of_scheduler: Any = client.run_on_scheduler(probe)  # it reads the arguments of tasks
            except ImportError as error:
                of_scheduler = error
        finally:
            token.unlink()
    complaints = _complaints("the scheduler", of_scheduler, needed)
    complaints += [line for worker, facts in sorted(found.items()) for line in _complaints(worker, facts, ours)]
    if complaints:
        raise ConfigError(f"Dask at {address} cannot take part:\n" + "\n".join(f"  {line}" for line in complaints))
    return len(found)


@cache
def code_hash() -> str:
    """Return the hash of the project's code at the first call, since a worker keeps the code that it has loaded."""
    folders = [Path(str(importlib.util.find_spec(name).origin)).parent for name in ("flows", "tasks")]  # type: ignore[union-attr]
    return hash_files([path for folder in folders for path in sorted(folder.rglob("*.py"))])[:12]


def worker_facts(token: Path) -> dict[str, str]:
    """Return by name what has to be the same on every worker and here."""
    return {
        "Python": ".".join(map(str, sys.version_info[:2])),
        "code of the project": code_hash(),
        "data folder": str(data_paths().root),
        "file in the data folder": token.read_text(encoding="utf-8") if token.is_file() else "not there",
        **{package: installed_version(package) for package in PACKAGES},
    }


def _probe(token: str, environment: dict[str, str]) -> Callable[[], dict[str, str]]:
    """Return a function that is sent as code, not by name, so that workers without the project can run it."""

    def probe() -> dict[str, str]:
        for name, value in environment.items():
            os.environ.setdefault(name, value)
        logging.getLogger("tasks").setLevel(logging.INFO)
        from tasks.core.parallel import worker_facts  # noqa: PLC0415

        return worker_facts(Path(token))

    return probe


def _complaints(who: str, facts: Any, ours: Mapping[str, str]) -> list[str]:
    if isinstance(facts, ImportError):
        return [f"{who} does not have genreflow ({facts}): install the project there, and restart it"]
    if isinstance(facts, BaseException):
        return [f"{who}: {type(facts).__name__}: {facts}"]
    remedies = {name: REMEDIES.get(name, "install what constraints.txt says") for name in ours}
    return [
        f"{who}: its {name} is {facts.get(name)}, not {fact}: {remedies[name]}, and restart it"
        for name, fact in ours.items()
        if facts.get(name) != fact
    ]
