"""What every flow run needs around it: the data folder's lock, the run's log file, the task runner, tracking.

Owns the frame of a run; knows no stage.
"""

import contextlib
import logging
import os
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import joblib
from filelock import BaseFileLock, FileLock, Timeout
from prefect.runtime import deployment
from prefect.task_runners import ProcessPoolTaskRunner, TaskRunner, ThreadPoolTaskRunner

from flows.command_line import ENVIRONMENT
from flows.config import FlowConfig, RunnerConfig
from flows.in_prefect import prefect_tags, watch_progress
from flows.outside import told_plainly
from flows.stopping import at_stop
from tasks import cluster
from tasks.errors import DataError, GenreflowError
from tasks.log_file import LogFile
from tasks.paths import DataPaths
from tasks.redaction import SafeFormatter
from tasks.stage import config_dict
from tasks.tracking import runs
from tasks.tracking.runs import PipelineRun, start_pipeline_run
from tasks.worker_check import check_workers

logger = logging.getLogger(__name__)

LOGGED = ("flows", "tasks")
PATIENCE_S = 600.0  # with a run of another deployment on the same data


class DataFolderBusyError(GenreflowError):
    """Another pipeline works in the same data folder."""


def log_steps() -> None:
    """Have what flows and stages say handled, and progress shown, also where no command line saw to it."""
    watch_progress()
    for name in LOGGED:
        ours = logging.getLogger(name)
        ours.setLevel(min(ours.level or logging.INFO, logging.INFO))


@contextlib.contextmanager
def exclusive(paths: DataPaths) -> Iterator[None]:
    """Hold the data folder's lock, for flows that write there; flows within a flow share it.

    A run of a deployment, whose start nobody watches, waits for it for a while.

    Raises:
        DataFolderBusyError: another process holds it.
        DataError: the folder cannot be written.
    """
    log_steps()
    lock = FileLock(paths.lock, is_singleton=True, thread_local=False)
    try:
        paths.root.mkdir(parents=True, exist_ok=True)
        _acquire(lock, paths)
    except Timeout as error:
        raise DataFolderBusyError(
            f"another pipeline works in {paths.root}; wait for it, or set GENREFLOW_DATA_DIR to another folder"
        ) from error
    except OSError as error:
        raise DataError(
            f"{paths.root} cannot be written ({error.strerror}); mend its permissions, or set GENREFLOW_DATA_DIR to "
            "another folder"
        ) from error
    try:
        yield
    finally:
        lock.release()


def _acquire(lock: BaseFileLock, paths: DataPaths) -> None:
    try:
        lock.acquire(timeout=0)
    except Timeout:
        if not deployment.id:
            raise
        logger.info("another pipeline works in %s; waiting for it", paths.root)
        lock.acquire(timeout=PATIENCE_S)


@contextlib.contextmanager
def log_file(paths: DataPaths) -> Iterator[Path]:
    """Write what the stages log to a file of this run's own under `data/logs/`."""
    paths.logs.mkdir(parents=True, exist_ok=True)
    path = paths.logs / f"{time.strftime('%Y%m%d-%H%M%S')}-{os.getpid()}.log"
    handler = LogFile(path, encoding="utf-8")
    handler.setFormatter(SafeFormatter("%(asctime)s %(levelname)s %(name)s  %(message)s"))
    log_steps()
    loggers = [logging.getLogger(name) for name in LOGGED]
    for ours in loggers:
        ours.addHandler(handler)
    try:
        yield path
    finally:
        for ours in loggers:
            ours.removeHandler(handler)
        handler.close()


def core_count() -> int:
    """Return how many cores this process may use, by its affinity and, in a container, by the limit on its time."""
    return int(joblib.cpu_count())


@contextlib.contextmanager
def task_runner(config: RunnerConfig) -> Iterator[TaskRunner[Any]]:
    """Give the runner that models are submitted to: as many threads or processes as asked, or as cores; or Dask.

    Raises:
        ConfigError: Dask's workers cannot take part; see `tasks.worker_check`.
    """
    if config.dask_address is not None:
        count = check_cluster(config)
        from prefect_dask.task_runners import DaskTaskRunner  # noqa: PLC0415 - an extra, and not needed by who has no cluster

        logger.info("models run on %s workers of %s", count, config.dask_address)
        with cluster.forwarded_log(config.dask_address), DaskTaskRunner(address=config.dask_address) as on_dask:
            yield on_dask
        return
    count, is_thread = config.workers or core_count(), config.runner == "thread"
    logger.info("models run in %s %s", count, "threads" if is_thread else "processes")
    runner: TaskRunner[Any] = (ThreadPoolTaskRunner if is_thread else ProcessPoolTaskRunner)(max_workers=count)
    with runner:
        yield runner


def check_cluster(config: RunnerConfig) -> int:
    """Make sure, before any work, that Dask's workers can take part; return how many there are, 0 without Dask.

    They take over what the command line set for Prefect and MLflow, as child processes would.

    Raises:
        ConfigError: they cannot; see `tasks.worker_check`.
    """
    if config.dask_address is None:
        return 0
    inherited = {name: os.environ[name] for name in ENVIRONMENT if name in os.environ}
    return check_workers(config.dask_address, inherited)


@contextlib.contextmanager
def pipeline_run(config: FlowConfig, paths: DataPaths, tags: Mapping[str, str]) -> Iterator[PipelineRun]:
    """Frame a pipeline run: its MLflow run and its log file, both ended and kept however the run ends."""
    with log_file(paths) as log:
        experiment = getattr(config, "experiment", None) or "genreflow"
        run = start_pipeline_run(experiment, config_dict(config), paths, {**tags, **prefect_tags()})
        status = runs.KILLED  # what an interrupt leaves

        def end() -> None:
            try:
                runs.kill_children(run)
                runs.log_files(run.experiment, run.run_id, [log], "log")
                runs.end_run(run.experiment, run.run_id, status)
            except Exception as error:
                told = told_plainly(error)
                if told is None:
                    raise
                logger.warning("the MLflow run could not be ended, the next run marks it as KILLED: %s", told)

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
