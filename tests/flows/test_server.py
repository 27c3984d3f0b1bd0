import pytest
from prefect.server.api.server import SubprocessASGIServer
from prefect.settings import PREFECT_API_URL, temporary_settings

from flows.server import ServerNotStartedError, prefect_server


def test_a_server_that_does_not_answer_in_time_is_told_with_the_remedy(monkeypatch):
    def fail(self: SubprocessASGIServer) -> None:
        raise RuntimeError("Timed out")

    monkeypatch.setattr(SubprocessASGIServer, "start", fail)
    with (
        temporary_settings(restore_defaults={PREFECT_API_URL}),
        pytest.raises(ServerNotStartedError, match=r"Timed out.*PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS=300"),
        prefect_server(lambda: None),
    ):
        pass


def test_a_server_that_is_named_is_used(monkeypatch):
    with temporary_settings({PREFECT_API_URL: "http://127.0.0.1:1/api"}), prefect_server(lambda: "loaded") as loaded:
        assert loaded == "loaded"
        assert PREFECT_API_URL.value() == "http://127.0.0.1:1/api"
