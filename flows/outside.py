"""What fails outside of the program while a flow runs, told in a line: disk, memory, MLflow's store, Prefect's server.

Owns which errors of other packages these are; whatever else they raise is a defect and keeps its traceback.
"""

from collections.abc import Iterator

import httpx

from tasks.disk import disk_error
from tasks.errors import GenreflowError
from tasks.extras import missing_extra
from tasks.paths import data_paths
from tasks.tracking.trouble import tracking_error


class PrefectServerError(GenreflowError):
    """The Prefect server does not answer."""


class OutOfMemoryError(GenreflowError):
    """The machine, or a limit, has no more memory to give."""


def told_plainly(error: BaseException) -> GenreflowError | None:
    """Return what to tell of an error, None where it is a defect: the error itself or what led to it says so."""
    for each in _with_causes(error):
        if isinstance(each, GenreflowError):
            return each
        found = (
            (missing_extra(each) if isinstance(each, ModuleNotFoundError) else None)
            or _memory_error(each)
            or tracking_error(each)
            or _prefect_error(each)
            or disk_error(each, data_paths().root, "the run")
        )
        if found is not None:
            return found
    return None


def _memory_error(error: BaseException) -> OutOfMemoryError | None:
    if not isinstance(error, MemoryError):
        return None
    return OutOfMemoryError(
        f"the run needs more memory than it may have ({error or 'MemoryError'}); finished stages are kept: give it "
        "more, or less to do at a time by --workers 1, and run the same command again, which goes on from there"
    )


def _prefect_error(error: BaseException) -> PrefectServerError | None:
    is_gone = isinstance(error, httpx.TransportError) or "Failed to reach API" in str(error)
    if not is_gone:
        return None
    return PrefectServerError(
        "the Prefect server does not answer; finished stages are kept: start it "
        "where PREFECT_API_URL names one, and run the same command again, which goes on from there"
    )


def _with_causes(error: BaseException) -> Iterator[BaseException]:
    seen: BaseException | None = error
    while seen is not None:
        yield seen
        seen = seen.__cause__ or seen.__context__
