"""An estimate of a crawl for people; sends nothing and writes nothing."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil

from tasks.acquire.config import CrawlConfig
from tasks.acquire.crawl.client import MARGIN, Clock, SourceContext
from tasks.acquire.crawl.crawl import effective_batch_size, find_due, find_open, run_interruptible
from tasks.acquire.crawl.journal import Journal, read_journal
from tasks.acquire.crawl.plots import find_missing, is_foreign
from tasks.acquire.crawl.sources import PlotSource, configured_sources, find_obstacle
from tasks.core.errors import ConfigError
from tasks.core.schema import MovieId
from tasks.core.settings import DataPaths, settings


@dataclass
class SourcePlan:
    """The cost of one source: maximum number of ids, requests, and seconds at the configured rate.

    `found` is the number of whole plots in a local source, `days` the number of days that the quota requires.
    """

    name: str
    ids: int
    obstacle: str | None = None
    found: int | None = None
    requests: int = 0
    duration_s: float = 0.0
    days: int = 1


@dataclass(frozen=True)
class CrawlPlan:
    """What is missing, the cost of each source, and notes for the user."""

    counts: dict[str, int]
    sources: tuple[SourcePlan, ...]
    notes: tuple[str, ...]

    @property
    def text(self) -> str:
        """The plan for people, in a few lines."""
        counts = self.counts
        missing = counts["nothing"] + counts["truncated"]
        first = (
            f"{missing:,} of {counts['ids']:,} movies lack a whole plot: {counts['nothing']:,} have none, "
            f"{counts['truncated']:,} a truncated one"
        )
        lines = [f"  {source.name}: {line}" for source in self.sources for line in _describe(source)]
        return "\n".join([first, *lines, *self.notes])


def plan_crawl(paths: DataPaths, config: CrawlConfig, clock: Clock | None = None) -> CrawlPlan:
    """Return what `run_crawl` would do if all sources could be used.

    An id that a source answers is not requested from the next one, which is unknown in advance: later sources may get
    fewer.

    Raises:
        SourceError: there are no listings, or one cannot be read.
        ConfigError: a source does not exist.
        DataError: the journal is damaged.
    """
    now = (clock or Clock()).now()
    missing = find_missing(paths.raw)
    context = SourceContext(config.model_copy(update={"online": True}), settings(), paths)
    ids: Sequence[MovieId] = missing.ids
    plans: list[SourcePlan] = []
    with read_journal(paths.crawl_journal) as journal:
        for source in configured_sources(config):
            due = find_due(source, journal, ids, now, config.negative_days)
            remaining = {*due, *find_open(source, journal, ids, now, config.negative_days)}
            plan = SourcePlan(source.name, len(due))
            try:
                plan.obstacle = find_obstacle(source, context)
            except ConfigError as error:  # it would end the crawl
                plan.obstacle = str(error)
            if not source.is_local:
                _estimate(plan, source, config, journal, now)
            elif plan.obstacle is None:
                found = _look_up(source, context, due)
                remaining -= found
                plan.found = len(found)
            ids = [movie_id for movie_id in ids if movie_id in remaining]
            plans.append(plan)
    notes = [] if config.online else ["Sources on the network are used only with crawl.online."]
    if is_foreign(paths):
        notes.append(f"{paths.crawl_csv} is an earlier crawl; it will be used as the source `published`.")
    return CrawlPlan(missing.counts, tuple(plans), tuple(notes))


def _look_up(source: type[PlotSource], context: SourceContext, ids: Sequence[MovieId]) -> set[MovieId]:
    """Return the ids with whole plots in a local source."""
    found: set[MovieId] = set()
    for start in range(0, len(ids), source.largest_batch):
        batch = ids[start : start + source.largest_batch]
        answers = run_interruptible(source(context).fetch(batch), lambda: None)
        found |= {movie_id for movie_id, answer in answers.items() if answer.state == "ok"}
    return found


def _estimate(plan: SourcePlan, source: type[PlotSource], config: CrawlConfig, journal: Journal, now: float) -> None:
    """Add the requests to a source on the network, and their duration."""
    plan.requests = ceil(plan.ids / effective_batch_size(source, config))
    plan.duration_s = plan.requests * MARGIN / config.rate_hz
    if quota := config.daily_requests.get(source.name):
        left_today = max(0, quota - journal.requests_today(source.name, now))
        plan.days += ceil(max(0, plan.requests - left_today) / quota)
    if pause := journal.pause_of(source.name, now):
        plan.obstacle = plan.obstacle or f"{pause.reason}; it is left alone for {_duration(pause.until - now)} more"


def _describe(source: SourcePlan) -> list[str]:
    lines = []
    if source.found is not None:
        lines.append(f"has {source.found:,} of {source.ids:,}, on this disk")
    elif source.requests:
        spread = f", over {source.days:,} days because of its quota" if source.days > 1 else ""
        duration = _duration(source.duration_s)
        lines.append(f"at most {source.ids:,} ids in {source.requests:,} requests, {duration}{spread}")
    if source.obstacle is not None:
        lines.append(f"cannot be used now: {source.obstacle}")
    return lines or ["nothing to ask"]


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60} min"
