"""A server that speaks raw bytes, a clock that nobody waits for, and a data folder with plots missing."""

import asyncio
import json
import socket
import threading
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from urllib.parse import parse_qs, urlsplit

import pytest

from tasks.acquire.config import CrawlConfig
from tasks.acquire.crawl.client import Clock
from tasks.acquire.crawl.crawl import CrawlResult, run_crawl
from tasks.acquire.crawl.journal import read_journal
from tasks.core.settings import DataPaths, settings


@dataclass(frozen=True)
class Request:
    method: str
    target: str
    headers: dict[str, str]
    body: bytes

    @property
    def query(self) -> dict[str, list[str]]:
        return parse_qs(urlsplit(self.target).query)

    @property
    def ids(self) -> list[str]:
        """The ids that any of the sources asks for."""
        return self.query.get("i") or self.query.get("titleIds") or json.loads(self.body)["variables"]["ids"]


Reply = bytes | Callable[[socket.socket], None]


@dataclass
class RawServer:
    """Sends each scripted reply once, then what `answer` makes of a request; closes after each reply."""

    answer: Callable[[Request], Reply] = lambda _: b""
    script: deque[Reply] = field(default_factory=deque)
    requests: list[Request] = field(default_factory=list)
    listener: socket.socket = field(default_factory=lambda: socket.create_server(("127.0.0.1", 0), backlog=64))

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.listener.getsockname()[1]}"

    def serve(self) -> None:
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:  # closed
                return
            threading.Thread(target=self._handle, args=(connection,), daemon=True).start()

    def _handle(self, connection: socket.socket) -> None:
        with connection:
            connection.settimeout(10)
            request = _read_request(connection)
            if request is None:
                return
            self.requests.append(request)
            reply = self.script.popleft() if self.script else self.answer(request)
            try:
                if callable(reply):
                    reply(connection)
                else:
                    connection.sendall(reply)
            except OSError:  # the client had enough
                return

    @staticmethod
    def json(content: object, status: str = "200 OK", **headers: str) -> bytes:
        body = json.dumps(content).encode()
        return RawServer.reply(body, status, **{"Content_Type": "application/json", **headers})

    @staticmethod
    def reply(body: bytes, status: str = "200 OK", **headers: str) -> bytes:
        headers = {"Content_Length": str(len(body)), "Connection": "close", **headers}
        lines = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in headers.items())
        return f"HTTP/1.1 {status}\r\n{lines}\r\n".encode("latin-1") + body


def _read_request(connection: socket.socket) -> Request | None:
    data = b""
    while b"\r\n\r\n" not in data:
        if not (chunk := connection.recv(65536)):
            return None
        data += chunk
    head, _, body = data.partition(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")
    headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
    while len(body) < int(headers.get("content-length", 0)):
        if not (chunk := connection.recv(65536)):
            return None  # the client is gone
        body += chunk
    method, target, _ = first.split(" ")
    return Request(method, target, headers, body)


@pytest.fixture
def server() -> Iterator[RawServer]:
    raw = RawServer()
    thread = threading.Thread(target=raw.serve, daemon=True)
    thread.start()
    yield raw
    raw.listener.shutdown(socket.SHUT_RDWR)
    raw.listener.close()
    thread.join(5)


class FakeClock(Clock):
    """Time that passes only while somebody sleeps, and then at once."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self.epoch = 1_750_000_000.0
        self.slept: list[float] = []

    def monotonic(self) -> float:
        return self.seconds

    def now(self) -> float:
        return self.epoch + self.seconds

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.seconds += seconds
        await asyncio.sleep(0)


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def access(paths: DataPaths, monkeypatch: pytest.MonkeyPatch) -> None:
    """Settings with which every source can be asked."""
    monkeypatch.setenv("GENREFLOW_CONTACT", "someone@example.org")
    monkeypatch.setenv("GENREFLOW_OMDB_API_KEY", "k3y-0f-0mdb")
    monkeypatch.setenv("GENREFLOW_IMDB_GRAPHQL_HEADERS", '{"x-api-key": "h3ader-s3cret"}')
    settings.cache_clear()


@dataclass
class Campaign:
    """A data folder whose listings lack plots, and a crawl that asks the local server for them."""

    paths: DataPaths
    server: RawServer
    clock: FakeClock

    def lack(self, *ids: str, truncated: tuple[str, ...] = (), whole: tuple[str, ...] = ()) -> None:
        """Write a listing."""
        texts = {
            **dict.fromkeys(ids, "Add a Plot"),
            **dict.fromkeys(truncated, "A mill and its ... See full summary »"),
            **dict.fromkeys(whole, "A miller keeps a secret."),
        }
        rows = "".join(f"{movie_id},Mill,Drama,{text}\n" for movie_id, text in texts.items())
        self.paths.raw.mkdir(parents=True, exist_ok=True)
        listing = "movie_id,movie_name,genre,description\n" + rows
        (self.paths.raw / "drama.csv").write_text(listing, encoding="utf-8")

    def config(self, *sources: str, **choices: object) -> CrawlConfig:
        defaults = {
            "sources": sources or ("omdb",),
            "online": True,
            "accept_imdb_terms": True,
            "base_urls": dict.fromkeys(("omdb", "imdb_graphql", "imdbapi_dev"), self.server.url),
            "workers": 1,
            "deadline_s": 5.0,
        }
        return CrawlConfig.model_validate({**defaults, **choices})

    def run(self, *sources: str, **choices: object) -> CrawlResult:
        return run_crawl(self.paths, self.config(*sources, **choices), clock=self.clock)

    def states(self, source: str = "omdb") -> dict[str, str]:
        with read_journal(self.paths.crawl_journal) as journal:
            return dict(journal.states(source, self.clock.now(), 10_000))

    def plots(self) -> dict[str, str]:
        lines = self.paths.crawl_csv.read_text(encoding="utf-8").splitlines()
        return dict(line.split(",", 1) for line in lines[1:])


@pytest.fixture
def campaign(paths: DataPaths, access: None, server: RawServer, clock: FakeClock) -> Campaign:
    return Campaign(paths, server, clock)
