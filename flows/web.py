"""Web servers on this machine: where they listen, and whom they answer.

A server on loopback is reached by every page that a browser on this machine shows, so `OwnPagesOnly` stands in front of
each one that a command starts.
"""

import logging
import re
import socket
from typing import Final

import uvicorn
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from tasks.core.errors import ConfigError
from tasks.core.settings import settings

logger = logging.getLogger(__name__)

LOOPBACK: Final = ("127.0.0.1", "::1", "localhost")
HOST: Final = re.compile(r"(?:(?P<address>\[[0-9A-Fa-f:.]+\]|\d+(?:\.\d+){3})|(?P<name>[\w.-]+))(?::\d+)?", re.ASCII)
MAX_BODY_BYTES: Final = 64 * 1024**2


class OwnPagesOnly:
    """ASGI middleware that refuses the requests of foreign pages, and bodies that are too long.

    - The name in `Host` must be an address, `localhost`, or in GENREFLOW_ALLOWED_HOSTS (with commas): a page that makes
      its own name resolve to this machine (DNS rebinding) sends that name.
    - `Origin`, which browsers send with every request that can change something and with WebSockets, must be the server
      itself. Programs send none.

    Foreign requests get a 403, longer bodies a 413, and paths that begin with one in `closed` a 404.
    """

    def __init__(self, app: ASGIApp, max_body_bytes: int = MAX_BODY_BYTES, closed: tuple[str, ...] = ()) -> None:
        self.app = app
        self.max_body_bytes = max_body_bytes
        self.closed = closed
        self.names = {"localhost", *settings().allowed_hosts.replace(" ", "").lower().split(",")} - {""}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or pass it on."""
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        status, refused = self._refuse(headers, scope["path"])
        if refused and scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008})  # the HTTP answer is a 403
        elif refused:
            await PlainTextResponse(refused + "\n", status)(scope, receive, send)
        else:
            await self.app(scope, self._limited(receive), send)

    def _refuse(self, headers: Headers, path: str) -> tuple[int, str]:
        host, origin = headers.get("host", ""), headers.get("origin")
        if not self._is_own_name(host):
            return 403, "this server does not answer to that name; GENREFLOW_ALLOWED_HOSTS can allow it"
        if origin is not None and _same(origin.partition("://")[2]) != _same(host):
            return 403, "this server answers only its own pages"
        if path.startswith(self.closed):
            return 404, "this server has no such address"
        if int(headers.get("content-length") or 0) > self.max_body_bytes:
            return 413, f"send at most {self.max_body_bytes:,} bytes at once"
        return 200, ""

    def _is_own_name(self, host: str) -> bool:
        found = HOST.fullmatch(host)
        return found is not None and (found["address"] is not None or found["name"].lower() in self.names)

    def _limited(self, receive: Receive) -> Receive:
        """Count a body that comes without its length."""
        received = 0

        async def limited() -> Message:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            if message["type"] == "http.request" and received > self.max_body_bytes:
                raise HTTPException(413, f"send at most {self.max_body_bytes:,} bytes at once")
            return message

        return limited


def serve(app: ASGIApp, host: str, port: int, what: str) -> None:
    """Answer own pages and programs at an address until Ctrl-C.

    Raises:
        ConfigError: the address cannot be listened on.
    """
    try:
        listener = socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
    except OSError as error:
        raise ConfigError(
            f"cannot listen on {host}, port {port} ({error.strerror}); give another --host or --port"
        ) from error
    if host not in LOOPBACK:
        logger.warning("other machines can reach this server without a password")
    logger.info("%s: http://%s:%s; stop with Ctrl-C", what, f"[{host}]" if ":" in host else host, port)
    try:
        uvicorn.Server(uvicorn.Config(app, log_level="warning")).run(sockets=[listener])
    except KeyboardInterrupt:
        logger.info("stopped")


def _same(netloc: str) -> str:
    """Return a host and port with one spelling for this machine."""
    name, colon, port = netloc.rpartition(":")
    return f"localhost:{port}" if colon and name.strip("[]") in LOOPBACK else netloc
