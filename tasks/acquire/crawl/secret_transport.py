"""Keys and headers that no log, message or file may show. Owns putting them on, below all that logs or raises."""

from dataclasses import dataclass, field

import httpx
from pydantic import SecretStr

from tasks.redaction import HIDDEN, MIN_CHARS


@dataclass(frozen=True)
class Secrets:
    """What goes out with each request and nowhere else."""

    params: dict[str, SecretStr] = field(default_factory=dict)
    headers: dict[str, SecretStr] = field(default_factory=dict)

    def scrub(self, body: bytes) -> bytes:
        """Return what a server said without them, from `MIN_CHARS` on, in case it repeats what it was sent."""
        for secret in (*self.params.values(), *self.headers.values()):
            value = secret.get_secret_value().encode()
            body = body.replace(value, HIDDEN.encode()) if len(value) >= MIN_CHARS else body
        return body


class SecretTransport(httpx.AsyncHTTPTransport):
    """Sends requests with the secrets put on, which neither httpx's log nor its exceptions then know."""

    def __init__(self, secrets: Secrets) -> None:
        super().__init__()
        self.secrets = secrets

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send a copy of the request that has the secrets."""
        params = {name: secret.get_secret_value() for name, secret in self.secrets.params.items()}
        headers = httpx.Headers(request.headers)
        headers.update({name: secret.get_secret_value() for name, secret in self.secrets.headers.items()})
        url = request.url.copy_merge_params(params) if params else request.url
        return await super().handle_async_request(
            httpx.Request(request.method, url, headers=headers, stream=request.stream, extensions=request.extensions)
        )
