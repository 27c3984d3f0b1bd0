"""How fast a source is asked. Owns even spacing, the adaptive rate and pauses; knows no request.

One pacer serves all workers of a source: whoever wants to send waits for a turn, and a pause holds all of them. What
counts is when a request leaves, not when it was allowed to.
"""

import asyncio
from collections.abc import Callable
from typing import Final

from tasks.acquire.crawl.clock import Clock

# Requests are 3 % further apart than the rate says, and at most 10 ms closer than that where one was late: no second
# sees more of them than the rate, and what is lost to lateness is made up for.
MARGIN: Final = 1.03
CATCH_UP_S: Final = 0.01
SLOWEST: Final = 1 / 64  # of the ceiling
RECOVERY: Final = 0.01  # of the ceiling, a success


class Turn:
    """The right to send one request. Nobody else gets a turn until it is used, or given up."""

    def __init__(self, end: Callable[[], None]) -> None:
        self._end: Callable[[], None] | None = end

    def use(self) -> None:
        """Note that the request leaves now, which is what the next one keeps its distance from; again: nothing."""
        if self._end is not None:
            self._end()
            self._end = None


class Pacer:
    """Gives turns at most `ceiling_hz` times a second: halved when the source complains, recovering step by step."""

    def __init__(self, ceiling_hz: float, clock: Clock) -> None:
        self.ceiling_hz = self.rate_hz = ceiling_hz
        self.clock = clock
        self.paused_until_s = self._next_s = clock.monotonic()
        self._busy = asyncio.Lock()

    async def wait_turn(self) -> Turn:
        """Return when the caller may send."""
        await self._busy.acquire()
        try:
            while (wait_s := max(self._next_s, self.paused_until_s) - self.clock.monotonic()) > 0:
                await self.clock.sleep(wait_s)
        except BaseException:
            self._busy.release()
            raise
        return Turn(self._end_turn)

    def _end_turn(self) -> None:
        grid_s = max(self._next_s, self.clock.monotonic() - CATCH_UP_S)
        self._next_s = grid_s + MARGIN / self.rate_hz
        self._busy.release()

    def back_off(self, pause_s: float) -> None:
        """Give no turn for a while and then half as many. Complaints during a pause are about earlier requests."""
        now_s = self.clock.monotonic()
        if now_s >= self.paused_until_s:
            self.rate_hz = max(self.rate_hz / 2, self.ceiling_hz * SLOWEST)
        self.paused_until_s = max(self.paused_until_s, now_s + pause_s)

    def recover(self) -> None:
        """Note a success: the rate grows a little, up to the ceiling."""
        self.rate_hz = min(self.ceiling_hz, self.rate_hz + self.ceiling_hz * RECOVERY)


class Breaker:
    """Opens after so many failures in a row: the source is down, and asking on only adds to its load."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.failures = 0

    @property
    def is_open(self) -> bool:
        """Whether there were too many failures in a row."""
        return self.failures >= self.limit

    def note(self, *, success: bool) -> None:
        """Count a failure, or forget those before a success. Once open it stays so."""
        if not self.is_open:
            self.failures = 0 if success else self.failures + 1
