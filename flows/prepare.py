"""From raw listings to a clean, annotated and split table: `python flows/prepare.py [--source ...]`."""

from flows.command_line import run_command
from flows.config import PrepareConfig

if __name__ == "__main__":
    raise SystemExit(run_command(PrepareConfig, "flows.prepare:prepare"))

from prefect import flow

from flows.acquire import acquire
from flows.config import AcquireConfig
from flows.runtime import core_count, exclusive
from tasks.annotate.task import annotate
from tasks.clean.task import clean
from tasks.paths import data_paths
from tasks.split.task import split
from tasks.stage import StageResult


@flow(name="prepare", persist_result=False)
def prepare(config: PrepareConfig) -> list[StageResult]:
    """Bring the clean table, the annotated corpus and the splits up to date with data/raw."""
    with exclusive(data_paths()):
        results: list[StageResult] = []
        if config.source is not None:
            results += acquire(AcquireConfig(source=config.source, sample=config.sample, seed=config.seed))
        results.append(clean(config.clean))
        results.append(annotate(config.annotate, config.workers or core_count()))
        results.append(split(config.split, config.seed))
        return results
