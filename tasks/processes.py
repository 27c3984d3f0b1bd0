"""Work in other processes, so that several cores share what Python does on one. Owns the processes; knows no work."""

import signal
import time
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import Future
from concurrent.futures.process import BrokenProcessPool
from typing import Any, Final, TypeVar

# unlike Python's own, they do not import the running program
from joblib.externals.loky import ProcessPoolExecutor, get_reusable_executor

from tasks.errors import WorkerError

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
