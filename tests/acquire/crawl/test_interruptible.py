import asyncio
import contextvars
import threading

import pytest

from tasks.acquire.crawl.crawl import run_interruptible

variable = contextvars.ContextVar("variable", default="unset")


def test_the_result_and_the_context_go_through():
    async def work():
        return variable.get(), threading.current_thread()

    variable.set("set here")
    value, thread = run_interruptible(work(), lambda: None)
    assert value == "set here"
    assert thread is not threading.current_thread()


def test_it_runs_inside_a_running_loop():
    async def work():
        return 1

    async def outer():
        return run_interruptible(work(), lambda: None)

    assert asyncio.run(outer()) == 1


def test_an_error_of_the_work_is_raised_here():
    async def work():
        raise TimeoutError("its own")

    with pytest.raises(TimeoutError, match="its own"):
        run_interruptible(work(), lambda: None, tick_s=0.01)


def test_an_error_here_cancels_the_work_and_waits_for_its_end():
    ended = []

    async def work():
        try:
            await asyncio.sleep(60)
        finally:
            ended.append("ended")

    def tick():
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_interruptible(work(), tick, tick_s=0.01)
    assert ended == ["ended"]
