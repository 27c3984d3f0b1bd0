"""Raw listings into data/raw: `python flows/acquire.py --source sample|kaggle|FOLDER|FILE.zip [--plan]`."""

from flows.command_line import run_command
from flows.config import AcquireConfig, AcquireFlowConfig

if __name__ == "__main__":
    raise SystemExit(run_command(AcquireFlowConfig, "flows.acquire:acquire_or_plan"))

import sys

from prefect import flow

from flows.config import part
from flows.runtime import exclusive
from tasks.acquire.config import CrawlConfig
from tasks.acquire.task import acquire as acquire_listings
from tasks.acquire.task import crawl, fetch_files, plan
from tasks.errors import GenreflowError
from tasks.paths import data_paths
from tasks.stage import StageResult


class CrawlBlockedError(GenreflowError):
    """A source of plots refuses us, and something has to be changed first."""


@flow(name="acquire", flow_run_name="acquire {config.source}", persist_result=False)
def acquire(config: AcquireConfig) -> list[StageResult]:
    """Bring data/raw up to date with the source, and data/crawl with the plots that the listings lack.

    Raises:
        CrawlBlockedError: a source refuses us; what was crawled is kept.
    """
    with exclusive(data_paths()):
        results = [acquire_listings(config.source, config.sample, config.seed, config.download)]
        if config.drive:
            fetch_files(config.drive, config.download)
        if config.crawl.online or data_paths().published_crawl_csv.is_file():
            results.append(crawled(config.crawl))
        return results


def crawled(config: CrawlConfig) -> StageResult:
    """Crawl, and return what the crawl left; a crawl that stopped for today is no failure."""
    result = crawl(config)
    if result.outcome == "blocked":
        raise CrawlBlockedError("; ".join(result.reasons))
    return result.stage


@flow(name="acquire or plan", persist_result=False)
def acquire_or_plan(config: AcquireFlowConfig) -> None:
    """Acquire, or with `plan` print what a crawl of the listings in data/raw would ask, and fetch nothing."""
    if not config.plan:
        acquire(part(config, AcquireConfig))
        return
    with exclusive(data_paths()):
        sys.stdout.write(plan(config.crawl).text + "\n")
