"""Asking one source about many ids, by several workers. Owns batches, their splitting, and when to stop.

An answer is in the journal before the next question of its worker. What ends the use of a source ends only that: ids
that were not answered stay due.
"""

import asyncio
import logging
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from tasks.acquire.config import CrawlConfig
from tasks.acquire.crawl.answers import Answer, State
from tasks.acquire.crawl.clock import Clock
from tasks.acquire.crawl.faults import (
    BlockedError,
    GarbledError,
    GaveUpError,
    QuotaSpentError,
    RejectedError,
    StopError,
)
from tasks.acquire.crawl.journal import SECONDS_A_DAY, Journal
from tasks.acquire.crawl.pacer import Breaker
from tasks.acquire.crawl.sources.source import PlotSource
from tasks.progress import Progress
from tasks.schema import MovieId

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Ending:
    """Why a source was left before all ids were answered."""

    source: str
    outcome: Literal["stopped", "blocked"]
    reason: str


class Inquiry:
    """One source being asked. `states` counts the answers, and `requests` what was sent."""

    def __init__(self, name: str, config: CrawlConfig, journal: Journal, clock: Clock) -> None:
        self.name, self.config, self.journal, self.clock = name, config, journal, clock
        self.states: Counter[State] = Counter()
        self.requests = 0
        self.ending: Ending | None = None
        self.breaker = Breaker(config.failures_in_a_row)

    def spend_request(self) -> None:
        """Count a request before it is sent.

        Raises:
            QuotaSpentError: the day's are used up.
        """
        quota = self.config.daily_requests.get(self.name)
        if quota is not None:
            now = self.clock.now()
            if self.journal.requests_today(self.name, now) >= quota:
                midnight = (now // SECONDS_A_DAY + 1) * SECONDS_A_DAY
                raise QuotaSpentError(f"all {quota:,} requests of this day (UTC) are used up", midnight)
            self.journal.count_request(self.name, now)
        self.requests += 1

    async def ask(self, source: PlotSource, ids: Sequence[MovieId], progress: Progress) -> None:
        """Ask for all ids that are due, as far as the source lets us; `ending` says why not all."""
        pause = self.journal.pause_of(self.name, self.clock.now())
        if pause is not None and not source.is_local:
            wait_s = pause.until - self.clock.now()
            self._end("stopped", f"{pause.reason}; it is left alone for {wait_s:,.0f} s more")
            return
        size = min(self.config.batch_size or source.largest_batch, source.largest_batch)
        batches = iter([ids[start : start + size] for start in range(0, len(ids), size)])
        n_workers = 1 if source.is_local else self.config.workers
        try:
            async with asyncio.TaskGroup() as workers:
                for _ in range(n_workers):
                    workers.create_task(self._work(source, batches, progress))
        except ExceptionGroup as group:
            self._end_by(group.exceptions)

    def _end_by(self, errors: Sequence[Exception]) -> None:
        """Note how the workers' errors end the use of the source; one that is none of its affairs goes on alone."""
        for error in errors:
            if isinstance(error, BlockedError):
                self._end("blocked", str(error))
            elif isinstance(error, StopError):
                self._stop(error)
            else:
                raise error

    async def _work(self, source: PlotSource, batches: Iterator[Sequence[MovieId]], progress: Progress) -> None:
        for batch in batches:
            if self.ending is not None:
                return
            try:
                await self._ask_batch(source, batch, progress)
            except QuotaSpentError as fault:  # nothing was sent: the other workers may finish what they have
                self._stop(fault)
                return
            if self.breaker.is_open:
                raise StopError(f"{self.breaker.failures} requests in a row failed; it seems to be down")

    async def _ask_batch(self, source: PlotSource, batch: Sequence[MovieId], progress: Progress) -> None:
        """Ask for a batch and keep the answers; one that the source cannot answer as a whole is split."""
        if self.breaker.is_open:
            return
        try:
            answers = await source.fetch(batch)
        except (GarbledError, RejectedError) as fault:
            if len(batch) > 1:  # one of them is the culprit
                middle = len(batch) // 2
                await self._ask_batch(source, batch[:middle], progress)
                await self._ask_batch(source, batch[middle:], progress)
                return
            self.breaker.note(success=False)
            state: State = "bad_payload" if isinstance(fault, GarbledError) else "not_found"
            logger.info("crawl: %s: %s is %s: %s", self.name, batch[0], state, fault)
            answers = {batch[0]: Answer(state, detail=str(fault))}
        except GaveUpError as fault:
            self.breaker.note(success=False)
            logger.warning("crawl: %s: gave up on %d ids, from %s: %s", self.name, len(batch), batch[0], fault)
            answers = dict.fromkeys(batch, Answer("failed", detail=str(fault)))
        else:
            self.breaker.note(success=True)
        # In a thread: waiting for the disk would delay the requests of the other workers.
        await asyncio.to_thread(self.journal.record, self.name, answers, self.clock.now())
        self.states.update(answer.state for answer in answers.values())
        progress.advance(len(answers))

    def _stop(self, fault: Exception) -> None:
        if isinstance(fault, StopError) and fault.until is not None and not isinstance(fault, QuotaSpentError):
            self.journal.pause(self.name, fault.until, str(fault))
        self._end("stopped", str(fault))

    def _end(self, outcome: Literal["stopped", "blocked"], reason: str) -> None:
        if self.ending is None or outcome == "blocked":
            self.ending = Ending(self.name, outcome, reason)
            logger.warning("crawl: %s %s: %s", self.name, outcome, reason)
