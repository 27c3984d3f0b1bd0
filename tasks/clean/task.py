"""The clean stage as a Prefect task."""

import logging
from pathlib import Path

from tasks.clean.movies import clean_movies
from tasks.clean.own_table import TableConfig, clean_own_table, import_clean_data
from tasks.clean.profiles import CleanConfig
from tasks.core.settings import data_paths
from tasks.prefect_task import stage_task
from tasks.stage import StageResult

logger = logging.getLogger(__name__)


@stage_task("clean")
def clean(config: CleanConfig) -> StageResult:
    """Bring the cleaned table up to date with the raw listings; see `clean_movies`."""
    result = clean_movies(data_paths(), config)
    logger.info("clean: %(movies_kept)d movies of %(rows_read)d rows", result.counts)
    return result


@stage_task("clean table")
def clean_table(source: Path, table: TableConfig, config: CleanConfig) -> StageResult:
    """Bring the cleaned table up to date with the user's own table; see `clean_own_table`."""
    result = clean_own_table(data_paths(), source, table, config)
    facts = {**result.counts, "file": source.name}
    logger.info("clean: %(movies_kept)d movies of %(rows_read)d rows of %(file)s", facts)
    return result


@stage_task("import clean data")
def import_clean(csv_path: Path) -> StageResult:
    """Import an already cleaned CSV as the cleaned table; see `import_clean_data`."""
    result = import_clean_data(data_paths(), csv_path)
    logger.info("import clean data: %(movies_kept)d movies of %(rows_read)d rows", result.counts)
    return result
