"""Raw listings into data/raw: `python flows/acquire.py --source sample|FOLDER|FILE.zip`."""

from flows.command_line import run_command
from flows.config import AcquireConfig

if __name__ == "__main__":
    raise SystemExit(run_command(AcquireConfig, "flows.acquire:acquire"))

from prefect import flow

from flows.runtime import exclusive
from tasks.acquire.task import acquire as acquire_listings
from tasks.paths import data_paths
from tasks.stage import StageResult


@flow(name="acquire", flow_run_name="acquire {config.source}", persist_result=False)
def acquire(config: AcquireConfig) -> list[StageResult]:
    """Bring data/raw up to date with the source."""
    with exclusive(data_paths()):
        return [acquire_listings(config.source, config.sample, config.seed)]
