"""The crawl: find what is missing, ask one source after the other, export; and an estimate of that.

Each id tries the sources in order, and goes on to the next when one has settled that it has no whole plot. An id that
failed or was not sent waits for the next run.
"""

import asyncio
import contextlib
import logging
from collections import Counter
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass, replace
from math import ceil
from typing import Any, Literal, TypeVar

from tasks.acquire.config import CrawlConfig
from tasks.acquire.crawl import client
from tasks.acquire.crawl.client import Clock, Ids, PlotSource, SourceContext
from tasks.acquire.crawl.journal import (
    NEGATIVE,
    STAGE,
    Answer,
    Journal,
    State,
    adopt_foreign_plots,
    export_plots,
    find_missing,
    is_foreign,
    open_journal,
    read_journal,
)
from tasks.acquire.crawl.sources import PublishedSource, configured_sources, find_obstacle
from tasks.core.errors import ConfigError
from tasks.core.logs import Progress
from tasks.core.settings import DataPaths, settings
from tasks.stage import StageResult

logger = logging.getLogger(__name__)

Result = TypeVar("Result")


class SourceSession:
    """The use of one source in one run, by several workers.

    An answer is in the journal before its worker sends the next query. `states` and `requests` count the answers and
    what was sent. `stopped` says why the source was left before all ids were answered; those left stay due.
    """

    def __init__(self, source: type[PlotSource], context: SourceContext, journal: Journal, n_ids: int) -> None:
        self.name, self.config, self.clock, self.journal = source.name, context.config, context.clock, journal
        self.source = source(replace(context, spend_request=self.spend_request))
        self.states: Counter[State] = Counter()
        self.requests = self.failures_in_a_row = 0
        self.stopped, self.is_blocked, self.is_down = "", False, False
        self.progress = Progress(f"crawl: {self.name}", n_ids)

    def spend_request(self) -> None:
        """Count a request before it is sent; raise QuotaSpentError if the day's quota is used up."""
        quota = self.config.daily_requests.get(self.name)
        if quota is not None:
            now = self.clock.now()
            if self.journal.requests_today(self.name, now) >= quota:
                raise client.QuotaSpentError(f"all {quota:,} requests of this day (UTC) are used up")
            self.journal.count_request(self.name, now)
        self.requests += 1

    async def ask(self, ids: Ids) -> None:
        """Ask for all ids, as far as the source allows."""
        wait_s, reason = self.journal.pause_of(self.name, self.clock.now())
        if wait_s and not self.source.is_local:
            self._stop(client.StopError(f"{reason}; it is left alone for {wait_s:,.0f} s more"))
            return
        size = self.source.batch_size(self.config)
        batches = iter([ids[start : start + size] for start in range(0, len(ids), size)])
        try:
            async with asyncio.TaskGroup() as workers:
                for _ in range(1 if self.source.is_local else self.config.workers):
                    workers.create_task(self._work(batches))
        except ExceptionGroup as group:
            for error in group.exceptions:
                if not isinstance(error, client.BlockedError | client.StopError):
                    raise error from None
                self._stop(error)

    async def _work(self, batches: Iterator[Ids]) -> None:
        for batch in batches:
            if self.stopped:
                return
            try:
                await self._ask_batch(batch)
            except client.QuotaSpentError as error:  # nothing was sent; the other workers may finish
                self._stop(error)
                return
            if self.is_down:
                raise client.StopError(f"{self.failures_in_a_row} requests in a row failed; it seems to be down")

    async def _ask_batch(self, batch: Ids) -> None:
        """Ask for a batch and store the answers; split it if the source cannot answer it as a whole."""
        if self.is_down:
            return
        succeeded = False
        try:
            answers = await self.source.fetch(batch)
            succeeded = True
        except (client.GarbledError, client.RejectedError) as error:
            if len(batch) > 1:  # one of the ids is the reason
                middle = len(batch) // 2
                await self._ask_batch(batch[:middle])
                await self._ask_batch(batch[middle:])
                return
            state: State = "bad_payload" if isinstance(error, client.GarbledError) else "not_found"
            logger.info("crawl: %s: %s is %s: %s", self.name, batch[0], state, error)
            answers = {batch[0]: Answer(state, detail=str(error))}
        except client.TransientError as error:
            logger.warning("crawl: %s: gave up on %d ids, from %s: %s", self.name, len(batch), batch[0], error)
            answers = dict.fromkeys(batch, Answer("failed", detail=str(error)))
        if not self.is_down:  # a late success does not undo that
            self.failures_in_a_row = 0 if succeeded else self.failures_in_a_row + 1
            self.is_down = self.failures_in_a_row >= self.config.failures_in_a_row
        # In a thread: waiting for the disk would delay the requests of the other workers.
        await asyncio.to_thread(self.journal.record, self.name, answers, self.clock.now())
        self.states.update(answer.state for answer in answers.values())
        self.progress.advance(len(answers))

    def _stop(self, error: client.BlockedError | client.StopError) -> None:
        is_block = isinstance(error, client.BlockedError)
        if isinstance(error, client.StopError) and error.until is not None:
            self.journal.pause(self.name, error.until, str(error))
        if not self.stopped or is_block:
            self.stopped, self.is_blocked = f"{self.name}: {error}", is_block
            logger.warning("crawl: %s %s: %s", self.name, "blocked" if is_block else "stopped", error)


def run_interruptible(work: Coroutine[Any, Any, Result], tick: Callable[[], None], tick_s: float = 1.0) -> Result:
    """Run a coroutine in its own thread, and call `tick` here every `tick_s` seconds until it ends.

    Anything raised here, such as Ctrl-C, cancels it, waits for its end and propagates. In one thread, asyncio could
    swallow what a signal handler raises; and the caller may have a running loop, as Prefect does.
    """
    loop = asyncio.new_event_loop()
    task = loop.create_task(work)

    def run() -> Result:
        try:
            return loop.run_until_complete(task)
        finally:
            loop.run_until_complete(loop.shutdown_asyncgens())
            loop.run_until_complete(loop.shutdown_default_executor())  # waits for what its threads still do
            loop.close()

    with ThreadPoolExecutor(1, "crawl") as pool:
        done = pool.submit(run)
        try:
            while not wait([done], timeout=tick_s).done:
                tick()
        except BaseException:
            with contextlib.suppress(RuntimeError):  # the loop has just closed
                loop.call_soon_threadsafe(task.cancel)
            raise
        return done.result()


@dataclass(frozen=True)
class CrawlResult:
    """How a crawl ended."""

    # Nothing is left to ask; the same command continues later; a source refuses access, and something must be changed.
    outcome: Literal["done", "stopped", "blocked"]
    reasons: tuple[str, ...]  # a line per source that was left early
    stage: StageResult

    @property
    def skipped(self) -> bool:
        """Whether there was nothing to ask or to write."""
        return self.stage.skipped


def divide(source: type[PlotSource], journal: Journal, ids: Ids, now: float, days: float) -> tuple[Ids, Ids]:
    """Return the ids to request from a source, unsettled for `days` days, and those to request from the next one."""
    states = journal.states(source.name, now, days)
    settled = ("ok",) if source.is_local else ("ok", *NEGATIVE)  # a local one is read each time
    due = [movie_id for movie_id in ids if states.get(movie_id) not in settled]
    return due, [movie_id for movie_id in ids if states.get(movie_id) in NEGATIVE]


def run_crawl(
    paths: DataPaths,
    config: CrawlConfig,
    watch: Callable[[Progress], None] = lambda _: None,
    clock: Clock | None = None,
) -> CrawlResult:
    """Request the plots that the listings lack from the configured sources, and export all known to `paths.crawl_csv`.

    However it ends, the next call continues. If no source can be used, nothing is written. `watch` is called about
    every second, and at the end, with the progress of the current source. Counts: those of `find_missing`, of
    `export_plots`, and by source `<name>/due`, `<name>/requests` and `<name>/<state>` of this run.

    Raises:
        SourceError: there are no listings, or one cannot be read.
        ConfigError: a source does not exist, or may not be used like this.
        BusyError: another crawl writes to this data folder.
        DataError: the journal is damaged, or a file of the user would be overwritten.
    """
    missing = find_missing(paths.raw)
    if PublishedSource in configured_sources(config):
        adopt_foreign_plots(paths)  # now: whether that source can be used depends on it
    context = SourceContext(config, settings(), paths, clock or Clock())
    obstacles = {source: find_obstacle(source, context) for source in configured_sources(config)}
    for source, obstacle in obstacles.items():
        if obstacle is not None:
            logger.info("crawl: %s is left out: %s", source.name, obstacle)
    usable = [source for source, obstacle in obstacles.items() if obstacle is None]
    if not usable:
        return CrawlResult("done", (), StageResult(STAGE, paths.crawl_csv.parent, "", True, dict(missing.counts)))
    adopt_foreign_plots(paths)
    counts: Counter[str] = Counter()
    reasons: list[str] = []
    is_blocked = False
    progress = Progress("crawl", None)

    async def ask_all(ids: Ids) -> None:
        nonlocal is_blocked, progress
        now, days = context.clock.now, config.negative_days
        for source in usable:
            due, _ = divide(source, journal, ids, now(), days)
            session = SourceSession(source, context, journal, len(due))
            progress = session.progress
            async with contextlib.aclosing(session.source):
                if due:
                    await session.ask(due)
                    progress.finish()
            counts.update({f"{source.name}/due": len(due), f"{source.name}/requests": session.requests})
            counts.update({f"{source.name}/{state}": count for state, count in sorted(session.states.items())})
            is_blocked |= session.is_blocked
            if session.stopped:
                reasons.append(session.stopped)
            elif failed := session.states["failed"]:
                reasons.append(f"{source.name}: {failed:,} ids failed")
            _, ids = divide(source, journal, ids, now(), days)

    with open_journal(paths.crawl_journal) as journal:
        run_interruptible(ask_all(missing.ids), lambda: watch(progress))
        watch(progress)
        stage = export_plots(paths, config, journal, missing)
    stage = replace(stage, counts={**missing.counts, **counts, **stage.counts})
    return CrawlResult("blocked" if is_blocked else "stopped" if reasons else "done", tuple(reasons), stage)


def plan_crawl(paths: DataPaths, config: CrawlConfig, clock: Clock | None = None) -> str:
    """Return in a few lines what `run_crawl` would do at most if all sources could be used; send and write nothing."""
    now, days = (clock or Clock()).now(), config.negative_days
    missing = find_missing(paths.raw)
    context = SourceContext(config.model_copy(update={"online": True}), settings(), paths)
    ids: Ids = missing.ids
    nothing, truncated = missing.counts["nothing"], missing.counts["truncated"]
    lacking = f"{nothing + truncated:,} of {missing.counts['ids']:,} movies lack a whole plot"
    lines = [f"{lacking}: {nothing:,} have none, {truncated:,} a truncated one"]
    with read_journal(paths.crawl_journal) as journal:
        for source in configured_sources(config):
            due, left = divide(source, journal, ids, now, days)
            remaining = {*due, *left}
            costs = []
            try:
                obstacle = find_obstacle(source, context)
            except ConfigError as error:  # it would end the crawl
                obstacle = str(error)
            if not source.is_local:
                costs = _costs(source, config, journal, len(due), now)
                wait_s, reason = journal.pause_of(source.name, now)
                if wait_s and obstacle is None:
                    obstacle = f"{reason}; it is left alone for {_duration(wait_s)} more"
            elif obstacle is None:
                batches = [due[at : at + source.largest_batch] for at in range(0, len(due), source.largest_batch)]
                answers = [run_interruptible(source(context).fetch(batch), lambda: None) for batch in batches]
                found = {movie_id for batch in answers for movie_id, answer in batch.items() if answer.state == "ok"}
                remaining -= found
                costs = [f"has {len(found):,} of {len(due):,}, on this disk"]
            costs += [f"cannot be used now: {obstacle}"] if obstacle is not None else []
            lines += [f"  {source.name}: {line}" for line in costs or ["nothing to ask"]]
            ids = [movie_id for movie_id in ids if movie_id in remaining]
    if not config.online:
        lines.append("Sources on the network are used only with crawl.online.")
    if is_foreign(paths):
        lines.append(f"{paths.crawl_csv} is an earlier crawl; it will be used as the source `published`.")
    return "\n".join(lines)


def _costs(source: type[PlotSource], config: CrawlConfig, journal: Journal, n_ids: int, now: float) -> list[str]:
    requests = ceil(n_ids / source.batch_size(config))
    days, quota = 1, config.daily_requests.get(source.name)
    if quota:
        left_today = max(0, quota - journal.requests_today(source.name, now))
        days += ceil(max(0, requests - left_today) / quota)
    spread = f", over {days:,} days because of its quota" if days > 1 else ""
    duration = _duration(requests * client.MARGIN / config.rate_hz)
    return [f"at most {n_ids:,} ids in {requests:,} requests, {duration}{spread}"] if requests else []


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60} min"
