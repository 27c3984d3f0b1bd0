"""Progress of long work as log lines: what, how far, how fast, how long still. Owns their wording and where they go.

Who can show more than lines (a terminal's bar) adds itself to `watchers` and is told of every advance.
"""

import logging
import time
from collections.abc import Callable

logger = logging.getLogger(__name__)

watchers: "list[Callable[[Progress], None]]" = []


class Progress:
    """Count work done and log a line at most every `interval_s` seconds, so that any log shows it, not only a terminal.

    Use `advance(n)` after each piece and `finish()` at the end. `total` may be None where it is not known.
    """

    def __init__(
        self,
        what: str,
        total: int | None,
        interval_s: float = 5.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.what, self.total, self.interval_s, self.clock = what, total, interval_s, clock
        self.done, self.is_finished = 0, False
        self.start_s = self.last_s = clock()

    def advance(self, count: int = 1) -> None:
        """Count `count` more pieces as done; log a line when the last one is old enough."""
        self.done += count
        self._tell_watchers()
        now = self.clock()
        if now - self.last_s >= self.interval_s:
            self.last_s = now
            logger.info("%s", self.line())

    def finish(self) -> None:
        """Log the last line."""
        self.is_finished = True
        self._tell_watchers()
        logger.info("%s", self.line())

    def _tell_watchers(self) -> None:
        for watch in watchers:
            watch(self)

    def line(self) -> str:
        """Return the line for the state now, such as `annotate: 12,000 of 25,389 (47 %), 5,900/s, 2 s left`."""
        elapsed_s = max(self.clock() - self.start_s, 1e-9)
        rate = self.done / elapsed_s
        if not self.total:
            return f"{self.what}: {self.done:,}, {rate:,.0f}/s"
        share = f"{self.what}: {self.done:,} of {self.total:,} ({self.done / self.total:.0%}), {rate:,.0f}/s"
        if self.done >= self.total:
            return f"{share}, {elapsed_s:.1f} s"
        return f"{share}, {(self.total - self.done) / rate:,.0f} s left" if rate else share
