"""Run everything, from raw listings to a registered champion: `python flows/full_pipeline.py [--source FOLDER]`."""

from flows.cli import run_command
from flows.config import PipelineConfig

if __name__ == "__main__":
    raise SystemExit(run_command(PipelineConfig, "flows.full_pipeline:full_pipeline"))

from prefect import flow

from flows.compare import compare_last
from flows.config import ChampionConfig, CompareConfig, Names, check_source, with_arguments
from flows.prepare import prepare_data
from flows.run_context import check_cluster, completed, core_count, exclusive, pipeline_run, run_name
from flows.train import fit_models
from tasks.core.settings import data_paths
from tasks.explore.task import explore
from tasks.tracking.task import log_stages


@flow(name="full-pipeline", flow_run_name=run_name("full pipeline"), persist_result=False)
def full_pipeline(
    source: str | None = None, preset: str | None = None, models: Names = (), config: PipelineConfig | None = None
) -> str:
    """Acquire, clean, annotate, split, explore, train, evaluate, compare and promote; return the outcome as one line.

    Args:
        source: sample, kaggle, or the path of listings or of a table. Default: as in config, else sample.
        preset: quick, standard, full, or the path of a YAML file. Default: as in config, else quick.
        models: names or globs. Default: as in config, else the preset's.
        config: all options, including those above; each is given only once.

    Raises:
        ConfigError: there is nothing at the source.
        ModelsFailedError: some models failed; the others, if any, were compared.
    """
    config = with_arguments(PipelineConfig, config, source=source, preset=preset, models=models)
    check_source(config.source)
    source = config.source if config.start_from == "listings" else config.start_from
    check_cluster(config)
    tags = {"source": source, "preset": config.preset}
    with exclusive(data_paths()), pipeline_run(config, data_paths(), tags) as run:
        prepared = prepare_data(config)
        log_stages(run, prepared)
        if config.pictures == "all":
            # The raw part is about listings, which a user's own table does not have.
            part = config.explore if config.table is None else config.explore.model_copy(update={"of": "clean"})
            explored = explore(part, core_count(), config.forms, wait_for=prepared)
            log_stages(run, explored, [file for result in explored for file in result.folder.rglob("*.*")])
        fitted = fit_models(config, run, prepared)
        of_champion = CompareConfig(**{name: getattr(config, name) for name in ChampionConfig.model_fields})
        outcome = compare_last(of_champion, fitted.results)
        fitted.raise_failures()
        return completed(outcome, outcome)
