"""What a run shows in Prefect's UI: its name, its artifacts, the progress of long work.

Artifact keys stay the same from run to run, so that Prefect shows their history. Failing to store one is only a
warning: the files have the same content.
"""

import asyncio
import contextlib
import json
import logging
import re
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, TypeVar, cast
from uuid import UUID
from weakref import WeakKeyDictionary

import httpx
import polars as pl
from prefect.artifacts import (
    create_markdown_artifact,
    create_progress_artifact,
    create_table_artifact,
    update_progress_artifact,
)
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterId
from prefect.client.schemas.sorting import TaskRunSort
from prefect.context import FlowRunContext, TaskRunContext
from prefect.exceptions import PrefectException
from prefect.runtime import flow_run
from prefect.settings import PREFECT_SERVER_UI_ENABLED
from prefect.states import Completed
from prefect.utilities.urls import url_for

from tasks.core import logs
from tasks.core.logs import Progress, hide_secrets
from tasks.prefect_task import end_state
from tasks.stage import StageResult
from tasks.tracking.runs import PipelineRun

R = TypeVar("R")

logger = logging.getLogger(__name__)

LEADERBOARD_COLUMNS: Final = (
    *("rank", "model", "rule", "val_jaccard", "test_jaccard", "behind", "test_f1_samples", "test_f1_macro", "fit_s"),
)
NAMED: Final = ("source", "preset", "model", "input")  # options that distinguish the runs of a flow
FIRST_COUNTS: Final = ("rows_read", "movies_kept")  # of cleaning
LONGEST_NAME: Final = 200
SHORT_S: Final = 5.0  # shorter work shows no progress
EVERY_PERCENT: Final = 5


def run_name(flow: str) -> Callable[[], str]:
    """Return a function that names a run of a flow by the flow and its main options."""

    def name() -> str:
        config = flow_run.parameters.get("config")
        chosen = config if isinstance(config, dict) else vars(config) if config is not None else {}
        values = {**chosen, **{option: value for option, value in flow_run.parameters.items() if value}}
        words = [str(values[option]) for option in NAMED if values.get(option)]
        return hide_secrets(f"{flow}: {', '.join(words)}" if words else flow)[:LONGEST_NAME]

    return name


def completed(message: str, result: R) -> R:
    """Return a result, typed as such for callers, in a final state with a message, `Cached` if all was up to date."""
    return cast("R", Completed(name=end_state(result) or "Completed", message=hide_secrets(message), data=result))


def prefect_tags() -> dict[str, str]:
    """Return tags of an MLflow run that name its flow run: the id, and the page if there is one."""
    if not flow_run.id:
        return {}
    tags = {"prefect_flow_run": str(flow_run.id)}
    url = url_for("flow-run", flow_run.id) if PREFECT_SERVER_UI_ENABLED.value() else None
    return tags | ({"prefect_url": url} if url else {})


def mlflow_page(run: PipelineRun, run_id: str) -> str:
    """Return where to find an MLflow run: its page on a server, else its id and store."""
    uri = run.experiment.tracking_uri
    if uri.startswith(("http:", "https:")):
        return f"{uri}/#/experiments/{run.experiment.experiment_id}/runs/{run_id}"
    return f"id {run_id} in {uri}"


def show_leaderboard(csv: Path, run: PipelineRun) -> None:
    """Show the leaderboard as a table, with a link to the run in MLflow."""
    table = pl.read_csv(csv, columns=list(LEADERBOARD_COLUMNS)).select(LEADERBOARD_COLUMNS)
    rows = table.with_columns(pl.col(pl.Float64).round(4)).to_dicts()
    _store(create_table_artifact, table=rows, key="leaderboard", description=_where(run))


def show_verdict(outcome: str, run: PipelineRun) -> None:
    """Show the outcome for the champion."""
    _store(
        create_markdown_artifact, markdown=f"**{outcome}**\n\n{_where(run)}", key="champion", description="The champion"
    )


def show_cleaning(results: list[StageResult]) -> None:
    """Show how many rows were dropped, merged and changed by cleaning, by reason."""
    for result in results:
        if result.name == "clean":
            counts = {key: value for key, value in result.counts.items() if isinstance(value, int) and value}
            order = sorted(counts, key=lambda key: (key not in FIRST_COUNTS, key))
            rows = [{"what": key.replace("/", ": ").replace("_", " "), "rows": counts[key]} for key in order]
            _store(create_table_artifact, table=rows, key="cleaning", description="Rows by cleaning step")


def show_report(page: Path, run: PipelineRun) -> None:
    """Show the report's path, not a link: browsers refuse links from a page to a file."""
    _store(create_markdown_artifact, markdown=f"`{page}`\n\n{_where(run)}", key="report", description="The report")


def watch_progress() -> None:
    """Show the progress of long work in its task run."""
    if _show_progress not in logs.watchers:
        logs.watchers.append(_show_progress)


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


def _where(run: PipelineRun) -> str:
    page = mlflow_page(run, run.run_id)
    return f"MLflow: [{run.name}]({page})" if page.startswith("http") else f"MLflow: run `{run.name}`, `{page}`"


def _store(create: Callable[..., Any], **content: Any) -> Any:
    if FlowRunContext.get() is None and TaskRunContext.get() is None:
        return None
    try:
        return create(**json.loads(hide_secrets(json.dumps(content))))
    except (PrefectException, httpx.HTTPError) as error:
        logger.warning("Prefect cannot show %s (%s)", content.get("key"), error)
        return None


class _Shown:
    """The artifact of one piece of work, and the percentage it shows."""

    artifact: UUID | None = None
    percent = 0


_shown: "WeakKeyDictionary[Progress, _Shown]" = WeakKeyDictionary()
_lock = threading.Lock()


def _show_progress(work: Progress) -> None:
    if not work.total or TaskRunContext.get() is None or work.clock() - work.start_s < SHORT_S:
        return
    with contextlib.suppress(RuntimeError):
        asyncio.get_running_loop()
        return  # a crawl shows its own progress
    percent = min(round(100 * work.done / work.total), 100)
    with _lock:
        shown = _shown.setdefault(work, _Shown())
        if percent - shown.percent < EVERY_PERCENT and not work.is_finished:
            return
        shown.percent = percent
    description = work.line()
    if shown.artifact is None:
        key = re.sub("[^a-z0-9]+", "-", work.what.lower()).strip("-") or "work"
        made = _store(create_progress_artifact, progress=percent, key=key, description=description)
        shown.artifact = made if isinstance(made, UUID) else None
        return
    try:
        update_progress_artifact(shown.artifact, percent, description=description)
    except (PrefectException, httpx.HTTPError) as error:  # a crawl of days outlives a server's restart
        logger.warning("%s: progress cannot be shown (%s)", work.what, error)
