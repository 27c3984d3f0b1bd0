"""What a crawl would do. Owns the estimate and its wording; sends nothing and writes nothing."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import ceil

from tasks.acquire.config import CrawlConfig
from tasks.acquire.crawl.client import MARGIN, Clock, Conduct
from tasks.acquire.crawl.crawl import find_due, find_open, run_watched
from tasks.acquire.crawl.journal import Journal, read_journal
from tasks.acquire.crawl.plots import find_missing, is_foreign
from tasks.acquire.crawl.sources import Means, PlotSource, configured_sources, find_obstacle
from tasks.core.errors import ConfigError
from tasks.core.schema import MovieId
from tasks.core.settings import DataPaths, settings


@dataclass(frozen=True)
class SourcePlan:
    """What one source would be asked: ids at most, requests, and seconds at the configured rate.

    `found` is how many whole plots a local source holds. `days` is how many days the quota spreads the requests over.
    """

    name: str
    obstacle: str | None = None
    found: int | None = None
    ids: int = 0
    requests: int = 0
    duration_s: float = 0.0
    days: int = 1


@dataclass(frozen=True)
class CrawlPlan:
    """What is missing, what each source would be asked in its turn, and what else the user should know."""

    counts: dict[str, int]
    sources: tuple[SourcePlan, ...]
    notes: tuple[str, ...]

    @property
    def text(self) -> str:
        """The plan for people, some lines."""
        counts = self.counts
        missing = counts["nothing"] + counts["truncated"]
        first = (
            f"{missing:,} of {counts['ids']:,} movies lack a whole plot: {counts['nothing']:,} have none, "
            f"{counts['truncated']:,} a truncated one"
        )
        lines = [f"  {source.name}: {line}" for source in self.sources for line in _describe(source)]
        return "\n".join([first, *lines, *self.notes])


def plan_crawl(paths: DataPaths, config: CrawlConfig, clock: Clock | None = None) -> CrawlPlan:
    """Work out what `run_crawl` would do if all sources could be asked; sends nothing, writes nothing.

    An id that a source answers is not asked of the next one, which nobody knows before: later sources may get fewer.

    Raises:
        SourceError: there are no listings, or one cannot be read.
        ConfigError: a source does not exist.
        DataError: the journal is damaged.
    """
    now = (clock or Clock()).now()
    missing = find_missing(paths.raw)
    means = Means(config.model_copy(update={"online": True}), settings(), paths)
    ids: Sequence[MovieId] = missing.ids
    steps: list[SourcePlan] = []
    with read_journal(paths.crawl_journal) as journal:
        for source in configured_sources(config):
            due = find_due(source, journal, ids, now, config.negative_days)
            remaining = {*due, *find_open(source, journal, ids, now, config.negative_days)}
            step = SourcePlan(source.name, _obstacle(source, means), ids=len(due))
            if not source.is_local:
                step = _estimate(step, source, config, journal, now)
            elif step.obstacle is None:
                found = _look_up(source, means, due)
                remaining -= found
                step = replace(step, found=len(found))
            ids = [movie_id for movie_id in ids if movie_id in remaining]
            steps.append(step)
    return CrawlPlan(missing.counts, tuple(steps), tuple(_notes(paths, config)))


def _obstacle(source: type[PlotSource], means: Means) -> str | None:
    """Return what would keep a source from being asked, also what would be an error then."""
    try:
        return find_obstacle(source, means)
    except ConfigError as error:
        return str(error)


def _look_up(kind: type[PlotSource], means: Means, ids: Sequence[MovieId]) -> set[MovieId]:
    """Return the ids of which a local source has whole plots."""
    source = kind(means, Conduct(means.config, "", Clock(), lambda: None))
    found: set[MovieId] = set()
    for start in range(0, len(ids), kind.largest_batch):
        answers = run_watched(source.fetch(ids[start : start + kind.largest_batch]), lambda: None)
        found |= {movie_id for movie_id, answer in answers.items() if answer.state == "ok"}
    return found


def _estimate(
    plan: SourcePlan, source: type[PlotSource], config: CrawlConfig, journal: Journal, now: float
) -> SourcePlan:
    """Return the plan of a source on the network with its requests and their time."""
    requests = ceil(plan.ids / min(config.batch_size or source.largest_batch, source.largest_batch))
    days, obstacle = 1, plan.obstacle
    if quota := config.daily_requests.get(source.name):
        left_today = max(0, quota - journal.requests_today(source.name, now))
        days += ceil(max(0, requests - left_today) / quota)
    if pause := journal.pause_of(source.name, now):
        obstacle = obstacle or f"{pause.reason}; it is left alone for {_duration(pause.until - now)} more"
    return replace(plan, obstacle=obstacle, requests=requests, duration_s=requests * MARGIN / config.rate_hz, days=days)


def _notes(paths: DataPaths, config: CrawlConfig) -> list[str]:
    notes = [] if config.online else ["Sources on the network are asked only with crawl.online."]
    if is_foreign(paths):
        notes.append(f"{paths.crawl_csv} is an earlier crawl; it will be taken as the source `published`.")
    return notes


def _describe(source: SourcePlan) -> list[str]:
    lines = []
    if source.found is not None:
        lines.append(f"has {source.found:,} of {source.ids:,}, here on the disk")
    elif source.requests:
        spread = f", over {source.days:,} days by its quota" if source.days > 1 else ""
        duration = _duration(source.duration_s)
        lines.append(f"at most {source.ids:,} ids in {source.requests:,} requests, {duration}{spread}")
    if source.obstacle is not None:
        lines.append(f"cannot be asked now: {source.obstacle}")
    return lines or ["nothing to ask"]


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60} min"
