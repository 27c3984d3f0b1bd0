"""The whole pipeline as plain function calls in one process, without Prefect's engine and without MLflow.

    python benchmarks/plain_pipeline.py --source FOLDER_OR_ZIP [--preset standard]

It calls the functions that the flows submit as tasks, in as many threads, and writes the same files. Nothing is
retried, recorded, registered or promoted; `overhead.py` measures the cost of that.
"""

from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

from flows.cli import run_command
from flows.config import PipelineConfig


def plain_pipeline(config: PipelineConfig) -> int:
    """Run a preset on a source as its flow does, without Prefect and MLflow."""
    from flows.run_context import core_count  # noqa: PLC0415 - the command line sets the environment before
    from tasks.acquire.task import acquire  # noqa: PLC0415
    from tasks.annotate.task import annotate  # noqa: PLC0415
    from tasks.clean.task import clean  # noqa: PLC0415
    from tasks.explore.task import explore  # noqa: PLC0415
    from tasks.split.task import split  # noqa: PLC0415

    assert config.source is not None
    acquire.fn(config.source, config.sample, config.seed, config.download)
    clean.fn(config.clean)
    if "annotate" not in config.skip:
        annotate.fn(config.annotate, core_count())
    split.fn(config.split, config.seed)
    if config.pictures == "all":
        explore.fn(config.explore, core_count())
    compare(train(config, core_count()))
    return 0


def train(config: PipelineConfig, workers: int) -> list[Path]:
    """Fit and evaluate the chosen models in threads; return their folders."""
    from flows.model_runs import train_choices  # noqa: PLC0415
    from tasks.core.settings import data_paths  # noqa: PLC0415
    from tasks.evaluate.task import evaluate  # noqa: PLC0415
    from tasks.models.registry import choose_models, is_encoded  # noqa: PLC0415
    from tasks.models.spec import EnsembleSpec, ModelSpec, features_of  # noqa: PLC0415
    from tasks.models.task import build_features, train_ensemble, train_model, train_transformer  # noqa: PLC0415

    chosen = choose_models(config.models, config.model_params, config.own_models)
    wanted = {model.name: features_of(model, config.train_on) for model in chosen if isinstance(model, ModelSpec)}
    by_name = {model.name: model for model in chosen}
    fitted: dict[str, Future[Any]] = {}

    def fit(model: Any) -> Any:
        match model:
            case ModelSpec():
                ready = [features[spec].result() for spec in wanted[model.name]]
                return train_model.fn(model, ready, train_choices(config))
            case EnsembleSpec():
                trained = [fitted[name].result() for name in model.members]
                return train_ensemble.fn(model, [by_name[name] for name in model.members], trained)
        return train_transformer.fn(model, train_choices(config), 1)

    def score(folder: Path) -> Path:
        fitted[folder.name].result()
        evaluate.fn(folder, config.evaluate)
        return folder

    specs = dict.fromkeys(spec for needed in wanted.values() for spec in needed)
    with ThreadPoolExecutor(workers) as pool:  # whoever waits, waits for what was submitted before
        longest_first = sorted(specs, key=lambda spec: not is_encoded(spec))
        features = {spec: pool.submit(build_features.fn, spec, config.seed) for spec in longest_first}
        for model in sorted(chosen, key=lambda model: isinstance(model, EnsembleSpec)):
            fitted[model.name] = pool.submit(fit, model)
        scored = [pool.submit(score, data_paths().models / name) for name in fitted]
        return [future.result() for future in scored]


def compare(folders: list[Path]) -> None:
    """Write the leaderboard and the report."""
    from tasks.core.schema import DEFAULT_SEED  # noqa: PLC0415
    from tasks.core.settings import data_paths  # noqa: PLC0415
    from tasks.evaluate.task import audit  # noqa: PLC0415
    from tasks.models import task as explain  # noqa: PLC0415
    from tasks.report import task as tell  # noqa: PLC0415
    from tasks.report.page import feature_pictures, write_report  # noqa: PLC0415
    from tasks.report.sources import RunFacts  # noqa: PLC0415

    order = tell.leaderboard.fn(folders).counts["order"]
    ranked = sorted(folders, key=lambda folder: order.index(folder.name))
    tell.compare_pair.fn(ranked, (), draws=False)
    audit.fn(ranked, data_paths())
    chosen = tell.choose_exhibits.fn(ranked)
    exhibits = chosen.folder / "exhibits.parquet"
    explain.explain_movies.fn(ranked[0], exhibits)
    for folder in ranked[1:]:
        if folder.name == chosen.counts["rival"] and chosen.counts.get("disagreement"):
            explain.explain_movies.fn(folder, exhibits, "disagreement")
    importance = explain.write_importance.fn(ranked)
    explain.profile_genres.fn(DEFAULT_SEED)
    drawn = [tell.draw_importances.fn(importance.folder), tell.genre_similarity.fn(importance.folder)]
    drawn += explain.draw_trees.fn(ranked)
    write_report(ranked, data_paths(), RunFacts(), feature_pictures([each for each in drawn if each is not None]))


if __name__ == "__main__":
    raise SystemExit(run_command(PipelineConfig, plain_pipeline))
