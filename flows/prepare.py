"""From raw listings or an own table to a clean, annotated and split one: `python flows/prepare.py [--source ...]`."""

from flows.command_line import run_command
from flows.config import PrepareConfig

if __name__ == "__main__":
    raise SystemExit(run_command(PrepareConfig, "flows.prepare:prepare"))

from pathlib import Path
from typing import Literal

from prefect import flow

from flows.acquire import acquire, complete
from flows.config import AcquireConfig, part
from flows.in_prefect import run_name, show_cleaning
from flows.runtime import check_cluster, core_count, exclusive
from tasks.acquire.task import fetch_files
from tasks.annotate.task import annotate, extract, import_corpus
from tasks.clean.task import clean, clean_table, import_clean
from tasks.paths import data_paths
from tasks.split.task import split
from tasks.stage import StageResult


@flow(name="prepare", flow_run_name=run_name("prepare"), persist_result=False)
def prepare(config: PrepareConfig) -> list[StageResult]:
    """Bring the clean table, the annotated corpus and the splits up to date with data/raw, or a table of one's own."""
    check_cluster(config)
    with exclusive(data_paths()):
        start = config.start_from
        results = from_listings(config) if start == "listings" else from_earlier_system(config, start)
        show_cleaning(results)
        return [*results, split(config.split, config.seed)]


def from_listings(config: PrepareConfig) -> list[StageResult]:
    """Acquire if a source is given, complete what is there, clean and annotate; an own table is read where it is."""
    if config.table is not None and config.source is not None:
        cleaned = [clean_table(Path(config.source).expanduser(), config.table, config.clean)]
    else:
        acquired = complete(config) if config.source is None else acquire(part(config, AcquireConfig))
        cleaned = [*acquired, clean(config.clean)]
    if "annotate" in config.skip:
        return cleaned
    return [*cleaned, annotate(config.annotate, config.workers or core_count(), config.dask_address)]


def from_earlier_system(config: PrepareConfig, start: Literal["clean_data", "conllu_data"]) -> list[StageResult]:
    """Fetch and import the earlier system's clean table or its corpus in place of the stages before."""
    fetched, *_ = fetch_files(tuple(dict.fromkeys((start, *config.drive))), config.download)
    if start == "clean_data":
        imported = [import_clean(fetched.path)]
        if "annotate" in config.skip:
            return imported
        return [*imported, annotate(config.annotate, config.workers or core_count(), config.dask_address)]
    extracted = extract(fetched.path)
    return [extracted, import_clean(data_paths().corpus_csv), import_corpus(fetched.path)]
