"""The crawl from beginning to end: what is missing, source after source, export. Owns their order and the outcome.

Each id tries the sources in their order: it goes on to the next one when the one before has settled that it has no
whole plot. An id whose question failed, or was not asked, waits for the next run.
"""

import asyncio
import contextlib
import contextvars
import logging
from collections import Counter
from collections.abc import Callable, Coroutine, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass, field, replace
from typing import Any, Literal, TypeVar

from tasks.acquire.config import CrawlConfig
from tasks.acquire.crawl.client import (
    BlockedError,
    Breaker,
    Clock,
    Conduct,
    GarbledError,
    GaveUpError,
    QuotaSpentError,
    RejectedError,
    StopError,
)
from tasks.acquire.crawl.journal import NEGATIVE, SECONDS_A_DAY, Answer, Journal, State, open_journal
from tasks.acquire.crawl.plots import STAGE, adopt_foreign_plots, export_plots, find_missing
from tasks.acquire.crawl.sources import Means, PlotSource, PublishedSource, configured_sources, find_obstacle
from tasks.core.logs import Progress
from tasks.core.schema import MovieId
from tasks.core.settings import DataPaths, settings
from tasks.stage import StageResult

# Asking one source about many ids, by several workers. Owns batches, their splitting, and when to stop.
#
# An answer is in the journal before the next question of its worker. What ends the use of a source ends only that: ids
# that were not answered stay due.


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


Outcome = Literal["done", "stopped", "blocked"]


@dataclass(frozen=True)
class CrawlResult:
    """How a crawl ended, and what it left.

    `done`: nothing is left to ask. `stopped`: the same command goes on later (a quota, a pause, failures). `blocked`: a
    source refuses us, and something has to be changed first. `reasons` has a line for each source that was left early.
    """

    outcome: Outcome
    reasons: tuple[str, ...]
    stage: StageResult

    @property
    def skipped(self) -> bool:
        """Whether there was nothing to ask or to write."""
        return self.stage.skipped


@dataclass
class _Crawl:
    """One run over all sources."""

    means: Means
    journal: Journal
    clock: Clock
    counts: Counter[str] = field(default_factory=Counter)
    endings: list[Ending] = field(default_factory=list)
    progress: Progress = field(default_factory=lambda: Progress("crawl", None))

    async def ask_all(self, sources: Sequence[type[PlotSource]], ids: Sequence[MovieId]) -> None:
        """Ask one source after the other for the ids that have no whole plot yet."""
        days = self.means.config.negative_days
        for source in sources:
            await self._ask(source, find_due(source, self.journal, ids, self.clock.now(), days))
            ids = find_open(source, self.journal, ids, self.clock.now(), days)

    async def _ask(self, kind: type[PlotSource], due: Sequence[MovieId]) -> None:
        inquiry = Inquiry(kind.name, self.means.config, self.journal, self.clock)
        self.progress = Progress(f"crawl: {kind.name}", len(due))
        conduct = Conduct(self.means.config, self.means.settings.contact or "", self.clock, inquiry.spend_request)
        source = kind(self.means, conduct)
        try:
            if due:
                await inquiry.ask(source, due, self.progress)
                self.progress.finish()
        finally:
            await source.close()
        self.counts[f"{kind.name}/due"] = len(due)
        self.counts[f"{kind.name}/requests"] = inquiry.requests
        self.counts.update({f"{kind.name}/{state}": count for state, count in sorted(inquiry.states.items())})
        if inquiry.ending is not None:
            self.endings.append(inquiry.ending)
        elif failed := inquiry.states["failed"]:
            self.endings.append(Ending(kind.name, "stopped", f"{failed:,} ids failed"))


def find_due(
    source: type[PlotSource], journal: Journal, ids: Sequence[MovieId], now: float, negative_days: float
) -> list[MovieId]:
    """Return the ids that a source is to be asked for: those it has not settled, or not of late."""
    states = journal.states(source.name, now, 0 if source.is_local else negative_days)
    return [movie_id for movie_id in ids if states.get(movie_id, "failed") == "failed"]


def find_open(
    source: type[PlotSource], journal: Journal, ids: Sequence[MovieId], now: float, negative_days: float
) -> list[MovieId]:
    """Return the ids that go on to the next source: those of which this one has settled that it has no whole plot."""
    states = journal.states(source.name, now, negative_days)
    return [movie_id for movie_id in ids if states.get(movie_id) in NEGATIVE]


def run_crawl(
    paths: DataPaths,
    config: CrawlConfig,
    watch: Callable[[Progress], None] = lambda _: None,
    clock: Clock | None = None,
) -> CrawlResult:
    """Ask the configured sources for the plots that the listings lack, and export what is known to `paths.crawl_csv`.

    Whenever it ends, by whatever cause, the next call goes on where it was. Where no source can be used, nothing is
    written.

    Args:
        paths: the data folder.
        config: sources, and how they are asked.
        watch: called about every second, and at the end, with the progress of the source that is being asked.
        clock: the time; none: the real one.

    Returns:
        Counts: those of `find_missing`, of `export_plots`, and by source `<name>/due`, `<name>/requests` and
        `<name>/<state>` of this run.

    Raises:
        SourceError: there are no listings, or one cannot be read.
        ConfigError: a source does not exist, or may not be asked like this.
        CrawlBusyError: another crawl writes to this data folder.
        DataError: the journal is damaged, or a file of the user would be overwritten.
    """
    missing = find_missing(paths.raw)
    if PublishedSource in configured_sources(config):
        adopt_foreign_plots(paths)  # now: whether that source can be used depends on it
    means = Means(config, settings(), paths)
    usable = _usable_sources(means)
    if not usable:
        return CrawlResult("done", (), StageResult(STAGE, paths.crawl_csv.parent, "", True, dict(missing.counts)))
    adopt_foreign_plots(paths)
    with open_journal(paths.crawl_journal) as journal:
        crawl = _Crawl(means, journal, clock or Clock())
        run_watched(crawl.ask_all(usable, missing.ids), lambda: watch(crawl.progress))
        watch(crawl.progress)
        stage = export_plots(paths, config, journal, missing)
    counts = {**missing.counts, **crawl.counts, **stage.counts}
    reasons = tuple(f"{ending.source}: {ending.reason}" for ending in crawl.endings)
    return CrawlResult(_outcome(crawl.endings), reasons, replace(stage, counts=counts))


def _usable_sources(means: Means) -> list[type[PlotSource]]:
    usable = []
    for source in configured_sources(means.config):
        obstacle = find_obstacle(source, means)
        if obstacle is None:
            usable.append(source)
        else:
            logger.info("crawl: %s is left out: %s", source.name, obstacle)
    return usable


def _outcome(endings: Sequence[Ending]) -> Outcome:
    outcomes = {ending.outcome for ending in endings}
    return "blocked" if "blocked" in outcomes else "stopped" if outcomes else "done"
