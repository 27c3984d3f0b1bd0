"""The acquire room's face towards the flows."""

import logging
from collections.abc import Callable
from typing import Any, cast
from uuid import UUID

import httpx
from prefect.artifacts import create_progress_artifact, update_progress_artifact
from prefect.client.schemas.objects import State
from prefect.context import TaskRunContext
from prefect.exceptions import PrefectException
from prefect.states import Completed, Failed

from tasks.acquire.config import CrawlConfig, DownloadConfig, DriveFile, SampleConfig
from tasks.acquire.crawl.crawl import CrawlResult, run_crawl
from tasks.acquire.crawl.plan import CrawlPlan, plan_crawl
from tasks.acquire.crawl.sources import check_access
from tasks.acquire.download import Fetched
from tasks.acquire.listings import acquire_listings
from tasks.acquire.sources import fetch_drive_files, summarise, summary_line
from tasks.core.errors import CrawlBlockedError
from tasks.core.logs import Progress
from tasks.core.settings import data_paths
from tasks.prefect_task import stage_task
from tasks.stage import StageResult

logger = logging.getLogger(__name__)


@stage_task("acquire")
def acquire(source: str, sample: SampleConfig, seed: int, download: DownloadConfig | None = None) -> StageResult:
    """Bring `data/raw` up to date from `sample`, `kaggle`, a folder of CSVs or a zip; see `acquire_listings`."""
    result = acquire_listings(data_paths(), source, sample, seed, download)
    logger.info("acquire: %d files from %s", result.counts["files"], source)
    if "download" in result.counts:
        logger.info("acquire: %s", summary_line(result.counts["download"]))
    return result


@stage_task("fetch drive files")
def fetch_files(names: tuple[DriveFile, ...], config: DownloadConfig) -> list[Fetched]:
    """Bring the named files of the earlier system to their places; see `fetch_drive_files`."""
    files = fetch_drive_files(data_paths(), names, config)
    logger.info("drive: %s", summary_line(summarise(files)))
    return files


@stage_task("crawl")
def crawl(config: CrawlConfig) -> CrawlResult:
    """Bring `data/crawl` up to date with the plots that the listings lack, as far as sources allow; see `run_crawl`.

    The task run ends in the state `Completed`; in `Stopped`, which is no failure; or in `Blocked`, whose result is a
    `CrawlBlockedError`. To get the `CrawlResult` of any but the last, call it with `return_state=True`.
    """
    result = run_crawl(data_paths(), config, _progress_artifact())
    logger.info("crawl: %s, with %d plots", result.outcome, result.stage.counts.get("plots", 0))
    for reason in result.reasons:
        logger.warning("crawl: %s", reason)
    return cast("CrawlResult", _end_state(result))  # what Prefect makes of a state


def _end_state(result: CrawlResult) -> CrawlResult | State[Any]:
    """Return what Prefect shows as the end of a crawl: its result, in a state of its own name unless it is done."""
    said = "; ".join(result.reasons)
    if result.outcome == "blocked":
        return Failed(name="Blocked", message=said, data=CrawlBlockedError(said))
    return result if result.outcome == "done" else Completed(name="Stopped", message=said, data=result)


@stage_task("plan crawl")
def plan(config: CrawlConfig) -> CrawlPlan:
    """Say what a crawl would ask of whom, and for how long; see `plan_crawl`."""
    return plan_crawl(data_paths(), config)


def check_crawl(config: CrawlConfig) -> None:
    """Refuse a crawl that could not begin, before the work that comes first; see `check_access`."""
    check_access(config, data_paths())


def _progress_artifact() -> Callable[[Progress], None]:
    """Return what shows progress as an artifact of this task run; outside of one it shows nothing."""
    artifact: UUID | None = None
    shown = -1.0

    def show(progress: Progress) -> None:
        nonlocal artifact, shown
        percent = round(100 * progress.done / progress.total) if progress.total else 0
        if percent == shown or TaskRunContext.get() is None:
            return
        shown = percent
        try:
            if artifact is None:
                made = create_progress_artifact(percent, key="crawl", description=progress.line())
                artifact = made if isinstance(made, UUID) else None  # a coroutine only where a loop runs
            else:
                update_progress_artifact(artifact, percent, description=progress.line())
        except (PrefectException, httpx.HTTPError) as error:  # a crawl of days outlives a server's restart
            logger.warning("crawl: its progress cannot be shown (%s)", error)

    return show
