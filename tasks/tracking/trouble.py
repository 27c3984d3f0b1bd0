"""An MLflow store that is away or busy: how that is recognised, waited for and told. Knows not what is logged."""

import functools
import logging
import re
import time
from collections.abc import Callable
from typing import Final, ParamSpec, TypeVar

from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import INVALID_PARAMETER_VALUE, RESOURCE_DOES_NOT_EXIST, ErrorCode

from tasks.errors import TrackingError
from tasks.settings import settings
from tasks.tracking.store import kept_address

P = ParamSpec("P")
R = TypeVar("R")

logger = logging.getLogger(__name__)

WAITS_S: Final = (1.0, 5.0, 20.0)  # beside the 20 s that MLflow lets a locked SQLite database have each time
AWAY: Final = re.compile(r"API request to .* failed with (exception|(error )?code 50[234])|Max retries exceeded")
BUSY: Final = re.compile(r"database is locked|database table is locked|server closed the connection")
# What MLflow answers for a run or model that is not there, and for an alias or for what cannot be an id.
MISSING: Final = tuple(map(ErrorCode.Name, (RESOURCE_DOES_NOT_EXIST, INVALID_PARAMETER_VALUE)))


def tracking_error(error: BaseException) -> TrackingError | None:
    """Return what to tell of an error that comes from a store that is away or busy, None of any other."""
    if is_away(error):
        return TrackingError(
            f"MLflow at {kept_address(settings().tracking_uri)} does not answer; what is computed is kept in "
            f"{settings().data_dir}: start it and run the same command again, which logs it"
        )
    if is_busy(error):
        return TrackingError(
            f"the MLflow database {kept_address(settings().tracking_uri)} was locked for too long; end what holds it "
            "and run the same command again, which goes on"
        )
    return None


def is_away(error: BaseException) -> bool:
    """Return whether a tracking server did not answer, after the retries that MLflow itself makes."""
    return _is_of_store(error) and bool(AWAY.search(str(error)))


def is_busy(error: BaseException) -> bool:
    """Return whether the store's database could not be had."""
    return _is_of_store(error) and bool(BUSY.search(str(error))) and not is_away(error)


def is_missing(error: MlflowException) -> bool:
    """Return whether a store answered that there is no such thing; any other error tells nothing of what it has."""
    return error.error_code in MISSING


def patiently(function: Callable[P, R]) -> Callable[P, R]:
    """Have a function try again while the store's database is busy: what is not a Prefect task has no retries else.

    Raises:
        TrackingError: of the decorated function, where the store stays busy or is away.
    """

    @functools.wraps(function)
    def trying(*args: P.args, **kwargs: P.kwargs) -> R:
        for wait_s in (*WAITS_S, None):
            try:
                return function(*args, **kwargs)
            except Exception as error:
                told = tracking_error(error)
                if told is None:
                    raise
                if wait_s is None or not is_busy(error):
                    raise told from error
                logger.warning("the MLflow database is locked; trying again in %.0f s", wait_s)
            time.sleep(wait_s)
        raise AssertionError  # the last try returns or raises

    return trying


def _is_of_store(error: BaseException) -> bool:
    return isinstance(error, MlflowException) or type(error).__module__.startswith(("requests.", "sqlalchemy."))
