"""The split as Prefect tasks."""

import logging
from pathlib import Path

from tasks.core.schema import DEFAULT_SEED
from tasks.core.settings import data_paths
from tasks.prefect_task import stage_task
from tasks.split.parts import SplitConfig, split_movies, write_subset
from tasks.stage import StageResult

logger = logging.getLogger(__name__)


@stage_task("split")
def split(config: SplitConfig, seed: int = DEFAULT_SEED) -> StageResult:
    """Split the cleaned movies into train, validation and test, with folds and a development subset of train."""
    logger.info("split: test %g, validation %g of all movies", config.test_share, config.validation_share)
    return split_movies(data_paths(), config, seed)


@stage_task("subset", "subset {root.name}")
def subset(root: Path, part: str | None = None, without: Path | None = None) -> StageResult:
    """Write a data folder with the movies of one part, or with all but some train movies."""
    return write_subset(data_paths(), root, part, without)
