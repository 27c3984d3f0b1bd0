"""The annotation as a Prefect task."""

import logging

from prefect import task
from prefect.cache_policies import NO_CACHE

from tasks.annotate.config import AnnotateConfig
from tasks.annotate.corpus import annotate_movies
from tasks.paths import data_paths
from tasks.stage import StageResult

logger = logging.getLogger(__name__)


@task(name="annotate", cache_policy=NO_CACHE, persist_result=False)
def annotate(config: AnnotateConfig, workers: int) -> StageResult:
    """Bring `data/conllu/` up to date with the cleaned movies."""
    paths = data_paths()
    logger.info("annotate: %s with %s, %d workers", paths.movies, config.pipeline, workers)
    return annotate_movies(paths, config, workers)
