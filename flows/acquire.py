"""Get the raw listings into data/raw: `python flows/acquire.py --source sample|kaggle|FOLDER|FILE.zip`, or `--plan`."""

from flows.cli import run_command
from flows.config import AcquireConfig

if __name__ == "__main__":
    raise SystemExit(run_command(AcquireConfig, "flows.acquire:acquire_or_plan"))

import sys
from collections.abc import Sequence

from prefect import flow

from flows.config import PrepareConfig, RawDataConfig, with_arguments
from flows.run_context import completed, exclusive, run_name
from tasks.acquire.crawl.sources import check_access
from tasks.acquire.task import acquire as acquire_listings
from tasks.acquire.task import crawl, fetch_files, plan
from tasks.core.errors import ConfigError
from tasks.core.settings import data_paths
from tasks.stage import StageResult


def acquire(config: AcquireConfig | PrepareConfig, source: str) -> list[StageResult]:
    """Bring data/raw up to date with the source, and data/crawl with the plots that the listings lack."""
    check_access(config.crawl, data_paths())  # before any other work
    acquired = acquire_listings(source, config.sample, config.seed, config.download)
    return [acquired, *complete(config, [acquired])]


def complete(config: RawDataConfig, acquired: Sequence[StageResult] = ()) -> list[StageResult]:
    """Fetch the earlier system's files and crawl, if configured; reaching a daily limit is not a failure."""
    if config.drive:
        fetch_files(config.drive, config.download)
    if config.crawl.online or data_paths().published_crawl_csv.is_file():
        crawled = crawl(config.crawl, return_state=True, wait_for=list(acquired))
        return [crawled.result().stage]
    return []


@flow(name="acquire", flow_run_name=run_name("acquire"), persist_result=False)
def acquire_or_plan(source: str | None = None, config: AcquireConfig | None = None) -> list[StageResult]:
    """Acquire, or with `plan` print what a crawl of the listings in data/raw would request, and fetch nothing.

    Args:
        source: sample, kaggle, or the path of listings. Default: as in config, else sample.
        config: all options, including those above; each is given only once.

    Raises:
        ConfigError: both a plan and a source are given.
        CrawlBlockedError: a source refuses access; what was crawled is kept.
    """
    config = with_arguments(AcquireConfig, config, source=source)
    if not config.plan:
        with exclusive(data_paths()):
            results = acquire(config, config.source)
        crawled = [f"{result.counts.get('plots', 0):,} plots crawled" for result in results[1:]]
        return completed("; ".join([f"{results[0].counts['files']} files from {config.source}", *crawled]), results)
    if "source" in config.model_fields_set:
        raise ConfigError(
            f"--plan is for the listings in {data_paths().raw}: acquire those of {config.source} first, without "
            "--plan and --crawl.online, then use --plan without --source"
        )
    sys.stdout.write(plan(config.crawl) + "\n")  # without the lock: it writes nothing, and a crawl may be running
    return []
