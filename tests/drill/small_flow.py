"""A flow of three tasks of ten lines; the second waits for a file `go` in the data folder."""

import itertools
import time

from prefect import flow, task
from victims import LISTING, NAMES, run_one_stage

from flows.config import FlowConfig
from tasks.core.settings import data_paths


@task(persist_result=False)
def run_task(before: str, name: str) -> None:
    """Run a stage; all but the first wait until they may."""
    while name != NAMES[0] and not (data_paths().root / "go").exists():
        time.sleep(0.02)
    run_one_stage(before, name)


@flow(name="small", persist_result=False)
def small_flow(config: FlowConfig) -> None:
    """Run the stages one after the other."""
    del config
    for before, name in itertools.pairwise((LISTING.parent.name, *NAMES)):
        run_task(before, name)
