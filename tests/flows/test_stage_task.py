import errno
import importlib.util
import sqlite3

import httpx
import pytest
from prefect import flow
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import TaskRunFilter, TaskRunFilterFlowRunId
from prefect.tasks import Task

from tasks import stage_task as declared
from tasks.disk import DiskError
from tasks.errors import ConfigError, DataError, StorageAwayError, StorageError, WorkerError
from tasks.models.task import train_model
from tasks.settings import PROJECT_ROOT
from tasks.stage import StageResult
from tasks.stage_task import can_heal, stage_task

HEALS = [
    OSError(errno.EIO, "Input/output error"),
    OSError(errno.EAGAIN, "Resource temporarily unavailable"),
    OSError(errno.ESTALE, "Stale file handle"),
    httpx.ConnectError("refused"),
    httpx.ReadTimeout("slow"),
    sqlite3.OperationalError("database is locked"),
    WorkerError("a process died"),
    StorageAwayError("503"),
]
STAYS = [
    ConfigError("a typo"),
    DataError("bad rows"),
    DiskError("full"),
    StorageError("refused"),
    OSError(errno.ENOSPC, "No space left on device"),
    FileNotFoundError(errno.ENOENT, "gone"),
    ValueError("a defect"),
    KeyError("a defect"),
    MemoryError(),
]


@pytest.fixture
def no_waiting(monkeypatch):
    monkeypatch.setattr(declared, "FIRST_DELAY_S", 0.01)


def states_of(flow_run_id, name):
    """The states of a task run of a flow run, in their order."""
    with get_client(sync_client=True) as client:
        runs = client.read_task_runs(
            task_run_filter=TaskRunFilter(flow_run_id=TaskRunFilterFlowRunId(any_=[flow_run_id]))
        )
        (run,) = [run for run in runs if run.name == name]
        return [state.name for state in client.read_task_run_states(run.id)]


def run_once(work):
    """Run a task of the pipeline in a flow; return its result or error, and the states of its run."""
    seen = {}

    @flow(name="once")
    def once():
        seen["state"] = stage_task("work")(work)(return_state=True)

    state = once(return_state=True)
    return seen["state"].result(raise_on_failure=False), states_of(state.state_details.flow_run_id, "work")


@pytest.mark.parametrize("error", HEALS, ids=repr)
def test_what_can_heal(error):
    assert can_heal(error)


@pytest.mark.parametrize("error", STAYS, ids=repr)
def test_what_cannot_heal(error):
    assert not can_heal(error)


def test_what_can_heal_is_tried_again(prefect_harness, no_waiting):
    left = [HEALS[0], HEALS[3]]

    def work():
        if left:
            raise left.pop()
        return "done"

    result, states = run_once(work)
    assert result == "done"
    assert states == ["Pending", "Running", "AwaitingRetry", "Retrying", "AwaitingRetry", "Retrying", "Completed"]


def test_what_cannot_heal_fails_at_once(prefect_harness):
    def work():
        raise STAYS[0]

    result, states = run_once(work)
    assert result is STAYS[0]
    assert states == ["Pending", "Running", "Failed"]


def test_trying_again_ends(prefect_harness, no_waiting):
    def work():
        raise OSError(errno.EIO, "Input/output error")

    result, states = run_once(work)
    assert isinstance(result, OSError)
    assert states.count("AwaitingRetry") == declared.RETRIES
    assert states[-1] == "Failed"


def test_an_error_heals_or_not_by_what_led_to_it():
    def caused(error, cause):
        error.__cause__ = cause
        return error

    assert can_heal(caused(RuntimeError("upload failed"), OSError(errno.EIO, "Input/output error")))
    assert not can_heal(caused(DataError("cannot be read"), OSError(errno.EIO, "Input/output error")))
    assert not can_heal(None)


@pytest.mark.parametrize(
    ("skipped", "ends_as"),
    [(True, "Cached"), (False, "Completed"), ([True, True], "Cached"), ([True, False], "Completed")],
)
def test_a_task_with_nothing_to_do_ends_as_cached_and_still_returns_its_result(
    prefect_harness, tmp_path, skipped, ends_as
):
    results = [StageResult("a", tmp_path, "f", one) for one in (skipped if isinstance(skipped, list) else [skipped])]
    expected = results if isinstance(skipped, list) else results[0]
    work = stage_task("work")(lambda: expected)

    @flow(name="three ways")
    def three_ways():
        state = work(return_state=True)
        return work(), work.submit().result(), state.result(), state.name

    *found, name = three_ways()
    assert found == [expected] * 3
    assert work.fn() == expected
    assert name == ends_as


def test_the_page_about_retries_is_what_the_tasks_declare():
    spec = importlib.util.spec_from_file_location("retries", PROJECT_ROOT / "docs" / "retries.py")
    page = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(page)
    assert (PROJECT_ROOT / "docs" / "retries.md").read_text(encoding="utf-8") == page.table()
    assert all(task.retries == declared.RETRIES for _, task in page.tasks())


def test_a_task_of_the_pipeline_has_growing_delays_and_no_tags():
    assert isinstance(train_model, Task)
    assert train_model.tags == set()  # each of which would cost a request and a wait
    assert train_model.retries == declared.RETRIES
    delays = train_model.retry_delay_seconds
    assert delays == [2, 4, 8]
