"""The acquire room's face towards the flows."""

import logging

from prefect import task
from prefect.cache_policies import NO_CACHE

from tasks.acquire.config import SampleConfig
from tasks.acquire.listings import acquire_listings
from tasks.paths import data_paths
from tasks.stage import StageResult

logger = logging.getLogger(__name__)


@task(name="acquire", task_run_name="acquire", cache_policy=NO_CACHE, persist_result=False)
def acquire(source: str, sample: SampleConfig, seed: int) -> StageResult:
    """Bring `data/raw` up to date from `sample`, a folder of CSVs or a zip of them; see `acquire_listings`."""
    result = acquire_listings(data_paths(), source, sample, seed)
    logger.info("acquire: %d files from %s", result.counts["files"], source)
    return result
