"""The exploration's face towards the flows."""

from prefect import get_run_logger, task
from prefect.cache_policies import NO_CACHE

from tasks.explore.config import ExploreConfig
from tasks.explore.stages import explore_clean, explore_raw, write_page
from tasks.paths import data_paths
from tasks.stage import StageResult


@task(name="explore", task_run_name="explore {config.of}", cache_policy=NO_CACHE, persist_result=False)
def explore(config: ExploreConfig) -> list[StageResult]:
    """Draw and tabulate the raw data, the clean data or both, and gather them on `explore/index.html`."""
    paths = data_paths()
    parts = {"raw": explore_raw, "clean": explore_clean}
    results = [parts[part](paths, config) for part in config.parts]
    page = write_page(paths, config)
    get_run_logger().info("explore: open %s", page.folder / "index.html")
    return [*results, page]
