"""Time for the crawl: what all of it waits and dates by. Owns nothing else; tests put a clock of their own in."""

import asyncio
import time


class Clock:
    """The real time."""

    def monotonic(self) -> float:
        """Return seconds since some moment; never goes back."""
        return time.monotonic()

    def now(self) -> float:
        """Return seconds since 1970, UTC."""
        return time.time()

    async def sleep(self, seconds: float) -> None:
        """Wait, and let others work meanwhile."""
        await asyncio.sleep(seconds)
