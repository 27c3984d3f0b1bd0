import sys

import httpx
import pytest
from prefect.settings import (
    PREFECT_API_URL,
    PREFECT_HOME,
    PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS,
    temporary_settings,
)

from flows import run_context
from flows.run_context import PrefectServerError, prefect_server


@pytest.fixture
def no_server_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr(run_context, "_own", [])
    with temporary_settings(
        {PREFECT_HOME: tmp_path, PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS: 2},
        restore_defaults={PREFECT_API_URL},
    ):
        yield


@pytest.mark.parametrize(
    ("program", "why"), [("import time; time.sleep(60)", "did not answer in time"), ("exit(3)", "exit code 3")]
)
def test_a_server_that_does_not_start_is_told_with_the_remedy(no_server_is_named, monkeypatch, program, why):
    monkeypatch.setattr(run_context, "COMMAND", (sys.executable, "-c", program))
    with (
        pytest.raises(PrefectServerError, match=rf"{why}.*PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS=300"),
        prefect_server(lambda: None),
    ):
        pass


@pytest.mark.services
def test_a_temporary_server_answers_while_it_is_wanted(no_server_is_named):
    with temporary_settings({PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS: 300}), prefect_server(lambda: 1) as made:
        assert made == 1
        address = PREFECT_API_URL.value()
        assert httpx.get(f"{address}/health", trust_env=False).json() is True
    with prefect_server(lambda: None):
        assert PREFECT_API_URL.value() == address  # of the same server, not of one more
    assert PREFECT_API_URL.value() is None


def test_a_server_that_is_named_is_used():
    with temporary_settings({PREFECT_API_URL: "http://127.0.0.1:1/api"}), prefect_server(lambda: "loaded") as loaded:
        assert loaded == "loaded"
        assert PREFECT_API_URL.value() == "http://127.0.0.1:1/api"
