"""Work on the workers of a Dask scheduler that runs already. Owns the connection and spreading; knows no work.

Over the wire go functions by their names, paths, configuration, counts, and pieces of files to predict. Everything else
goes through the data folder, which every worker has to see under the same path.
"""

import contextlib
import logging
import socket
import threading
import uuid
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Final, TypeVar, cast

from tasks.errors import ConfigError, WorkerError
from tasks.extras import how_to_install
from tasks.processes import AHEAD, map_in_order

if TYPE_CHECKING:
    from distributed import Client
    from distributed import Future as DaskFuture

Argument = TypeVar("Argument")
Result = TypeVar("Result")

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
    waiting: deque["DaskFuture[Result]"] = deque()
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
