"""Clean, annotate and split raw listings or your own table: `python flows/prepare.py [--source ...]`."""

from flows.cli import run_command
from flows.config import PrepareConfig

if __name__ == "__main__":
    raise SystemExit(run_command(PrepareConfig, "flows.prepare:prepare"))

from pathlib import Path
from typing import Final, Literal

from prefect import flow
from prefect.artifacts import create_table_artifact

from flows.acquire import acquire, complete
from flows.config import with_arguments
from flows.run_context import check_cluster, completed, core_count, exclusive, run_name, store_artifact
from tasks.acquire.task import fetch_files
from tasks.annotate.task import annotate, extract, import_corpus
from tasks.clean.task import clean, clean_table, import_clean
from tasks.core.settings import data_paths
from tasks.split.task import split
from tasks.stage import StageResult

PARTS: Final = {"train": "train on", "validation": "choose by", "test": "test on"}


@flow(name="prepare", flow_run_name=run_name("prepare"), persist_result=False)
def prepare(
    source: str | None = None, preset: str | None = None, config: PrepareConfig | None = None
) -> list[StageResult]:
    """Bring the clean table, the annotated corpus and the splits up to date with data/raw, or with your own table.

    Args:
        source: to acquire first: sample, kaggle, or a path. Default: as in config, else what is in data/raw.
        preset: quick, standard, full, or the path of a YAML file. Default: as in config, else quick.
        config: all options, including those above; each is given only once.
    """
    config = with_arguments(PrepareConfig, config, source=source, preset=preset)
    check_cluster(config)
    with exclusive(data_paths()):
        results = prepare_data(config)
        counts = results[-1].counts
        parts = ", ".join(f"{counts[part]:,} to {use}" for part, use in PARTS.items())
        return completed(f"{sum(counts[part] for part in PARTS):,} movies: {parts}", results)


def prepare_data(config: PrepareConfig) -> list[StageResult]:
    """Acquire, clean, annotate and split, as far as the configuration says; show in Prefect's UI what was cleaned."""
    start = config.start_from
    results = from_listings(config) if start == "listings" else from_earlier_system(config, start)
    for cleaned in (result for result in results if result.name == "clean"):
        counts = {key: value for key, value in cleaned.counts.items() if isinstance(value, int) and value}
        order = sorted(counts, key=lambda key: (key not in ("rows_read", "movies_kept"), key))
        rows = [{"what": key.replace("/", ": ").replace("_", " "), "rows": counts[key]} for key in order]
        store_artifact(create_table_artifact, table=rows, key="cleaning", description="Rows by cleaning step")
    return [*results, split(config.split, config.seed, wait_for=results[-1:])]


def from_listings(config: PrepareConfig) -> list[StageResult]:
    """Acquire if a source is given, then complete, clean and annotate the listings; your own table is read in place."""
    if config.table is not None and config.source is not None:
        cleaned = [clean_table(Path(config.source).expanduser(), config.table, config.clean)]
    else:
        acquired = complete(config) if config.source is None else acquire(config, config.source)
        cleaned = [*acquired, clean(config.clean, wait_for=acquired[-1:])]
    return [*cleaned, *annotated(config, cleaned)]


def from_earlier_system(config: PrepareConfig, start: Literal["clean_data", "conllu_data"]) -> list[StageResult]:
    """Import the earlier system's clean table or corpus instead of running the stages before."""
    fetched, *_ = fetch_files(tuple(dict.fromkeys((start, *config.drive))), config.download)
    if start == "clean_data":
        imported = [import_clean(fetched.path, wait_for=[fetched])]
        return [*imported, *annotated(config, imported)]
    extracted = extract(fetched.path, wait_for=[fetched])
    imported = [import_clean(data_paths().corpus_csv, wait_for=[extracted])]
    return [extracted, *imported, import_corpus(fetched.path, wait_for=imported)]


def annotated(config: PrepareConfig, cleaned: list[StageResult]) -> list[StageResult]:
    """Annotate the cleaned movies, unless that is skipped."""
    if "annotate" in config.skip:
        return []
    return [annotate(config.annotate, config.workers or core_count(), config.dask_address, wait_for=cleaned[-1:])]
