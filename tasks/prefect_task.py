"""A Prefect task of the pipeline, with retries after transient errors and the state `Cached` if it was up to date.

Separate from `tasks.stage`, which workers and served models use without Prefect. `docs/retries.md` lists every task.
"""

import errno
import functools
import inspect
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, ParamSpec, TypeVar

from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State
from prefect.context import FlowRunContext, TaskRunContext
from prefect.futures import PrefectFuture
from prefect.states import Completed
from prefect.task_runners import TaskRunner
from prefect.tasks import Task, exponential_backoff

from tasks.core.errors import GenreflowError

P = ParamSpec("P")
R = TypeVar("R")

RETRIES: Final = 3
FIRST_DELAY_S: Final = 2  # doubled with each retry

# What a task's own states mean. Skipped: there was nothing to make, now or before.
MESSAGES: Final = {"Cached": "everything is up to date", "Skipped": "there was nothing to make"}

TRANSIENT_ERRNOS: Final = (errno.EIO, errno.EAGAIN, errno.ESTALE, errno.ETIMEDOUT, errno.ECONNRESET, errno.ECONNREFUSED)
TRANSIENT_TYPES: Final = ("TransportError", "ConnectionError", "Timeout", "TimeoutError", "BrokenProcessPool")
TRANSIENT_TEXTS: Final = ("database is locked", "database table is locked", "server closed the connection")


class StageTask(Task[P, R]):
    """A task that returns its result when called, even if it ends in a state with its own name."""

    if not TYPE_CHECKING:  # the types are those of `Task`

        def __call__(self, *args, **options):
            """Run the task; return its result, or its state if `return_state` is set."""
            _find_results_by_reference()
            ended = super().__call__(*args, **options)
            return ended.result() if isinstance(ended, State) and not options.get("return_state") else ended

    def submit_to(self, runner: TaskRunner[Any], *args: Any, **options: Any) -> PrefectFuture[R]:
        """Run the task on a runner that was chosen at run time; return its future."""
        _find_results_by_reference()
        call = inspect.signature(self.fn).bind(*args, **options)
        call.apply_defaults()
        future: PrefectFuture[R] = runner.submit(self, dict(call.arguments))
        return future


class _Results(dict[int, Any]):
    """The results of a flow's tasks, by which Prefect finds the dependencies between tasks.

    Prefect would also keep values that it knows by their `id` alone: equal strings share it and later objects reuse it,
    so the graph would have edges that do not exist.
    """

    def __setitem__(self, key: int, entry: Any) -> None:
        if entry[-1] is not None:  # a reference to the result
            super().__setitem__(key, entry)


def _find_results_by_reference() -> None:
    context = FlowRunContext.get()
    if context is not None and not isinstance(context.run_results, _Results):
        known = context.run_results.items()
        context.run_results = _Results({key: entry for key, entry in known if entry[-1] is not None})


def stage_task(
    name: str, run_name: str | None = None, *, retries: int = RETRIES, unless: Callable[..., bool] | None = None
) -> Callable[[Callable[P, R]], StageTask[P, R]]:
    """Declare a function as a task of the pipeline; `run_name` may have its arguments in braces.

    It is retried after transient errors (`can_heal`) other than `unless`, after 2, 4 and 8 s and some jitter. A run
    ends in the state `Cached` if all its stages were up to date, in `Skipped` if it had none to run, else in
    `Completed`. There is no timeout: HTTP, storage and MLflow have theirs, and Prefect does not interrupt tasks in
    threads. There are no tags: for each tagged task Prefect asks its server for a concurrency slot, which made a fresh
    run of 30 s one of 55.
    """

    def is_worth_a_retry(_task: Any, _run: Any, state: State[Any]) -> bool:
        error = state.result(raise_on_failure=False)
        return can_heal(error) and not (unless is not None and unless(error))

    def declare(function: Callable[P, R]) -> StageTask[P, R]:
        @functools.wraps(function)
        def run(*args: P.args, **kwargs: P.kwargs) -> Any:
            result = function(*args, **kwargs)
            state = end_state(result)
            if TaskRunContext.get() is None or state is None:
                return result  # which may be a state itself
            return Completed(name=state, message=MESSAGES[state], data=result)

        return StageTask(
            fn=run,
            name=name,
            task_run_name=run_name or name,
            cache_policy=NO_CACHE,
            persist_result=False,
            retries=retries,
            retry_delay_seconds=exponential_backoff(FIRST_DELAY_S),
            retry_jitter_factor=0.5,
            retry_condition_fn=is_worth_a_retry,
        )

    return declare


def can_heal(error: Any) -> bool:
    """Return whether a retry may help: errors of a network, a store, a lost worker or a slow file system.

    Not user errors, bad data, a full disk or a bug.
    """
    seen = error if isinstance(error, BaseException) else None
    while seen is not None:
        if isinstance(seen, GenreflowError):
            return seen.can_heal
        if isinstance(seen, OSError) and seen.errno is not None:
            return seen.errno in TRANSIENT_ERRNOS
        is_known = any(kind.__name__ in TRANSIENT_TYPES for kind in type(seen).__mro__)
        if is_known or any(text in str(seen) for text in TRANSIENT_TEXTS):
            return True
        seen = seen.__cause__ or seen.__context__
    return False


def end_state(result: Any) -> str | None:
    """Return the state for a task's result: `Cached` if all its stages were up to date, `Skipped` if it had none."""
    results = list(result) if isinstance(result, list | tuple) else [result]
    if not all(getattr(each, "skipped", False) is True for each in results):
        return None
    return "Cached" if any(getattr(each, "fingerprint", True) for each in results) else "Skipped"
