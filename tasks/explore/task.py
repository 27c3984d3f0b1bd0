"""The exploration as a Prefect task."""

import logging
from collections.abc import Sequence
from functools import partial

from tasks.core.figures import Form
from tasks.core.parallel import map_in_order
from tasks.core.settings import data_paths
from tasks.explore.config import ExploreConfig
from tasks.explore.stages import explore_part, write_page
from tasks.prefect_task import stage_task
from tasks.stage import StageResult

logger = logging.getLogger(__name__)


@stage_task("explore", "explore {config.of}")
def explore(config: ExploreConfig, workers: int, forms: Sequence[Form]) -> list[StageResult]:
    """Draw the raw data, the clean data or both, and gather them on `explore/index.html`."""
    paths = data_paths()
    logger.info("explore: drawing the %s data", " and the ".join(config.parts))
    results = list(map_in_order(partial(explore_part, paths, config, forms), config.parts, workers))
    page = write_page(paths, config)
    logger.info("explore: open %s", page.folder / "index.html")
    return [*results, page]
