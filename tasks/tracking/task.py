"""The tracking room's face towards the flows."""

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Final

import polars as pl

from tasks.core.promotion import Champion, Verdict
from tasks.core.settings import data_paths
from tasks.prefect_task import stage_task
from tasks.stage import StageResult
from tasks.tracking import champion, models, runs, select_runs, store, stored_model
from tasks.tracking.runs import MetricsOf, PipelineRun
from tasks.tracking.select_runs import LoggedModel
from tasks.tracking.store import is_away


def log_effect_metrics(run: PipelineRun) -> None:
    """Log each difference on test, and the ends of its 95 % interval, to the run of the audit."""
    table = pl.read_csv(data_paths().results / "label_audit_effect.csv")
    metrics = {}
    for dropped, metric, *values in table.select("dropped", "metric", "difference", "low", "high").iter_rows():
        for suffix, value in zip(("", "_low", "_high"), values, strict=True):
            metrics[f"effect/{dropped}/{metric}{suffix}"] = float(value)
    runs.log_metrics(run.experiment, run.run_id, metrics)


PICTURES: Final = (".svg", ".png")
tracked_task: Final = partial(stage_task, unless=is_away)  # MLflow waits for a server by itself


@tracked_task("log stages")
def log_stages(run: PipelineRun, results: Sequence[StageResult], files: Sequence[Path] = ()) -> None:
    """Log what the stages counted, their sidecars and further files to the pipeline's run."""
    runs.log_stages(run, results)
    runs.log_files(run.experiment, run.run_id, files, "explore")


@tracked_task("log model", "log {name}")
def log_model(run: PipelineRun, name: str, run_id: str, folder: Path) -> LoggedModel:
    """Log a trained and evaluated model: metrics, files, the model itself; end its run as FINISHED."""
    summary = models.model_summary(folder)
    uri = models.log_model(run.experiment, run_id, name, folder)  # before metrics, which MLflow would copy one by one
    of = MetricsOf(uri.removeprefix("models:/"), runs.log_datasets(run, run_id, data_paths()))
    runs.log_metrics(run.experiment, run_id, summary["metrics"], of=of)
    for step, metrics in models.read_history(folder):
        runs.log_metrics(run.experiment, run_id, metrics, step)
    run.experiment.client().set_tag(run_id, "genreflow.rule", summary["rule"])
    files = [file for file in sorted(folder.iterdir()) if file.suffix not in PICTURES]  # which may be an earlier run's
    runs.log_files(run.experiment, run_id, files)
    runs.end_run(run.experiment, run_id, runs.FINISHED)
    return LoggedModel(name, folder, run_id, uri, run.tags["genreflow.data_hash"])


@tracked_task("log folds", "log folds {folder.name}")
def log_folds(run: PipelineRun, run_id: str, folder: Path) -> None:
    """Log a cross-validated model: metrics over folds and files; end its run as FINISHED."""
    models.log_folds(run, run_id, folder)
    runs.end_run(run.experiment, run_id, runs.FINISHED)


@tracked_task("log trial")
def log_trial(run: PipelineRun, run_id: str, metrics: Mapping[str, float]) -> None:
    """Log a trial's metrics on validation and end its run as FINISHED."""
    runs.log_metrics(run.experiment, run_id, {f"val/{name}": value for name, value in metrics.items()})
    runs.end_run(run.experiment, run_id, runs.FINISHED)


@tracked_task("log search")
def log_search(run: PipelineRun, number: int, metrics: Mapping[str, float], best: Path) -> None:
    """Log how a search stands after a trial, as a step of its metrics, and the best parameters."""
    runs.log_metrics(run.experiment, run.run_id, {f"search/{name}": value for name, value in metrics.items()}, number)
    runs.log_files(run.experiment, run.run_id, [best])


@tracked_task("log variant", "log variant {folder.parent.parent.name}")
def log_variant(run: PipelineRun, run_id: str, folder: Path) -> None:
    """Log the metrics and files of a model that was trained for comparison alone; end its run as FINISHED."""
    summary = models.model_summary(folder)
    runs.log_metrics(run.experiment, run_id, summary["metrics"])
    run.experiment.client().set_tag(run_id, "genreflow.rule", summary["rule"])
    runs.log_files(run.experiment, run_id, sorted(folder.iterdir()))
    runs.end_run(run.experiment, run_id, runs.FINISHED)


@tracked_task("log effect")
def log_effect(run: PipelineRun, files: Sequence[Path]) -> None:
    """Log what it did to drop doubted movies, `effect/<dropped>/<metric>` with its interval, and files, to the run."""
    log_effect_metrics(run)
    runs.log_files(run.experiment, run.run_id, files)


@tracked_task("record failure")
def record_failure(run: PipelineRun, run_id: str, error: str, traceback_text: str) -> None:
    """End a model's run as FAILED, with its error and traceback."""
    runs.fail_run(run.experiment, run_id, error, traceback_text)


@tracked_task("choose models")
def choose_models(runs: Sequence[str], experiment: str | None, query: str | None) -> list[LoggedModel]:
    """Return models of any MLflow runs, with their results fetched."""
    return select_runs.choose_models(data_paths(), runs, experiment, query)


@tracked_task("last models")
def last_models() -> tuple[PipelineRun, list[LoggedModel]]:
    """Return the last pipeline run and those of its models that are still in MLflow."""
    return select_runs.last_models(data_paths())


@tracked_task("run duration")
def run_duration_s(run: PipelineRun) -> float:
    """Return for how long a run has been going on."""
    return runs.duration_s(run)


@tracked_task("previous best")
def previous_best(run: PipelineRun) -> dict[str, Any] | None:
    """Return the last compared pipeline run before this one, with its best model."""
    return runs.previous_best(run)


@tracked_task("log report")
def log_report(run: PipelineRun, files: Sequence[Path]) -> None:
    """Log the report and its pictures to the run, in a folder of their own."""
    runs.log_files(run.experiment, run.run_id, files, "report")


@tracked_task("log comparison")
def log_comparison(run: PipelineRun, ranked: Sequence[LoggedModel], files: Sequence[Path]) -> None:
    """Log the leaderboard as a table, the best model's leading metrics and further files; say each model's rank."""
    best = ranked[0]
    client = run.experiment.client()
    client.set_tag(run.run_id, "genreflow.best", best.name)
    store.show_first(run.experiment, [model.run_id for model in ranked])
    for rank, model in enumerate(ranked, start=1):
        client.set_tag(model.run_id, "genreflow.rank", str(rank))  # in the comparison that was the last with it
        client.set_tag(model.run_id, "genreflow.is_best", str(rank == 1).lower())
    metrics = models.model_summary(best.folder)["metrics"]
    leading = {name: value for name, value in metrics.items() if not name.startswith(runs.MANY)}
    runs.log_metrics(run.experiment, run.run_id, leading)
    runs.log_files(run.experiment, run.run_id, files)
    runs.log_table(run.experiment, run.run_id, data_paths().results / "leaderboard.csv")


@tracked_task("log pictures")
def log_pictures(run: PipelineRun, trained: Sequence[LoggedModel]) -> None:
    """Log the pictures of models to their runs."""
    for model in trained:
        pictures = [file for file in sorted(model.folder.iterdir()) if file.suffix in PICTURES]
        runs.log_files(run.experiment, model.run_id, pictures)


@tracked_task("find champion")
def find_champion(run: PipelineRun, challenger: LoggedModel, registered: str) -> Champion | None:
    """Return the present champion of a registered model with its results; None if there is none."""
    return champion.find_champion(run.experiment.client(), challenger, data_paths(), registered)


@tracked_task("promote")
def promote(run: PipelineRun, best: LoggedModel, current: Champion | None, verdict: Verdict, registered: str) -> str:
    """Make the best model the champion if it was judged so, note the verdict on the run, and return it in words."""
    client = run.experiment.client()
    holder = f"{current.model} (version {current.version})" if current else "none"
    told = f"champion: {holder}, stays: {verdict.reason}" if current else f"champion: none: {verdict.reason}"
    if verdict.takes_over:
        version = champion.promote(client, best, current, verdict, registered)
        trained = client.get_run(best.run_id)
        described = models.write_card(trained, best, data_paths().results / "leaderboard.csv", registered, version)
        client.update_model_version(registered, str(version), described)
        holder = f"{best.name} (version {version})"
        told = f"champion: {best.name}, version {version} of {registered}: {verdict.reason}"
    client.set_tag(run.run_id, "genreflow.champion", holder)
    client.set_tag(run.run_id, "genreflow.promotion", verdict.reason)
    return told


@tracked_task("roll back")
def roll_back(registered: str) -> str:
    """Return the alias of a registered model's champion to the version before, and what was done in words."""
    return champion.roll_back(registered)


@tracked_task("fetch classifier")
def fetch_classifier(model: str) -> Path:
    """Return the local folder of a logged classifier, whose files were checked."""
    return stored_model.fetch_classifier(model)
