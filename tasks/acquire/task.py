"""Prefect tasks that acquire raw listings, files of the earlier system and crawled plots."""

import logging
from collections.abc import Callable
from typing import Any, cast
from uuid import UUID

import httpx
from prefect.artifacts import create_progress_artifact, update_progress_artifact
from prefect.context import TaskRunContext
from prefect.exceptions import PrefectException
from prefect.states import Completed, Failed

from tasks.acquire.config import CrawlConfig, DownloadConfig, DriveFile, SampleConfig
from tasks.acquire.crawl.crawl import CrawlResult, plan_crawl, run_crawl
from tasks.acquire.download import SUMMARY, Fetched, fetch_drive_files, summarise
from tasks.acquire.listings import acquire_listings
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
        logger.info("acquire: %s", SUMMARY.format_map(result.counts["download"]))
    return result


@stage_task("fetch drive files")
def fetch_files(names: tuple[DriveFile, ...], config: DownloadConfig) -> list[Fetched]:
    """Fetch the named files of the earlier system; see `fetch_drive_files`."""
    files = fetch_drive_files(data_paths(), names, config)
    logger.info("drive: %s", SUMMARY.format_map(summarise(files)))
    return files


@stage_task("crawl")
def crawl(config: CrawlConfig) -> CrawlResult:
    """Bring `data/crawl` up to date with the plots that the listings lack, as far as sources allow; see `run_crawl`.

    Call it with `return_state=True` to get the state: `Completed`, `Stopped` (no failure), or `Blocked`, a failure.
    """
    result = run_crawl(data_paths(), config, _progress_artifact())
    logger.info("crawl: %s, with %d plots", result.outcome, result.stage.counts.get("plots", 0))
    for reason in result.reasons:
        logger.warning("crawl: %s", reason)
    reasons, ended = "; ".join(result.reasons), cast("Any", result)  # or what Prefect makes a state of
    if result.outcome == "stopped":
        ended = Completed(name="Stopped", message=reasons, data=result)
    elif result.outcome == "blocked":
        ended = Failed(name="Blocked", message=reasons, data=CrawlBlockedError(reasons))
    return cast("CrawlResult", ended)


@stage_task("plan crawl")
def plan(config: CrawlConfig) -> str:
    """Return an estimate of the requests and the duration of a crawl; see `plan_crawl`."""
    return plan_crawl(data_paths(), config)


def _progress_artifact() -> Callable[[Progress], None]:
    """Return a function that shows progress as an artifact of this task run; outside of one it does nothing."""
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
            logger.warning("crawl: progress cannot be shown (%s)", error)

    return show
