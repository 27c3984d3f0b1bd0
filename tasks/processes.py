"""Work in other processes, so that several cores share what Python does on one. Owns the processes; knows no work."""

import warnings
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures.process import BrokenProcessPool
from typing import TypeVar

from joblib import Parallel, delayed

from tasks.errors import WorkerError

Argument = TypeVar("Argument")
Result = TypeVar("Result")

IDLE_S = 10  # how long a process without work waits for more before it ends and gives its memory back


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
