import errno
import importlib.util
import sqlite3

import httpx
import pytest
from prefect import flow
from prefect.tasks import Task

from tasks import prefect_task as declared
from tasks.core.errors import ConfigError, DataError, DiskError, StorageAwayError, StorageError, WorkerError
from tasks.core.settings import PROJECT_ROOT
from tasks.models.task import train_model
from tasks.prefect_task import can_heal, stage_task
from tasks.stage import StageResult

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


@pytest.mark.parametrize("error", HEALS, ids=repr)
def test_what_can_heal(error):
    assert can_heal(error)


@pytest.mark.parametrize("error", STAYS, ids=repr)
def test_what_cannot_heal(error):
    assert not can_heal(error)


def test_an_error_heals_or_not_by_what_led_to_it():
    def caused(error, cause):
        error.__cause__ = cause
        return error

    assert can_heal(caused(RuntimeError("upload failed"), OSError(errno.EIO, "Input/output error")))
    assert not can_heal(caused(DataError("cannot be read"), OSError(errno.EIO, "Input/output error")))
    assert not can_heal(None)


@pytest.mark.parametrize(
    ("skipped", "ends_as"),
    [(True, "Cached"), (False, "Completed"), ([True, True], "Cached"), ([True, False], "Completed"), ([], "Skipped")],
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
