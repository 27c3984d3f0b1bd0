"""The clean stage as a Prefect task."""

import logging

from prefect import task
from prefect.cache_policies import NO_CACHE

from tasks.clean.config import CleanConfig
from tasks.clean.movies import clean_movies
from tasks.paths import data_paths
from tasks.stage import StageResult

logger = logging.getLogger(__name__)


@task(name="clean", task_run_name="clean", cache_policy=NO_CACHE, persist_result=False)
def clean(config: CleanConfig) -> StageResult:
    """Bring the cleaned table up to date with the raw listings; see `clean_movies`."""
    result = clean_movies(data_paths(), config)
    counts = result.counts
    logger.info("clean: %d movies of %d rows", counts["movies_kept"], counts["rows_read"])
    return result
