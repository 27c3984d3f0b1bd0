"""Rank models and promote the best: `python flows/compare.py [--runs ID,ID | --experiment NAME] [--pair A,B]`."""

from flows.cli import run_command
from flows.config import CompareConfig

if __name__ == "__main__":
    raise SystemExit(run_command(CompareConfig, "flows.compare:compare"))

import logging
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final
from uuid import UUID

import httpx
import polars as pl
from prefect import flow
from prefect.artifacts import create_markdown_artifact, create_table_artifact
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterId
from prefect.client.schemas.sorting import TaskRunSort
from prefect.exceptions import PrefectException
from prefect.runtime import flow_run

from flows.run_context import completed, core_count, exclusive, mlflow_page, pipeline_run, run_name, store_artifact
from tasks.core.errors import TrackingError
from tasks.core.figures import Form
from tasks.core.schema import DEFAULT_SEED
from tasks.core.settings import data_paths
from tasks.evaluate.task import audit
from tasks.models.task import draw_trees, explain_movies, profile_genres, write_importance
from tasks.report import task as reporting
from tasks.report.page import feature_pictures
from tasks.report.sources import PreviousRun, RunFacts
from tasks.report.versus import check_pair
from tasks.stage import StageResult
from tasks.tracking import task as tracking
from tasks.tracking.runs import LoggedModel, PipelineRun
from tasks.tracking.store import VIEW_PAGE

logger = logging.getLogger("flows.compare")  # Prefect loads it by its file, under another name

LOCAL_UI = "http://127.0.0.1:5000"
COMPARISONS: Final = 5  # with champions that change meanwhile
LEADERBOARD_COLUMNS: Final = (
    *("rank", "model", "rule", "val_jaccard", "test_jaccard", "behind", "test_f1_samples", "test_f1_macro", "fit_s"),
)
RESULTS = ("leaderboard.*", "pareto.*", "versus*", "published.*")


@flow(name="compare", flow_run_name=run_name("compare"), persist_result=False)
def compare(config: CompareConfig) -> str:
    """Rank the models of the last run, or of MLflow runs, by validation scores; promote the best; return the outcome.

    Raises:
        ConfigError: a chosen run, experiment or model does not exist, or a model of the pair is not among those
            compared.
        DataError: nothing was trained yet, no model is left, or the models were not tested on the same movies.
        ModelError: there is no version to roll back to.
    """
    paths = data_paths()
    with exclusive(paths):
        if config.rollback:
            outcome = tracking.roll_back(config.promotion.registered_model)
            logger.info("%s", outcome)
        elif config.chooses_runs:
            models = tracking.choose_models(paths, config.runs, config.experiment, config.filter)
            with pipeline_run(config, paths, {"flow": "compare", "kind": "comparison"}) as run:
                outcome = compare_models(config, run, models)
        else:
            outcome = compare_last(config)
        return completed(outcome, outcome)


def compare_last(config: CompareConfig, trained: Sequence[Any] = ()) -> str:
    """Compare the models of the last run, which may have just been trained; return the outcome as one line."""
    return compare_models(config, *tracking.last_models(data_paths(), wait_for=list(trained)))


def compare_models(config: CompareConfig, run: PipelineRun, models: list[LoggedModel]) -> str:
    """Compare the models, log it, let the best challenge the champion, and return the outcome as one line."""
    by_name = {model.name: model for model in models}
    check_pair(config.pair, list(by_name))
    results, draws_all = data_paths().results, config.pictures == "all"
    page = results / "report.html"
    folders = [model.folder for model in models]
    hashes = {model.name: model.data_hash for model in models if model.data_hash}
    ranked = reporting.leaderboard(folders, hashes, config.forms, wait_for=[run, *models])
    sys.stdout.write((results / "leaderboard.txt").read_text(encoding="utf-8"))
    best, *others = (by_name[name] for name in ranked.counts["order"])
    by_rank = [model.folder for model in (best, *others)]
    pair = reporting.compare_pair(by_rank, config.pair, draws=draws_all, wait_for=[ranked])
    drawn = reporting.draw_models(folders, core_count(), wanted=draws_all, wait_for=[ranked])
    if draws_all and not config.chooses_runs:  # models of other runs are only fetched
        tracking.log_pictures(run, models, wait_for=[drawn])
    files = sorted(file for pattern in RESULTS for file in results.glob(pattern))
    tracking.log_comparison(run, [best, *others], files, wait_for=[ranked, pair])
    outcome = challenge(config, run, best, ranked)
    logger.info("%s", outcome)
    mlflow = mlflow_page(run, run.run_id)
    where = f"MLflow: [{run.name}]({mlflow})" if mlflow.startswith("http") else f"MLflow: run `{run.name}`, `{mlflow}`"
    table = pl.read_csv(results / "leaderboard.csv", columns=list(LEADERBOARD_COLUMNS)).select(LEADERBOARD_COLUMNS)
    rows = table.with_columns(pl.col(pl.Float64).round(4)).to_dicts()
    store_artifact(create_table_artifact, table=rows, key="leaderboard", description=where)
    text, about = f"**{outcome}**\n\n{where}", "The champion"
    store_artifact(create_markdown_artifact, markdown=text, key="champion", description=about)
    if config.report and not config.chooses_runs:  # of chosen runs only tables are fetched
        written = write_run_report(run, by_rank, outcome, config.forms, [ranked, *pair, *drawn])
        files = [written.folder / "report.html", *sorted((written.folder / "pictures").iterdir())]
        tracking.log_report(run.experiment, run.run_id, files, "report", wait_for=[written])
        logger.info("report: %s", page)
        text, about = f"`{page}`\n\n{where}", "The report"  # no link: browsers refuse those to a file
        store_artifact(create_markdown_artifact, markdown=text, key="report", description=about)
    elif page.is_file():
        logger.info("report: %s is from an earlier comparison; only tables and pictures are new", page)
    logger.info("results: %s", results)
    logger.info("view the runs: %s", where_to_view(run))
    return f"{best.name} is the best of {len(models)}; {outcome}"


def challenge(config: CompareConfig, run: PipelineRun, best: LoggedModel, ranked: StageResult) -> str:
    """Let the best model challenge the champion, if configured; return the outcome as one line."""
    if not config.promotes:
        return f"the champion is not challenged; --promotion.enabled true lets {best.name} challenge it"
    registered = config.promotion.registered_model
    for _ in range(COMPARISONS):
        champion = tracking.find_champion(run.experiment, best, data_paths(), registered)
        verdict = reporting.judge_challenger(best.folder, champion, config.promotion, wait_for=[ranked])
        outcome: str | None = tracking.promote(run, best, champion, verdict, registered)
        if outcome is not None:
            return outcome
        time.sleep(1)  # the other run gives its model the alias
    raise TrackingError(f"other runs keep promoting models to {registered}; run flows/compare.py when they are done")


def write_run_report(
    run: PipelineRun, folders: Sequence[Path], promotion: str, forms: Sequence[Form], compared: Sequence[StageResult]
) -> StageResult:
    """Audit the labels, explain chosen movies and the models' features, and write the report.

    `folders` are the models', best first; `compared` is the leaderboard, then other results on all models.
    """
    ranked = compared[0]
    audited = audit(folders, data_paths(), wait_for=[ranked])
    chosen = reporting.choose_exhibits(list(folders), wait_for=[ranked])
    exhibits = chosen.folder / "exhibits.parquet"
    explained = [explain_movies(folders[0], exhibits, wait_for=[chosen])]
    if chosen.counts.get("disagreement"):
        rivals = [folder for folder in folders[1:] if folder.name == chosen.counts["rival"]]
        explained += [explain_movies(folder, exhibits, "disagreement", wait_for=[chosen]) for folder in rivals]
    importance = write_importance(list(folders), wait_for=[ranked])
    profiles = profile_genres(DEFAULT_SEED, wait_for=[ranked])
    features = reporting.draw_importances(importance.folder, forms, wait_for=[importance])
    similarity = reporting.genre_similarity(importance.folder, forms, wait_for=[importance, profiles])
    trees = draw_trees(list(folders), forms, wait_for=[ranked])
    drawn = [*([features] if features else []), similarity, *trees]
    previous, address = tracking.previous_best(run), mlflow_page(run, run.run_id)
    if not address.startswith("http"):
        address = f"{LOCAL_UI}/#/experiments/{run.experiment.experiment_id}/runs/{run.run_id}"  # of `make ui`
    facts = RunFacts(
        *(run.name, run.run_id, run.params, run.tags, tracking.run_duration_s(run), promotion, address),
        previous=PreviousRun(**previous) if previous else None,
        task_seconds=task_seconds(),
    )
    return reporting.report(
        list(folders), facts, feature_pictures(drawn), forms, wait_for=[*compared, audited, *explained, *drawn]
    )


def where_to_view(run: PipelineRun) -> str:
    """Return how to open the models of a run in MLflow, best first; the store's address has no password."""
    uri, page = run.experiment.tracking_uri, VIEW_PAGE.format(run.experiment.experiment_id)
    if uri.startswith(("http:", "https:")):
        return f"open {uri}/{page}"
    store = uri if uri.startswith("sqlite:") else '"$MLFLOW_TRACKING_URI"'
    return f"`make ui`, or mlflow ui --backend-store-uri {store} --host 127.0.0.1; then {LOCAL_UI}/{page}"


def task_seconds() -> dict[str, float]:
    """Return the seconds of this flow run's finished tasks, added up by name, in order of start; {} outside a flow."""
    if not flow_run.id:
        return {}
    wanted = FlowRunFilter(id=FlowRunFilterId(any_=[UUID(str(flow_run.id))]))
    try:
        with get_client(sync_client=True) as client:
            runs = client.read_task_runs(flow_run_filter=wanted, sort=TaskRunSort.END_TIME_DESC)
    except (PrefectException, httpx.HTTPError) as error:
        logger.warning("the durations of tasks are unknown (%s)", error)
        return {}
    seconds: dict[str, float] = {}
    started = [(run.start_time, index, run) for index, run in enumerate(runs) if run.start_time and run.end_time]
    for *_, run in sorted(started):
        name = run.task_key.rpartition(".")[2].rpartition("-")[0].replace("_", " ") or run.name
        seconds[name] = seconds.get(name, 0.0) + run.total_run_time.total_seconds()
    return seconds
