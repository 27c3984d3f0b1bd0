"""The tracking tasks of the flows."""

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Final

import polars as pl

from tasks.core.metrics import Champion, Verdict
from tasks.core.settings import data_paths
from tasks.prefect_task import stage_task
from tasks.stage import StageResult
from tasks.tracking import champion, models, runs, select_runs, store, stored_model
from tasks.tracking.runs import MetricsOf, PipelineRun
from tasks.tracking.select_runs import LoggedModel

PICTURES: Final = (".svg", ".png")
tracked_task: Final = partial(stage_task, unless=store.is_away)  # MLflow itself waits for a server


@tracked_task("log stages")
def log_stages(run: PipelineRun, results: Sequence[StageResult], files: Sequence[Path] = ()) -> None:
    """Log the stages' counts, their sidecars and further files to the pipeline's run."""
    runs.log_stages(run, results)
    runs.log_files(run.experiment, run.run_id, files, "explore")


@tracked_task("log model", "log {name}")
def log_model(run: PipelineRun, name: str, run_id: str, folder: Path) -> LoggedModel:
    """Log a trained and evaluated model: metrics, files, the model itself; end its run as FINISHED."""
    uri = models.log_model(run.experiment, run_id, name, folder)  # before metrics, which MLflow would copy one by one
    of = MetricsOf(uri.removeprefix("models:/"), runs.log_datasets(run, run_id, data_paths()))
    _log_summary(run, run_id, folder, of)
    for step, metrics in models.read_history(folder):
        runs.log_metrics(run.experiment, run_id, metrics, step)
    files = [file for file in sorted(folder.iterdir()) if file.suffix not in PICTURES]  # which may be an earlier run's
    runs.log_files(run.experiment, run_id, files)
    runs.end_run(run.experiment, run_id, runs.FINISHED)
    return LoggedModel(name, folder, run_id, uri, run.tags["genreflow.data_hash"])


def _log_summary(run: PipelineRun, run_id: str, folder: Path, of: MetricsOf = runs.NOTHING) -> None:
    summary = models.model_summary(folder)
    runs.log_metrics(run.experiment, run_id, summary["metrics"], of=of)
    run.experiment.client().set_tag(run_id, "genreflow.rule", summary["rule"])


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
    """Log the state of a search after a trial, as a step of its metrics, and the best parameters."""
    runs.log_metrics(run.experiment, run.run_id, {f"search/{name}": value for name, value in metrics.items()}, number)
    runs.log_files(run.experiment, run.run_id, [best])


@tracked_task("log variant", "log variant {folder.parent.parent.name}")
def log_variant(run: PipelineRun, run_id: str, folder: Path) -> None:
    """Log the metrics and files of a model that was trained only for comparison; end its run as FINISHED."""
    _log_summary(run, run_id, folder)
    runs.log_files(run.experiment, run_id, sorted(folder.iterdir()))
    runs.end_run(run.experiment, run_id, runs.FINISHED)


@tracked_task("log effect")
def log_effect(run: PipelineRun, files: Sequence[Path]) -> None:
    """Log the effect of dropping doubtful movies, `effect/<dropped>/<metric>` with its 95% interval, and files."""
    table = pl.read_csv(data_paths().results / "label_audit_effect.csv")
    metrics = {}
    for dropped, metric, *values in table.select("dropped", "metric", "difference", "low", "high").iter_rows():
        for suffix, value in zip(("", "_low", "_high"), values, strict=True):
            metrics[f"effect/{dropped}/{metric}{suffix}"] = float(value)
    runs.log_metrics(run.experiment, run.run_id, metrics)
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


run_duration_s: Final = tracked_task("run duration")(runs.duration_s)
previous_best: Final = tracked_task("previous best")(runs.previous_best)


@tracked_task("log report")
def log_report(run: PipelineRun, files: Sequence[Path]) -> None:
    """Log the report and its pictures to the run, in their own folder."""
    runs.log_files(run.experiment, run.run_id, files, "report")


@tracked_task("log comparison")
def log_comparison(run: PipelineRun, ranked: Sequence[LoggedModel], files: Sequence[Path]) -> None:
    """Log the leaderboard as a table, the best model's leading metrics and files to the run; tag models with ranks."""
    best = ranked[0]
    client = run.experiment.client()
    client.set_tag(run.run_id, "genreflow.best", best.name)
    store.save_view(run.experiment, [model.run_id for model in ranked])
    for rank, model in enumerate(ranked, start=1):
        client.set_tag(model.run_id, "genreflow.rank", str(rank))  # in its last comparison
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
    """Return the current champion of a registered model with its results; None if there is none."""
    return champion.find_champion(run.experiment.client(), challenger, data_paths(), registered)


@tracked_task("promote")
def promote(run: PipelineRun, best: LoggedModel, current: Champion | None, verdict: Verdict, registered: str) -> str:
    """Make the best model the champion if the verdict says so; return the outcome, which is also tagged on the run."""
    client = run.experiment.client()
    holder = f"{current.model} (version {current.version})" if current else "none"
    outcome = f"champion unchanged ({holder}): {verdict.reason}" if current else f"no champion: {verdict.reason}"
    if verdict.takes_over:
        version = champion.promote(client, best, current, verdict, registered)
        trained = client.get_run(best.run_id)
        described = models.write_card(trained, best, data_paths().results / "leaderboard.csv", registered, version)
        client.update_model_version(registered, str(version), described)
        holder = f"{best.name} (version {version})"
        outcome = f"promoted {best.name} to champion (version {version} of {registered}): {verdict.reason}"
    client.set_tag(run.run_id, "genreflow.champion", holder)
    client.set_tag(run.run_id, "genreflow.promotion", verdict.reason)
    return outcome


roll_back: Final = tracked_task("roll back")(champion.roll_back)
fetch_classifier: Final = tracked_task("fetch classifier")(stored_model.fetch_classifier)
