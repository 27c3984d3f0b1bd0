"""Draw and tabulate the raw and the clean data: `python flows/explore.py [--explore.of raw]`."""

from flows.cli import run_command
from flows.config import ExploreFlowConfig

if __name__ == "__main__":
    raise SystemExit(run_command(ExploreFlowConfig, "flows.explore:explore"))

from prefect import flow

from flows.run_context import completed, core_count, exclusive, run_name
from tasks.core.settings import data_paths
from tasks.explore.task import explore as explore_data
from tasks.stage import StageResult


@flow(name="explore", flow_run_name=run_name("explore"), persist_result=False)
def explore(config: ExploreFlowConfig) -> list[StageResult]:
    """Draw and tabulate what is in data/raw and data/clean."""
    with exclusive(data_paths()):
        results = explore_data(config.explore, core_count(), config.forms)
        return completed(f"open {data_paths().explore / 'index.html'}", results)
