"""Even spacing, pauses and adaptation, in time that nobody waits for."""

import asyncio
import itertools
from bisect import bisect_left
from collections.abc import Iterable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.acquire.crawl.client import SLOWEST, Clock, Pacer


class RoughClock(Clock):
    """Time that passes by sleeping, which ends late by as much as the next lateness says."""

    def __init__(self, late_s: Iterable[float] = ()) -> None:
        self.seconds = 0.0
        self.late_s = iter(late_s)

    def monotonic(self) -> float:
        return self.seconds

    async def sleep(self, seconds: float) -> None:
        self.seconds += seconds + next(self.late_s, 0.0)
        await asyncio.sleep(0)


async def take_turns(pacer: Pacer, clock: RoughClock, n_turns: int, workers: int = 4) -> list[float]:
    """Let some workers take turns, and return when each had its own."""
    turns: list[float] = []

    async def work() -> None:
        while len(turns) < n_turns:
            slot = await pacer.wait_for_slot()
            clock.seconds += next(clock.late_s, 0.0)  # until the request leaves
            turns.append(clock.monotonic())
            slot.close()
            slot.close()  # which changes nothing

    await asyncio.gather(*(work() for _ in range(workers)))
    return turns[:n_turns]


def busiest_second(turns: list[float]) -> int:
    return max((bisect_left(turns, start + 1) - index for index, start in enumerate(turns)), default=0)


@given(
    rate_hz=st.integers(1, 100),
    late_s=st.lists(st.floats(0, 0.005) | st.floats(0, 0.5), max_size=150),
    idle_after=st.integers(0, 100),
)
@settings(max_examples=40)
def test_no_second_has_more_turns_than_the_rate(rate_hz, late_s, idle_after):
    clock = RoughClock(late_s)
    pacer = Pacer(rate_hz, clock)

    async def take_turns_with_a_rest() -> list[float]:
        turns = await take_turns(pacer, clock, idle_after)
        clock.seconds += 7
        return turns + await take_turns(pacer, clock, 2 * rate_hz)

    turns = asyncio.run(take_turns_with_a_rest())
    assert busiest_second(turns) <= rate_hz


@pytest.mark.parametrize("rate_hz", [0.5, 2, 50, 200])
def test_at_least_95_percent_of_the_rate_is_reached_over_a_minute(rate_hz):
    clock = RoughClock([0.001] * 100_000)  # a usual lateness
    turns = asyncio.run(take_turns(Pacer(rate_hz, clock), clock, round(60 * rate_hz) + 1))
    assert sum(turn < 60 for turn in turns) >= 0.95 * 60 * rate_hz


def test_who_stops_waiting_leaves_the_turn_to_others():
    clock = RoughClock()
    pacer = Pacer(1, clock)

    async def work() -> None:
        (await pacer.wait_for_slot()).close()
        waiting = asyncio.create_task(pacer.wait_for_slot())
        await asyncio.sleep(0)
        waiting.cancel()
        (await pacer.wait_for_slot()).close()

    asyncio.run(asyncio.wait_for(work(), 5))
    assert clock.seconds > 1


def test_turns_are_evenly_spaced():
    clock = RoughClock()
    turns = asyncio.run(take_turns(Pacer(10, clock), clock, 50))
    gaps = [after - before for before, after in itertools.pairwise(turns)]
    assert min(gaps) == pytest.approx(max(gaps), rel=0.2)


def test_a_pause_holds_all_workers_and_halves_the_rate():
    clock = RoughClock()
    pacer = Pacer(8, clock)
    pacer.back_off(30)
    pacer.back_off(5)  # about a request sent before: neither shorter nor slower
    assert pacer.rate_hz == 4
    turns = asyncio.run(take_turns(pacer, clock, 4))
    assert turns[0] == pytest.approx(30)
    assert turns[3] - turns[0] == pytest.approx(3 * 1.03 / 4, abs=0.02)


def test_the_rate_recovers_slowly_to_its_ceiling_and_never_falls_to_nothing():
    clock = RoughClock()
    pacer = Pacer(8, clock)
    for _ in range(20):
        clock.seconds += 10
        pacer.back_off(1)
    assert pacer.rate_hz == 8 * SLOWEST
    pacer.recover()
    assert pacer.rate_hz < 0.25
    for _ in range(200):
        pacer.recover()
    assert pacer.rate_hz == 8
