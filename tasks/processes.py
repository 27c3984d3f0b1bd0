"""Work in other processes, so that several cores share what Python does on one. Owns the processes; knows no work."""

import contextlib
import queue
import signal
import warnings
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import Future
from concurrent.futures.process import BrokenProcessPool
from typing import Any, Final, TypeVar

from joblib import Parallel, delayed
from joblib.externals.loky import ProcessPoolExecutor  # unlike Python's own, it does not import the running program

from tasks.errors import WorkerError

Argument = TypeVar("Argument")
Result = TypeVar("Result")

IDLE_S: Final = 10  # how long a process without work waits for more before it ends and gives its memory back
AHEAD: Final = 3  # arguments a worker: one at work, one waiting, one on its way out
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
    parallel = Parallel(
        n_jobs=min(workers, len(arguments)),
        backend="loky",
        return_as="generator",
        batch_size=1,
        idle_worker_timeout=IDLE_S,
    )
    results = parallel(delayed(function)(argument) for argument in arguments)
    try:
        for result in results:  # noqa: UP028 - `yield from` would close `results` too early to silence its warning
            yield result
    except BrokenProcessPool as error:
        raise WorkerError(
            f"one of {workers} worker processes died, most often because memory ran out: "
            "try again with fewer workers or smaller shards"
        ) from error
    finally:
        with warnings.catch_warnings(action="ignore", category=UserWarning):  # that the caller stopped early
            results.close()


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
    waiting: deque[Future[Result]] = deque()
    try:
        for argument in arguments:
            waiting.append(executor.submit(_call, argument))
            if len(waiting) == AHEAD * workers:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    except BrokenProcessPool as error:
        raise WorkerError(
            f"one of {workers} worker processes died, most often because memory ran out: try again with fewer workers"
        ) from error
    finally:
        _end(executor)


def _end(executor: ProcessPoolExecutor) -> None:
    """End the processes at once, and forget what waits for them: loky would look for it after it threw it away."""
    with contextlib.suppress(queue.Empty):
        while True:
            executor._work_ids.get(block=False)  # noqa: SLF001 - it has no way of its own to do so
    executor.shutdown(kill_workers=True)


def _begin(prepare: Callable[[], Callable[[Any], Any]]) -> None:
    global _function  # noqa: PLW0603 - a process of the pool has no other place to keep it between calls
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the first process ends the others
    _function = prepare()


def _call(argument: Any) -> Any:
    return _function(argument)
