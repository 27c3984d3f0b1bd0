"""Whether the workers of a Dask scheduler can do this project's work. Owns what they need; knows no work."""

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
    from distributed import Future as DaskFuture

# unlike Python's own, they do not import the running program


Argument = TypeVar("Argument")
Result = TypeVar("Result")

IDLE_S: Final = 10  # how long a process without work waits for more before it ends and gives its memory back
AHEAD: Final = 2  # arguments a worker: one at work, one waiting; what loky puts in its queue at once
ONE_THREAD: Final = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "POLARS_MAX_THREADS"), "1")

_function: Callable[[Any], Any]


def map_in_order(
    function: Callable[[Argument], Result], arguments: Sequence[Argument], workers: int
) -> Iterator[Result]:
    """Yield `function(argument)` for each argument, in their order, as soon as each is there.

    With one worker or one argument everything happens in this process. Otherwise `function` has to be importable;
    the new processes import its module and not the running program, whose own imports may take seconds.

    Raises:
        WorkerError: a process died, as it does when memory runs out.
    """
    if workers <= 1 or len(arguments) <= 1:
        yield from map(function, arguments)
        return
    workers = min(workers, len(arguments))
    executor = get_reusable_executor(max_workers=workers, timeout=IDLE_S, env=ONE_THREAD)
    try:
        yield from _in_order(executor, function, arguments, workers)
    except BrokenProcessPool as error:
        raise WorkerError(
            f"one of {workers} worker processes died, most often because memory ran out: "
            "try again with fewer workers or smaller shards"
        ) from error


def stream_in_order(
    prepare: Callable[[], Callable[[Argument], Result]], arguments: Iterable[Argument], workers: int
) -> Generator[Result, None, None]:
    """Yield the result of each argument, in their order, for any number of arguments in bounded memory.

    As many processes as workers are started, in each of which `prepare` is called once: it returns the function, after
    it has loaded what that needs. Both have to be importable, as for `map_in_order`. At most `AHEAD` arguments a
    worker are read before their results were taken. Each process keeps to one thread.

    Raises:
        WorkerError: a process died, as it does when memory runs out.
    """
    executor = ProcessPoolExecutor(workers, timeout=IDLE_S, initializer=_begin, initargs=(prepare,), env=ONE_THREAD)
    try:
        yield from _in_order(executor, _call, arguments, workers)
    except BrokenProcessPool as error:
        raise WorkerError(
            f"one of {workers} worker processes died, most often because memory ran out: try again with fewer workers"
        ) from error
    finally:
        executor.shutdown(kill_workers=True)


def _in_order(
    executor: ProcessPoolExecutor, function: Callable[[Argument], Result], arguments: Iterable[Argument], workers: int
) -> Generator[Result, None, None]:
    """Yield the results of a few arguments at a time; where that ends early, end the processes at once."""
    waiting: deque[Future[Result]] = deque()
    try:
        for argument in arguments:
            waiting.append(executor.submit(function, argument))
            if len(waiting) == AHEAD * workers:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        if waiting:
            while not all(future.running() or future.done() for future in waiting):
                time.sleep(0.001)  # loky's thread would look for what it has not taken yet after it threw it away
            executor.shutdown(kill_workers=True)


def _begin(prepare: Callable[[], Callable[[Any], Any]]) -> None:
    global _function  # noqa: PLW0603 - a process of the pool has no other place to keep it between calls
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the first process ends the others
    _function = prepare()


def _call(argument: Any) -> Any:
    return _function(argument)


# Work on the workers of a Dask scheduler that runs already. Owns the connection and spreading; knows no work.
#
# Over the wire go functions by their names, paths, configuration, counts, and pieces of files to predict. Everything
# else goes through the data folder, which every worker has to see under the same path.


logger = logging.getLogger(__name__)

PATIENCE_S: Final = 5  # for the scheduler to answer, and for its first worker to join
WATCH_S: Final = 20.0  # between two looks at whether there is a worker


@contextlib.contextmanager
def joined(address: str) -> Iterator["Client"]:
    """Be a client of the scheduler at an address, such as `tcp://127.0.0.1:8786`.

    Raises:
        ConfigError: prefect-dask is not installed, or no scheduler answers in `PATIENCE_S` seconds.
    """
    try:
        from distributed import Client  # noqa: PLC0415 - takes a second, and only who has a cluster wants it
        from distributed.comm.addressing import get_address_host_port  # noqa: PLC0415
    except ImportError as error:
        raise ConfigError(f"--runner dask needs prefect-dask; {how_to_install(['dask'])}") from error
    logging.getLogger("distributed").setLevel(logging.ERROR)  # its warnings tell what is told here, at length
    try:
        socket.create_connection(get_address_host_port(address), PATIENCE_S).close()  # a client tries for longer
        client = Client(address, timeout=PATIENCE_S, set_as_default=False)
    except (OSError, ValueError) as error:
        raise ConfigError(
            f"no Dask scheduler answers at {address} ({error}); start one with `dask scheduler --host 127.0.0.1`, or "
            "correct --dask-address"
        ) from error
    with client:
        yield client


@contextlib.contextmanager
def forwarded_log(address: str) -> Iterator[None]:
    """Handle what this project logs on the workers as if it were logged here; warn while no worker is left."""
    with joined(address) as client, _watched(client, address):
        client.forward_logging("tasks", logging.INFO)
        try:
            yield
        finally:
            client.unforward_logging("tasks")


def spread(
    function: Callable[[Argument], Result], arguments: Sequence[Argument], workers: int, address: str | None = None
) -> Iterator[Result]:
    """Yield `function(argument)` for each argument, in their order: from processes here, or from a scheduler's workers.

    Raises:
        WorkerError: a process died, or one argument cost several of a scheduler's workers their lives.
    """
    return (
        map_in_order(function, arguments, workers) if address is None else map_on_workers(address, function, arguments)
    )


def map_on_workers(
    address: str, function: Callable[[Argument], Result], arguments: Iterable[Argument]
) -> Generator[Result, None, None]:
    """Yield `function(argument)` for each argument, in their order, for any number of arguments in bounded memory.

    What a worker had in hand when it died is done again by another one. At most `AHEAD` arguments a worker's thread are
    read before their results were taken.

    Args:
        address: of the scheduler.
        function: can be imported, and may be called with the same argument again.
        arguments: paths, small values, or pieces of a few megabytes.

    Raises:
        WorkerError: one argument cost several workers their lives.
    """
    waiting: deque[DaskFuture[Result]] = deque()
    with joined(address) as client, _watched(client, address):
        for argument in arguments:
            waiting.append(client.submit(function, argument, pure=False))
            if len(waiting) >= AHEAD * sum(client.nthreads().values()):
                yield _take_first(waiting)
        while waiting:
            yield _take_first(waiting)


def stream_on_workers(
    address: str, prepare: Callable[[], Callable[[Argument], Result]], arguments: Iterable[Argument]
) -> Generator[Result, None, None]:
    """Yield the result of each argument as `map_on_workers` does; each worker calls `prepare` once for the function.

    Raises:
        WorkerError: as `map_on_workers`.
    """
    key = uuid.uuid4().hex
    try:
        yield from map_on_workers(address, partial(_call_prepared, key, prepare), arguments)
    finally:
        with joined(address) as client:
            client.run(_forget, key, on_error="ignore")


@contextlib.contextmanager
def _watched(client: "Client", address: str) -> Iterator[None]:
    """Warn as long as a scheduler has no worker: what was given to it waits for one, however long that takes."""
    is_over = threading.Event()

    def watch() -> None:
        while not is_over.wait(WATCH_S):
            with contextlib.suppress(OSError):  # of a scheduler that is gone the work itself tells
                if not client.nthreads():
                    logger.warning("no Dask worker is left at %s: what is to be done waits until one joins", address)

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        yield
    finally:
        is_over.set()
        watcher.join()


_prepared: dict[str, Callable[[Any], Any]] = {}  # of a worker, by stream
_preparing = threading.Lock()


def _call_prepared(key: str, prepare: Callable[[], Callable[[Argument], Result]], argument: Argument) -> Result:
    with _preparing:
        if key not in _prepared:
            _prepared[key] = prepare()
    return cast("Result", _prepared[key](argument))


def _forget(key: str) -> None:
    _prepared.pop(key, None)


def _take_first(waiting: "deque[DaskFuture[Result]]") -> Result:
    try:
        result = waiting[0].result()
    except Exception as error:
        raise loss(error) from error
    del waiting[0]  # a result that nobody holds any more is not made again when its worker dies
    return result


def loss(error: BaseException) -> BaseException:
    """Return what Dask raised for work that it lost in the words of this project, any other error as it is."""
    if type(error).__name__ == "KilledWorker":
        n_workers, last = error.args[2] + 1, error.args[1].address
        return WorkerError(
            f"{n_workers} Dask workers died at it, the last one at {last}, most often because memory ran out: see the "
            "workers' logs, and start them with more (--memory-limit)"
        )
    return error


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
        from tasks.core.parallel import worker_facts  # noqa: PLC0415

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
