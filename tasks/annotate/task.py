"""The annotation as Prefect tasks."""

import logging
from pathlib import Path

from tasks.annotate.corpus import AnnotateConfig, annotate_movies, extract_movies, import_conllu
from tasks.core.settings import data_paths
from tasks.prefect_task import stage_task
from tasks.stage import StageResult

logger = logging.getLogger(__name__)


@stage_task("annotate")
def annotate(config: AnnotateConfig, workers: int, dask_address: str | None = None) -> StageResult:
    """Bring `data/conllu/` up to date with the cleaned movies, in local processes or on a scheduler's workers."""
    paths = data_paths()
    where = f"workers of {dask_address}" if dask_address else f"{workers} workers"
    logger.info("annotate: %s with %s, %s", paths.movies, config.pipeline, where)
    return annotate_movies(paths, config, workers, dask_address)


@stage_task("extract movies")
def extract(corpus: Path) -> StageResult:
    """Write the movies of a foreign corpus as a CSV; see `extract_movies`."""
    result = extract_movies(data_paths(), corpus)
    logger.info("extract movies: %d in %s", result.counts["documents"], corpus)
    return result


@stage_task("import corpus")
def import_corpus(corpus: Path) -> StageResult:
    """Make a foreign corpus the annotation of the cleaned movies; see `import_conllu`."""
    result = import_conllu(data_paths(), corpus)
    logger.info("import corpus: %(documents)d movies, %(empty_documents)d of them empty", result.counts)
    return result
