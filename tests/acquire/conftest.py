import contextlib
import socket
import threading
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

HEADER = "movie_id,movie_name,genre,description\n"
ROW = 'tt0000001,The Lantern,"Drama, War",A nurse keeps a lantern lit.\n'

MakeListings = Callable[..., Path]


@pytest.fixture
def make_folder(tmp_path: Path) -> MakeListings:
    """Make a folder of small listings; each keyword is a stem and what the file holds."""

    def make(folder: str = "mine", **contents: str) -> Path:
        path = tmp_path / folder
        path.mkdir(exist_ok=True)
        for stem, text in (contents or {"action": HEADER + ROW}).items():
            (path / f"{stem}.csv").write_text(text, encoding="utf-8")
        return path

    return make


@pytest.fixture
def make_zip(tmp_path: Path) -> MakeListings:
    """Make an archive from names and contents."""

    def make(contents: dict[str, str], name: str = "archive.zip") -> Path:
        path = tmp_path / name
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            for inside, text in contents.items():
                archive.writestr(inside, text)
        return path

    return make


@dataclass
class Asked:
    """A request as it came over the socket, and the way to answer it byte by byte."""

    path: str
    headers: dict[str, str]
    socket: socket.socket

    def send(self, head: str, body: bytes = b"") -> None:
        self.socket.sendall(head.replace("\n", "\r\n").encode() + b"\r\n\r\n" + body)


class RawServer:
    """A server on this machine that answers each request with the next of some functions; the last one stays."""

    def __init__(self) -> None:
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.answers: list[Callable[[Asked], object]] = []
        self.asked: list[Asked] = []
        self.lock = threading.Lock()
        self.thread = threading.Thread(target=self._listen, daemon=True)
        self.thread.start()

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.listener.getsockname()[1]}"

    def close(self) -> None:
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        self.thread.join(5)

    def _listen(self) -> None:
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with connection, contextlib.suppress(OSError):  # clients go away as they like
            connection.settimeout(10)
            head = b""
            while b"\r\n\r\n" not in head and (chunk := connection.recv(65536)):
                head += chunk
            if not head:
                return
            first, *lines = head.split(b"\r\n\r\n")[0].decode().split("\r\n")
            headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
            request = Asked(first.split(" ")[1], headers, connection)
            with self.lock:
                self.asked.append(request)
                answer = self.answers[min(len(self.asked), len(self.answers)) - 1]
            answer(request)
            connection.shutdown(socket.SHUT_RDWR)


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[RawServer]:
    """A raw server; requests to it go through no proxy."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    raw = RawServer()
    yield raw
    raw.close()


@pytest.fixture(scope="session")
def whole() -> Callable[..., Callable[[Asked], None]]:
    """Answer like a file server that knows ranges: `If-Range` with another validator gives the whole file."""

    def make(content: bytes, etag: str = '"v1"', head: str = "", cut_after: int | None = None) -> Callable:
        def answer(asked: Asked) -> None:
            start, status, extra = 0, "200 OK", ""
            wanted = asked.headers.get("range")
            if wanted and asked.headers.get("if-range", etag) == etag:
                start = int(wanted.removeprefix("bytes=").removesuffix("-"))
                if start >= len(content):
                    asked.send(f"HTTP/1.1 416 No\nContent-Range: bytes */{len(content)}\nContent-Length: 0")
                    return
                status = "206 Partial Content"
                extra = f"\nContent-Range: bytes {start}-{len(content) - 1}/{len(content)}"
            body = content[start:]
            asked.send(
                f"HTTP/1.1 {status}\nContent-Length: {len(body)}\nETag: {etag}{extra}{head}",
                body if cut_after is None else body[:cut_after],
            )

        return answer

    return make
