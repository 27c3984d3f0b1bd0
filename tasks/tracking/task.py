"""The tracking tasks of the flows."""

import json
import logging
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Final

import polars as pl

from tasks.core.metrics import Champion, Verdict, in_groups
from tasks.core.settings import data_paths
from tasks.prefect_task import stage_task
from tasks.stage import StageResult
from tasks.tracking import past_runs, registry, runs, store
from tasks.tracking.runs import MANY, LoggedModel, MetricsOf, PipelineRun, metric_name

logger = logging.getLogger(__name__)

BY_LABEL: Final = ("unknown_genre", "rare_label")  # counts of stages, one for each label
PICTURES: Final = (".svg", ".png")
tracked_task: Final = partial(stage_task, unless=store.is_away)  # MLflow itself waits for a server


@tracked_task("log stages")
def log_stages(run: PipelineRun, results: Sequence[StageResult], files: Sequence[Path] = ()) -> None:
    """Log stages' counts to the pipeline run, `verbose/data/<stage>/<count>`, their sidecars and further files."""
    metrics: dict[str, float] = {}
    for result in results:
        for key, value in runs.flatten(result.counts):
            if not isinstance(value, int | float):
                continue
            what, slash, detail = key.partition("/")
            if what.endswith(BY_LABEL):  # there may be thousands: one number, and the sidecar has them all
                slash = detail = ""
            name = f"{MANY}data/{result.name}/{metric_name(what)}{slash}{metric_name(detail)}"
            metrics[name] = metrics.get(name, 0.0) + float(value)
    runs.log_metrics(run.experiment, run.run_id, metrics)
    sidecars = [result.folder / f"{result.name}.stage.json" for result in results]
    runs.log_files(run.experiment, run.run_id, sidecars, "stages")
    runs.log_files(run.experiment, run.run_id, files, "explore")


@tracked_task("log model", "log {name}")
def log_model(run: PipelineRun, name: str, run_id: str, folder: Path) -> LoggedModel:
    """Log a trained and evaluated model: metrics, files, the model itself; end its run as FINISHED."""
    uri = runs.log_model(run.experiment, run_id, name, folder)  # before metrics, which MLflow would copy one by one
    datasets = runs.log_datasets(run, run_id, data_paths())
    _log_summary(run, run_id, folder, (uri.removeprefix("models:/"), datasets))
    if (history := folder / "history.csv").is_file():  # of fine-tuning
        for row in pl.read_csv(history).iter_rows(named=True):
            step = int(row.pop("step"))
            metrics = {f"training/{name}": float(value) for name, value in row.items() if value is not None}
            runs.log_metrics(run.experiment, run_id, metrics, step)
    files = [file for file in sorted(folder.iterdir()) if file.suffix not in PICTURES]  # which may be an earlier run's
    runs.log_files(run.experiment, run_id, files)
    runs.end_run(run.experiment, run_id, runs.FINISHED)
    return LoggedModel(name, folder, run_id, uri, run.tags[runs.DATA_TAG])


def _log_summary(run: PipelineRun, run_id: str, folder: Path, of: MetricsOf = (None, {})) -> None:
    rule, metrics = _summarize(folder)
    runs.log_metrics(run.experiment, run_id, metrics, of=of)
    run.experiment.client().set_tag(run_id, "genreflow.rule", rule)


def _summarize(folder: Path) -> tuple[str, dict[str, float]]:
    """Return the chosen rule of a trained model, and its metrics by MLflow name.

    The leading metrics of the chosen rule are `val/<metric>` and `test/<metric>`, next to the model's costs. All others
    start with `verbose/`: the rule's other metrics, every rule's Jaccard (`rules/<rule>/<part>/jaccard`) and the F1 of
    each genre with test movies (`genres/<genre>/test/f1`).
    """
    evaluated, cost = _read_json(folder / "metrics.json"), _read_json(folder / "fit.json")
    chosen, rules = evaluated["chosen_rule"], evaluated["rules"]
    leading = {f"{part}/{name}" for part in ("val", "test") for name in in_groups("leading")}
    metrics = {name if name in leading else f"{MANY}{name}": value for name, value in rules[chosen].items()}
    for rule, values in rules.items():
        metrics |= {f"{MANY}rules/{rule}/{part}/jaccard": values[f"{part}/jaccard"] for part in ("val", "test")}
    per_genre = pl.read_csv(folder / "per_genre.csv", columns=["genre", "f1"]).drop_nulls("f1")
    metrics |= {f"{MANY}genres/{metric_name(genre)}/test/f1": f1 for genre, f1 in per_genre.iter_rows()}
    metrics |= {f"time/{name}": cost[name] for name in ("fit_s", "predict_docs_per_s")}
    # Earlier versions did not measure the memory.
    metrics |= {f"size/{name}": cost[name] for name in ("model_mb", "model_memory_mb") if name in cost}
    return chosen, metrics


def _read_json(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


@tracked_task("log folds", "log folds {folder.name}")
def log_folds(run: PipelineRun, run_id: str, folder: Path) -> None:
    """Log a cross-validated model: metrics over folds and files; end its run as FINISHED.

    The chosen rule's metrics are `cv/<metric>` and `cv/<metric>_std`, mean and standard deviation over folds, and
    `fold/<metric>`, with a step per fold; each rule has its `verbose/rules/<rule>/cv_jaccard`.
    """
    stored = _read_json(folder / "metrics.json")
    rule, rules = stored["chosen_rule"], stored["rules"]
    metrics = {f"cv/{name}": values["mean"] for name, values in rules[rule].items()}
    metrics |= {f"cv/{name}_std": values["std"] for name, values in rules[rule].items()}
    metrics |= {f"{MANY}rules/{each}/cv_jaccard": values["jaccard"]["mean"] for each, values in rules.items()}
    metrics["time/fit_s"] = _read_json(folder / "fit.json")["fit_s"]
    runs.log_metrics(run.experiment, run_id, metrics)
    for fold in range(len(rules[rule]["jaccard"]["folds"])):
        of_fold = {f"fold/{name}": values["folds"][fold] for name, values in rules[rule].items()}
        runs.log_metrics(run.experiment, run_id, of_fold, step=fold)
    run.experiment.client().set_tag(run_id, "genreflow.rule", rule)
    runs.log_datasets(run, run_id, data_paths())
    runs.log_files(run.experiment, run_id, sorted(folder.iterdir()))
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
    metrics: dict[str, float] = {}
    for row in table.iter_rows(named=True):
        name = f"effect/{row['dropped']}/{row['metric']}"
        metrics |= {name: row["difference"], f"{name}_low": row["low"], f"{name}_high": row["high"]}
    runs.log_metrics(run.experiment, run.run_id, metrics)
    runs.log_files(run.experiment, run.run_id, files)


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
    leading = {name: value for name, value in _summarize(best.folder)[1].items() if not name.startswith(MANY)}
    runs.log_metrics(run.experiment, run.run_id, leading)
    runs.log_files(run.experiment, run.run_id, files)
    runs.log_table(run.experiment, run.run_id, data_paths().results / "leaderboard.csv")


@tracked_task("log pictures")
def log_pictures(run: PipelineRun, trained: Sequence[LoggedModel]) -> None:
    """Log the pictures of models to their runs."""
    for model in trained:
        pictures = [file for file in sorted(model.folder.iterdir()) if file.suffix in PICTURES]
        runs.log_files(run.experiment, model.run_id, pictures)


@tracked_task("promote")
def promote(
    run: PipelineRun, best: LoggedModel, current: Champion | None, verdict: Verdict, registered: str
) -> str | None:
    """Make the best model the champion if the verdict says so; return the outcome, which is also tagged on the run.

    None if another run promoted a model meanwhile: the champion has to be looked up and compared with again.
    """
    client = run.experiment.client()
    holder = f"{current.model} (version {current.version})" if current else "none"
    outcome = f"champion unchanged ({holder}): {verdict.reason}" if current else f"no champion: {verdict.reason}"
    if verdict.takes_over:
        try:
            version = registry.promote(client, best, current, verdict, registered)
        except registry.ChampionChangedError as error:
            logger.warning("%s; comparing again", error)
            return None
        trained, leaderboard = client.get_run(best.run_id), data_paths().results / "leaderboard.csv"
        described = registry.write_card(trained, best, leaderboard, registered, version)
        client.update_model_version(registered, str(version), described)
        holder = f"{best.name} (version {version})"
        outcome = f"promoted {best.name} to champion (version {version} of {registered}): {verdict.reason}"
    if verdict.difference:
        registry.note_judged(client, best, registered)
    client.set_tag(run.run_id, "genreflow.champion", holder)
    client.set_tag(run.run_id, "genreflow.promotion", verdict.reason)
    return outcome


choose_models: Final = tracked_task("choose models")(past_runs.choose_models)
last_models: Final = tracked_task("last models")(past_runs.last_models)
find_champion: Final = tracked_task("find champion")(registry.find_champion)
log_report: Final = tracked_task("log report")(runs.log_files)
record_failure: Final = tracked_task("record failure")(runs.fail_run)
run_duration_s: Final = tracked_task("run duration")(past_runs.duration_s)
previous_best: Final = tracked_task("previous best")(past_runs.previous_best)
roll_back: Final = tracked_task("roll back")(registry.roll_back)
fetch_classifier: Final = tracked_task("fetch classifier")(registry.fetch_classifier)
