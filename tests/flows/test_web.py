"""Whom a server answers: programs and its own pages."""

import httpx
import pytest
from fastapi import FastAPI, Request
from starlette.testclient import TestClient
from starlette.websockets import WebSocket, WebSocketDisconnect

from flows.web import OwnPagesOnly
from tasks.core.settings import settings

app = FastAPI()


@app.post("/")
async def length(request: Request) -> int:
    """Read the whole body."""
    return len(await request.body())


@app.websocket("/")
async def greet(socket: WebSocket) -> None:
    """Say hello."""
    await socket.accept()
    await socket.send_text("hello")
    await socket.close()


def status(host: str, origin: str | None = None, **more: str) -> int:
    headers = {"host": host, **more} | ({"origin": origin} if origin is not None else {})
    return TestClient(OwnPagesOnly(app)).post("/", content="abc", headers=headers).status_code


OWN = [
    ("127.0.0.1:4200", None),
    ("localhost:4200", None),
    ("[::1]:4200", "http://[::1]:4200"),
    ("127.0.0.1:4200", "http://127.0.0.1:4200"),
    ("127.0.0.1:4200", "http://localhost:4200"),  # the page was opened under the other name
    ("10.1.2.3:4200", "http://10.1.2.3:4200"),  # in a container; a name that was bound to an address is sent as a name
]
FOREIGN = [
    ("evil.test:4200", None),
    ("evil.test:4200", "http://evil.test:4200"),
    ("127.0.0.1.evil.test", None),
    ("localhost.evil.test:4200", None),
    ("evil.test:4200@127.0.0.1", None),
    ("[::1", None),
    ("", None),
    ("127.0.0.1:4200", "http://127.0.0.1:4201"),
    ("127.0.0.1:4200", "https://evil.test"),
    ("127.0.0.1:4200", "null"),
    ("127.0.0.1:4200", "http://[::1"),
    ("127.0.0.1:4200", ""),
    ("127.0.0.1:4200", "http://10.1.2.3:4200"),
]


@pytest.mark.parametrize(("host", "origin"), OWN)
def test_programs_and_own_pages_are_answered(host, origin):
    assert status(host, origin) == 200


@pytest.mark.parametrize(("host", "origin"), FOREIGN)
def test_foreign_pages_are_refused(host, origin):
    assert status(host, origin) == 403


def test_a_name_that_the_user_allows_is_answered(monkeypatch):
    monkeypatch.setenv("GENREFLOW_ALLOWED_HOSTS", "prefect, movies.example")
    settings.cache_clear()
    assert status("prefect:4200") == 200
    assert status("movies.example", "https://movies.example") == 200
    assert status("another.example") == 403
    monkeypatch.undo()
    settings.cache_clear()


@pytest.mark.parametrize("headers", [{"origin": "http://evil.test"}, {"host": "evil.test"}])
def test_a_foreign_pages_socket_is_closed(headers):
    client = TestClient(OwnPagesOnly(app))
    with client.websocket_connect("ws://localhost/") as own:
        assert own.receive_text() == "hello"
    with pytest.raises(WebSocketDisconnect), client.websocket_connect("ws://localhost/", headers=headers) as foreign:
        foreign.receive_text()


@pytest.mark.parametrize("content", [b"a" * 11, iter([b"a" * 6, b"a" * 5])], ids=["announced", "in pieces"])
def test_long_bodies_are_refused(content):
    client = TestClient(OwnPagesOnly(app, max_body_bytes=10), base_url="http://localhost")
    assert client.post("/", content=b"a" * 10).json() == 10
    answer: httpx.Response = client.post("/", content=content)
    assert answer.status_code == 413
    assert "at most 10 bytes" in answer.text
