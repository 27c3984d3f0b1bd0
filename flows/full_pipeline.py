"""Everything, from raw listings to a registered champion: `python flows/full_pipeline.py [--source FOLDER]`."""

from flows.command_line import run_command
from flows.config import PipelineConfig

if __name__ == "__main__":
    raise SystemExit(run_command(PipelineConfig, "flows.full_pipeline:full_pipeline"))

from typing import Any

from prefect import flow
from prefect.client.schemas.objects import State

from flows.compare import compare
from flows.config import ChampionConfig, CompareConfig, ExploreFlowConfig, PrepareConfig, part
from flows.explore import explore
from flows.in_prefect import completed, run_name
from flows.prepare import prepare
from flows.runtime import check_cluster, exclusive, pipeline_run
from flows.train import raise_failures, train_models
from tasks.paths import data_paths
from tasks.tracking.task import log_stages


def what_to_explore(config: PipelineConfig) -> ExploreFlowConfig:
    """Return what to explore; of a table of one's own that is the clean data, since the raw part is about listings."""
    chosen = part(config, ExploreFlowConfig)
    if config.table is None:
        return chosen
    return chosen.model_copy(update={"explore": chosen.explore.model_copy(update={"of": "clean"})})


@flow(name="full-pipeline", flow_run_name=run_name("full pipeline"), persist_result=False)
def full_pipeline(config: PipelineConfig) -> State[Any]:
    """Acquire, clean, annotate, split, explore, train, evaluate, compare and promote.

    Raises:
        ModelsFailedError: some models failed; the others, if any, were compared.
    """
    source = config.source if config.start_from == "listings" else config.start_from
    tags = {"source": source, "preset": config.preset}
    check_cluster(config)
    with exclusive(data_paths()), pipeline_run(config, data_paths(), tags) as run:
        log_stages(run, prepare(part(config, PrepareConfig)))
        if config.draws_all:
            explored = explore(what_to_explore(config))
            log_stages(run, explored, [file for result in explored for file in result.folder.rglob("*.*")])
        failures = train_models(config, run)
        compared = compare(CompareConfig(**dict(part(config, ChampionConfig))), return_state=True)
        compared.result()  # raises what went wrong
        raise_failures(failures)
        return completed(compared.message or "")
