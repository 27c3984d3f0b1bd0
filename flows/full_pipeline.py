"""Everything, from raw listings to a registered champion: `python flows/full_pipeline.py [--source FOLDER]`."""

from flows.command_line import run_command
from flows.config import PipelineConfig

if __name__ == "__main__":
    raise SystemExit(run_command(PipelineConfig, "flows.full_pipeline:full_pipeline"))

from typing import cast

from prefect import flow

from flows.compare import compare
from flows.config import ChampionConfig, CompareConfig, ExploreFlowConfig, PrepareConfig, part, with_leading
from flows.explore import explore
from flows.in_prefect import completed, result_of, run_name
from flows.prepare import prepare
from flows.runtime import check_cluster, exclusive, pipeline_run
from flows.train import train_models
from tasks.paths import data_paths
from tasks.tracking.task import log_stages


def what_to_explore(config: PipelineConfig) -> ExploreFlowConfig:
    """Return what to explore; of a table of one's own that is the clean data, since the raw part is about listings."""
    chosen = part(config, ExploreFlowConfig)
    if config.table is None:
        return chosen
    return chosen.model_copy(update={"explore": chosen.explore.model_copy(update={"of": "clean"})})


def comparison(config: PipelineConfig) -> CompareConfig:
    """Return how to compare the models of the run."""
    return CompareConfig(**dict(part(config, ChampionConfig)))


@flow(name="full-pipeline", flow_run_name=run_name("full pipeline"), persist_result=False)
def full_pipeline(
    source: str | None = None,
    preset: str | None = None,
    models: tuple[str, ...] = (),
    config: PipelineConfig | None = None,
) -> str:
    """Acquire, clean, annotate, split, explore, train, evaluate, compare and promote; return what came of it.

    Args:
        source: sample, kaggle, or the path of listings or of a table; none: the configuration's, else sample.
        preset: quick, standard, full, or the path of a YAML file; none: the configuration's, else quick.
        models: names or globs; none: the configuration's, else the preset's.
        config: all other options.

    Raises:
        ModelsFailedError: some models failed; the others, if any, were compared.
    """
    config = with_leading(PipelineConfig, config, source=source, preset=preset, models=models)
    source = config.source if config.start_from == "listings" else config.start_from
    tags = {"source": source, "preset": config.preset}
    check_cluster(config)
    with exclusive(data_paths()), pipeline_run(config, data_paths(), tags) as run:
        prepared = result_of(prepare(config=part(config, PrepareConfig), return_state=True))
        log_stages(run, prepared)
        if config.draws_all:
            explored = result_of(explore(what_to_explore(config), return_state=True, wait_for=prepared))
            log_stages(run, explored, [file for result in explored for file in result.folder.rglob("*.*")])
        fitted = train_models(config, run, prepared)
        outcome = result_of(compare(comparison(config), return_state=True, wait_for=[fitted]))
        fitted.raise_failures()
        return cast("str", completed(outcome))
