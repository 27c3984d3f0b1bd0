"""Running a coroutine where the caller can be interrupted. Owns the thread; knows no crawl."""

import asyncio
import contextlib
import contextvars
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor, wait
from typing import Any, TypeVar

Result = TypeVar("Result")


def run_watched(work: Coroutine[Any, Any, Result], tick: Callable[[], None], tick_s: float = 1.0) -> Result:
    """Run a coroutine in a thread of its own, and call `tick` here every `tick_s` seconds meanwhile.

    Whatever is raised here, Ctrl-C and a cancellation from outside included, cancels the coroutine, waits for its end
    and goes on. In one thread, asyncio could swallow what a signal handler raises; and the caller may have a loop of
    its own, as Prefect does.
    """
    loop = asyncio.new_event_loop()
    task = loop.create_task(work)
    with ThreadPoolExecutor(1, "watched") as pool:
        done = pool.submit(contextvars.copy_context().run, _run_until_done, loop, task)
        try:
            while not wait([done], timeout=tick_s).done:
                tick()
        except BaseException:
            with contextlib.suppress(RuntimeError):  # the loop has just closed
                loop.call_soon_threadsafe(task.cancel)
            raise
        return done.result()


def _run_until_done(loop: asyncio.AbstractEventLoop, task: asyncio.Task[Result]) -> Result:
    try:
        return loop.run_until_complete(task)
    finally:
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.run_until_complete(loop.shutdown_default_executor())  # waits for what its threads still do
        loop.close()
