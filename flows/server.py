"""The Prefect server of a command that finds none. Owns its start and its end."""

import contextlib
import logging
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from prefect.server.api.server import SubprocessASGIServer
from prefect.settings import PREFECT_API_URL, PREFECT_HOME, temporary_settings

from flows.stopping import at_stop
from tasks.errors import GenreflowError
from tasks.redaction import without_password

Result = TypeVar("Result")

logger = logging.getLogger(__name__)


class ServerNotStartedError(GenreflowError):
    """Prefect's temporary server did not answer in time."""


@contextlib.contextmanager
def prefect_server(meanwhile: Callable[[], Result]) -> Iterator[Result]:
    """Use the server at PREFECT_API_URL; where that is not set, run a temporary one on a free loopback port.

    Left to itself, Prefect would start one more in every worker process. It takes seconds to start, in which
    `meanwhile` is called; its result is what the context gives.

    Raises:
        ServerNotStartedError: the temporary server did not answer in time.
    """
    if PREFECT_API_URL.value():
        logger.info("Prefect server: %s", without_password(PREFECT_API_URL.value()))
        yield meanwhile()
        return
    PREFECT_HOME.value().mkdir(parents=True, exist_ok=True)  # the server's database goes there
    server = SubprocessASGIServer()
    with ThreadPoolExecutor(1) as starter:
        started = starter.submit(server.start)  # it ends with this process, after the last log lines were sent to it
        result = meanwhile()
        try:
            started.result()
        except RuntimeError as error:  # that it did not answer in time
            raise ServerNotStartedError(
                f"Prefect's temporary server did not start ({error}); give it longer by "
                "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS=300, or start one (make ui) and set PREFECT_API_URL"
            ) from error
    at_stop.append(server.stop)
    try:
        with temporary_settings({PREFECT_API_URL: server.api_url}):
            yield result
    finally:
        at_stop.remove(server.stop)
