"""The Prefect server of a command that finds none. Owns its start and its end."""

import atexit
import contextlib
import logging
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from typing import Final, TypeVar

import httpx
from prefect.settings import (
    PREFECT_API_URL,
    PREFECT_FLOWS_HEARTBEAT_FREQUENCY,
    PREFECT_HOME,
    PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS,
    PREFECT_SERVER_UI_ENABLED,
    get_current_settings,
    temporary_settings,
)

from flows.stopping import at_stop
from tasks.errors import GenreflowError
from tasks.redaction import without_password

Result = TypeVar("Result")

logger = logging.getLogger(__name__)

COMMAND: Final = (sys.executable, "-m", "prefect", "server", "start", "--no-ui", "--no-scheduler", "--no-late-runs")
ATTEMPTS: Final = 3  # another process may take the free port before the server does
END_S: Final = 5
_own: "list[TemporaryServer]" = []  # of this process, at most one


class ServerNotStartedError(GenreflowError):
    """Prefect's temporary server did not answer in time."""


@contextlib.contextmanager
def prefect_server(meanwhile: Callable[[], Result]) -> Iterator[Result]:
    """Use the server at PREFECT_API_URL; where that is not set, run a temporary one on a free loopback port.

    Left to itself, Prefect would start one more in every worker process. It takes seconds to start, in which
    `meanwhile` is called; its result is what the context gives. The server ends with this process, after the last log
    lines were sent to it; later flows of the process use it too.

    Raises:
        ServerNotStartedError: the temporary server did not answer in time.
    """
    if PREFECT_API_URL.value():
        logger.info("Prefect server: %s", without_password(PREFECT_API_URL.value()))
        yield meanwhile()
        return
    if not _own:
        _own.append(TemporaryServer())
        atexit.register(_own[0].stop)
    server = _own[0]
    at_stop.append(server.stop)
    try:
        result = meanwhile()
        # Nobody looks for signs of life there, and their threads take up to a second to end with each flow.
        of_server = {PREFECT_API_URL: server.wait(), PREFECT_SERVER_UI_ENABLED: False}
        with temporary_settings({**of_server, PREFECT_FLOWS_HEARTBEAT_FREQUENCY: None}):
            yield result
    finally:
        at_stop.remove(server.stop)


class TemporaryServer:
    """A Prefect server without UI and schedules, in a process of its own."""

    def __init__(self) -> None:
        PREFECT_HOME.value().mkdir(parents=True, exist_ok=True)  # the server's database goes there
        self._start()

    def wait(self) -> str:
        """Wait until the server answers; return the address of its API.

        Raises:
            ServerNotStartedError: it ended, or did not answer in time.
        """
        attempts, deadline_s = 1, time.monotonic() + PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS.value()
        with httpx.Client(trust_env=False) as client:
            while time.monotonic() < deadline_s:
                if (code := self._process.poll()) is not None:
                    if attempts == ATTEMPTS:
                        raise self._failure(f"it ended with exit code {code}")
                    attempts += 1
                    self._start()
                with contextlib.suppress(httpx.TransportError):
                    if client.get(f"{self._api_url}/health").is_success and self._process.poll() is None:
                        return self._api_url
                time.sleep(0.05)
        self.stop()
        raise self._failure("it did not answer in time")

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
        self._process = subprocess.Popen(  # noqa: S603 - no word of the command comes from outside
            [*COMMAND, "--host", "127.0.0.1", "--port", str(port)],
            env={**os.environ, **get_current_settings().to_environment_variables(exclude_unset=True)},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    @staticmethod
    def _failure(why: str) -> ServerNotStartedError:
        return ServerNotStartedError(
            f"Prefect's temporary server did not start ({why}); give it longer by "
            "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS=300, or start one (make ui) and set PREFECT_API_URL"
        )
