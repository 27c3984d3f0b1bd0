"""A way to a server on this machine that can be shut and opened, as if the server went away and came back."""

import contextlib
import socket
import threading
from collections.abc import Iterator


class Gate:
    """Passes on what comes to a port of its own; when shut, nobody listens there and what was under way is cut off."""

    def __init__(self, target: str) -> None:
        host, _, port = target.partition(":")
        self.target = (host, int(port))
        with Gate.free_port() as number:
            self.port = number
        self.connections: list[socket.socket] = []
        self.listener: socket.socket | None = None

    @property
    def address(self) -> str:
        """Where it is."""
        return f"http://127.0.0.1:{self.port}"

    @staticmethod
    @contextlib.contextmanager
    def free_port() -> Iterator[int]:
        """A port at which nobody else listens, held until the block ends."""
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            yield probe.getsockname()[1]

    def __enter__(self) -> "Gate":
        """Open it."""
        self.open()
        return self

    def __exit__(self, *_: object) -> None:
        """Shut it."""
        self.shut()

    def open(self) -> None:
        """Let through."""
        self.listener = socket.create_server(("127.0.0.1", self.port))
        threading.Thread(target=self._accept, args=(self.listener,), daemon=True).start()

    def shut(self) -> None:
        """Let nothing through any more."""
        if self.listener is not None:
            with contextlib.suppress(OSError):
                self.listener.shutdown(socket.SHUT_RDWR)  # which wakes whoever waits for a connection
            self.listener.close()
            self.listener = None
        for connection in self.connections:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
            connection.close()
        self.connections.clear()

    def _accept(self, listener: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while True:
                near, _ = listener.accept()
                far = socket.create_connection(self.target)
                self.connections += [near, far]
                for source, sink in ((near, far), (far, near)):
                    threading.Thread(target=_pass_on, args=(source, sink), daemon=True).start()


def _pass_on(source: socket.socket, sink: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(1 << 16):
            sink.sendall(data)
        sink.shutdown(socket.SHUT_WR)
