"""The context of a flow run: Prefect's server and UI, lock of the data folder, log file, task runner, MLflow run.

Keys of artifacts in Prefect's UI stay the same from run to run, so that it shows their history. Failing to store one is
only a warning: the files have the same content.
"""

import asyncio
import atexit
import contextlib
import json
import logging
import os
import re
import secrets
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final, TypeVar, cast
from uuid import UUID
from weakref import WeakKeyDictionary

import httpx
import joblib
from filelock import FileLock, Timeout
from prefect.artifacts import create_progress_artifact, update_progress_artifact
from prefect.context import FlowRunContext, TaskRunContext
from prefect.exceptions import PrefectException
from prefect.runtime import deployment, flow_run
from prefect.settings import (
    PREFECT_API_AUTH_STRING,
    PREFECT_API_URL,
    PREFECT_FLOWS_HEARTBEAT_FREQUENCY,
    PREFECT_HOME,
    PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS,
    PREFECT_SERVER_UI_ENABLED,
    get_current_settings,
    temporary_settings,
)
from prefect.states import Completed
from prefect.task_runners import ProcessPoolTaskRunner, TaskRunner, ThreadPoolTaskRunner
from prefect.utilities.urls import url_for

from flows.cli import ENVIRONMENT, at_stop
from flows.config import FlowConfig, RunnerConfig
from tasks.core import logs
from tasks.core.errors import BusyError, DataError, GenreflowError, disk_error, missing_extra
from tasks.core.logs import Progress, hide_secrets, log_to, without_password
from tasks.core.parallel import check_workers, forwarded_log
from tasks.core.settings import DataPaths, data_paths
from tasks.prefect_task import end_state
from tasks.stage import config_dict
from tasks.tracking import runs
from tasks.tracking.runs import PipelineRun, start_pipeline_run
from tasks.tracking.store import tracking_error

Result = TypeVar("Result")

logger = logging.getLogger(__name__)

COMMAND: Final = (sys.executable, "-m", "flows.prefect_server")
WITHOUT: Final = ("UI", "SERVICES_SCHEDULER", "SERVICES_LATE_RUNS")  # of the server, where it is a temporary one
ATTEMPTS: Final = 3  # another process may take the free port before the server does
END_S: Final = 5
LOGGED: Final = ("flows", "tasks")
LOCK_TIMEOUT_S: Final = 600.0  # for a run of another deployment on the same data
NAMED: Final = ("source", "preset", "model", "input")  # options that distinguish the runs of a flow
LONGEST_NAME: Final = 200
SHORT_S: Final = 5.0  # shorter work shows no progress
EVERY_PERCENT: Final = 5
core_count: Final[Callable[[], int]] = joblib.cpu_count  # by the process's affinity and a container's limit
_own: "list[TemporaryServer]" = []  # this process's, at most one


class PrefectServerError(GenreflowError):
    """The Prefect server does not answer."""


class OutOfMemoryError(GenreflowError):
    """The machine, or a limit, has no more memory to give."""


def as_user_error(error: BaseException) -> GenreflowError | None:
    """Return an error, or its cause, as one for users (disk, memory, MLflow's store, Prefect's server), or None."""
    each: BaseException | None = error
    while each is not None:
        if isinstance(each, GenreflowError):
            return each
        if isinstance(each, MemoryError):
            return OutOfMemoryError(
                f"the run ran out of memory ({each or 'MemoryError'}); finished stages are kept: give it more memory, "
                "or less parallel work with --workers 1, and run the same command again, which continues from there"
            )
        extra = missing_extra(each) if isinstance(each, ModuleNotFoundError) else None
        if (found := extra or tracking_error(each)) is not None:
            return found
        if isinstance(each, httpx.TransportError) or "Failed to reach API" in str(each):
            return PrefectServerError(
                "the Prefect server does not answer; finished stages are kept: start the server that PREFECT_API_URL "
                "names, if any, and run the same command again, which continues from there"
            )
        if (full := disk_error(each, data_paths().root, "the run")) is not None:
            return full
        each = each.__cause__ or each.__context__
    return None


@contextlib.contextmanager
def prefect_server(prepare: Callable[[], Result]) -> Iterator[Result]:
    """Use the server at PREFECT_API_URL; without one, run a temporary server on a free loopback port.

    Prefect's own would be started once more in every worker process. While the server starts, which takes seconds,
    `prepare` is called; the context yields its result. The server ends with this process, after the last log lines were
    sent; later flows of the process use it too.
    """
    if PREFECT_API_URL.value():
        logger.info("Prefect server: %s", without_password(PREFECT_API_URL.value()))
        yield prepare()
        return
    if not _own:
        _own.append(TemporaryServer())
        atexit.register(_own[0].stop)
    server = _own[0]
    at_stop.append(server.stop)
    try:
        result = prepare()
        # Nothing there evaluates heartbeats, and their threads take up to a second to end with each flow.
        of_server = {
            PREFECT_API_URL: server.wait(),
            PREFECT_API_AUTH_STRING: server.auth_string,
            PREFECT_SERVER_UI_ENABLED: False,
        }
        with temporary_settings({**of_server, PREFECT_FLOWS_HEARTBEAT_FREQUENCY: None}):
            yield result
    finally:
        at_stop.remove(server.stop)


class TemporaryServer:
    """A Prefect server without UI and schedules, in its own process."""

    def __init__(self) -> None:
        self.auth_string = f"genreflow:{secrets.token_urlsafe(32)}"  # other users of this machine can reach the port
        PREFECT_HOME.value().mkdir(parents=True, exist_ok=True)  # for the server's database
        self._start()

    def wait(self) -> str:
        """Wait until the server answers; return the address of its API, or raise a `PrefectServerError`."""
        attempts, why = 1, "it did not answer in time"
        deadline_s = time.monotonic() + PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS.value()
        with httpx.Client(trust_env=False) as client:
            while time.monotonic() < deadline_s:
                if (code := self._process.poll()) is not None:
                    if attempts == ATTEMPTS:
                        why = f"it ended with exit code {code}"
                        break
                    attempts += 1
                    self._start()
                with contextlib.suppress(httpx.TransportError):
                    if client.get(f"{self._api_url}/health").is_success and self._process.poll() is None:
                        return self._api_url
                time.sleep(0.05)
        self.stop()
        raise PrefectServerError(
            f"Prefect's temporary server did not start ({why}); allow it more time with "
            "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS=300, or start one (make ui) and set PREFECT_API_URL"
        )

    def stop(self) -> None:
        """End the server, if it still runs."""
        self._process.terminate()
        try:
            self._process.wait(timeout=END_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _start(self) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        self._api_url = f"http://127.0.0.1:{port}/api"
        of_user = get_current_settings().to_environment_variables(exclude_unset=True)
        of_server = {f"PREFECT_SERVER_{part}_ENABLED": "false" for part in WITHOUT}
        secret = {"PREFECT_SERVER_API_AUTH_STRING": self.auth_string}
        self._process = subprocess.Popen(  # noqa: S603 - no part of the command comes from outside
            [*COMMAND, "--host", "127.0.0.1", "--port", str(port)],
            env={**os.environ, **of_user, **of_server, **secret},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )


def run_name(flow: str) -> Callable[[], str]:
    """Return a function that names a run of a flow by the flow and its main options."""

    def name() -> str:
        config = flow_run.parameters.get("config")
        chosen = config if isinstance(config, dict) else vars(config) if config is not None else {}
        values = {**chosen, **{option: value for option, value in flow_run.parameters.items() if value}}
        words = [str(values[option]) for option in NAMED if values.get(option)]
        return hide_secrets(f"{flow}: {', '.join(words)}" if words else flow)[:LONGEST_NAME]

    return name


def completed(message: str, result: Result) -> Result:
    """Return a result, typed as such for callers, in a final state with a message, `Cached` if all was up to date."""
    return cast("Result", Completed(name=end_state(result) or "Completed", message=hide_secrets(message), data=result))


def mlflow_page(run: PipelineRun, run_id: str) -> str:
    """Return where to find an MLflow run: its page on a server, else its id and store."""
    uri = run.experiment.tracking_uri
    if uri.startswith(("http:", "https:")):
        return f"{uri}/#/experiments/{run.experiment.experiment_id}/runs/{run_id}"
    return f"id {run_id} in {uri}"


def store_artifact(create: Callable[..., Any], **content: Any) -> Any:
    """Show something in Prefect's UI, without secrets; return the artifact's id, None outside a run."""
    if FlowRunContext.get() is None and TaskRunContext.get() is None:
        return None
    try:
        return create(**json.loads(hide_secrets(json.dumps(content))))
    except (PrefectException, httpx.HTTPError) as error:
        logger.warning("Prefect cannot show %s (%s)", content.get("key"), error)
        return None


_shown_percent: "WeakKeyDictionary[Progress, int]" = WeakKeyDictionary()
_artifacts: "WeakKeyDictionary[Progress, UUID]" = WeakKeyDictionary()
_lock = threading.Lock()


def _show_progress(work: Progress) -> None:
    if not work.total or TaskRunContext.get() is None or work.clock() - work.start_s < SHORT_S:
        return
    with contextlib.suppress(RuntimeError):
        asyncio.get_running_loop()
        return  # a crawl shows its own progress
    percent = min(round(100 * work.done / work.total), 100)
    with _lock:
        if percent - _shown_percent.get(work, 0) < EVERY_PERCENT and not work.is_finished:
            return
        _shown_percent[work] = percent
    description = work.line()
    if work not in _artifacts:
        key = re.sub("[^a-z0-9]+", "-", work.what.lower()).strip("-") or "work"
        made = store_artifact(create_progress_artifact, progress=percent, key=key, description=description)
        if isinstance(made, UUID):
            _artifacts[work] = made
        return
    try:
        update_progress_artifact(_artifacts[work], percent, description=description)
    except (PrefectException, httpx.HTTPError) as error:  # a crawl of days outlives a server's restart
        logger.warning("%s: progress cannot be shown (%s)", work.what, error)


def log_steps() -> None:
    """Log what flows and stages do and show progress, even if no command line has set that up."""
    logs.hide_in_records()
    if _show_progress not in logs.watchers:
        logs.watchers.append(_show_progress)
    for name in LOGGED:
        ours = logging.getLogger(name)
        ours.setLevel(min(ours.level or logging.INFO, logging.INFO))


@contextlib.contextmanager
def exclusive(paths: DataPaths) -> Iterator[None]:
    """Hold the data folder's lock, for flows that write there; flows within a flow share it.

    A deployment's run waits for it for some minutes, since nobody watches it start; others get a `BusyError`.
    """
    log_steps()
    lock = FileLock(paths.lock, is_singleton=True, thread_local=False)
    try:
        paths.root.mkdir(parents=True, exist_ok=True)
        try:
            lock.acquire(timeout=0)
        except Timeout:
            if not deployment.id:
                raise
            logger.info("another pipeline works in %s; waiting for it", paths.root)
            lock.acquire(timeout=LOCK_TIMEOUT_S)
    except Timeout as error:
        raise BusyError(
            f"another pipeline works in {paths.root}; wait for it, or set GENREFLOW_DATA_DIR to another folder"
        ) from error
    except OSError as error:
        raise DataError(
            f"{paths.root} cannot be written ({error.strerror}); fix its permissions, or set GENREFLOW_DATA_DIR to "
            "another folder"
        ) from error
    try:
        yield
    finally:
        lock.release()


@contextlib.contextmanager
def task_runner(config: RunnerConfig) -> Iterator[TaskRunner[Any]]:
    """Yield the runner for models: the requested number of threads or processes, by default one per core, or Dask."""
    if config.dask_address is not None:
        count = check_cluster(config)
        from prefect_dask.task_runners import DaskTaskRunner

        logger.info("models run on %s workers of %s", count, config.dask_address)
        with forwarded_log(config.dask_address), DaskTaskRunner(address=config.dask_address) as on_dask:
            yield on_dask
        return
    count, is_thread = config.workers or core_count(), config.runner == "thread"
    logger.info("models run in %s %s", count, "threads" if is_thread else "processes")
    runner: TaskRunner[Any] = (ThreadPoolTaskRunner if is_thread else ProcessPoolTaskRunner)(max_workers=count)
    with runner:
        yield runner


def check_cluster(config: RunnerConfig) -> int:
    """Check, before any work, that Dask's workers can take part; return their number, 0 without Dask.

    They inherit what the command line set for Prefect and MLflow, as child processes would.
    """
    if config.dask_address is None:
        return 0
    inherited = {name: os.environ[name] for name in ENVIRONMENT if name in os.environ}
    return check_workers(config.dask_address, inherited)


@contextlib.contextmanager
def pipeline_run(config: FlowConfig, paths: DataPaths, tags: Mapping[str, str]) -> Iterator[PipelineRun]:
    """Open a pipeline run: its MLflow run, tagged with its flow run, and its log file, kept however the run ends."""
    if flow_run.id:
        url = url_for("flow-run", flow_run.id) if PREFECT_SERVER_UI_ENABLED.value() else None
        tags = {**tags, "prefect_flow_run": str(flow_run.id), **({"prefect_url": url} if url else {})}
    log = paths.logs / f"{time.strftime('%Y%m%d-%H%M%S')}-{os.getpid()}.log"
    log_steps()
    with log_to(log, LOGGED, all_threads=True):
        experiment = getattr(config, "experiment", None) or "genreflow"
        run = start_pipeline_run(experiment, config_dict(config), paths, tags)
        status = runs.KILLED  # after an interrupt

        def end() -> None:
            try:
                runs.kill_children(run)
                runs.log_files(run.experiment, run.run_id, [log], "log")
                runs.end_run(run.experiment, run.run_id, status)
            except Exception as error:
                shown = as_user_error(error)
                if shown is None:
                    raise
                logger.warning("the MLflow run could not be ended; the next run will mark it as KILLED: %s", shown)

        at_stop.append(end)
        try:
            yield run
            status = runs.FINISHED
        except Exception:
            status = runs.FAILED
            raise
        finally:
            end()
            at_stop.remove(end)
