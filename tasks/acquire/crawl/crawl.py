"""The crawl from beginning to end: what is missing, source after source, export. Owns their order and the outcome.

Each id tries the sources in their order: it goes on to the next one when the one before has settled that it has no
whole plot. An id whose question failed, or was not asked, waits for the next run.
"""

import logging
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from tasks.acquire.config import CrawlConfig
from tasks.acquire.crawl.answers import NEGATIVE
from tasks.acquire.crawl.asking import Ending, Inquiry
from tasks.acquire.crawl.choice import configured_sources, find_obstacle
from tasks.acquire.crawl.client import Conduct
from tasks.acquire.crawl.clock import Clock
from tasks.acquire.crawl.export import STAGE, adopt_foreign_plots, export_plots
from tasks.acquire.crawl.journal import Journal, open_journal
from tasks.acquire.crawl.missing import find_missing
from tasks.acquire.crawl.sources.published import PublishedSource
from tasks.acquire.crawl.sources.source import Means, PlotSource
from tasks.acquire.crawl.watched import run_watched
from tasks.paths import DataPaths
from tasks.progress import Progress
from tasks.schema import MovieId
from tasks.settings import settings
from tasks.stage import StageResult

logger = logging.getLogger(__name__)

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
