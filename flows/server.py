"""The Prefect server of a command that finds none. Owns its start and its end."""

import contextlib
import logging
from collections.abc import Iterator

from prefect.server.api.server import SubprocessASGIServer
from prefect.settings import PREFECT_API_URL, temporary_settings

logger = logging.getLogger(__name__)


@contextlib.contextmanager
def prefect_server() -> Iterator[None]:
    """Use the server at PREFECT_API_URL; where that is not set, run a temporary one on a free loopback port.

    Left to itself, Prefect would start one more in every worker process.
    """
    if PREFECT_API_URL.value():
        logger.info("Prefect server: %s", PREFECT_API_URL.value())
        yield
        return
    server = SubprocessASGIServer()
    server.start()  # ends with this process, after the last log lines were sent to it
    with temporary_settings({PREFECT_API_URL: server.api_url}):
        yield
