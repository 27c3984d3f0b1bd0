"""Requests to a source's API: pacing, retries, deadlines, and the meaning of each failure.

Sending, reading, parsing and validating are one unit: any failure in it is judged in one place. Failures that may be
temporary are retried; a block never is. Secrets are added below everything that logs or raises.
"""

import asyncio
import contextlib
import json
import time
import zlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.metadata import version
from typing import Any, ClassVar, Final, NoReturn

import httpx
from pydantic import SecretStr

from tasks.acquire.config import CrawlConfig
from tasks.acquire.crawl.journal import Answer
from tasks.acquire.download import parse_retry_after
from tasks.core.logs import HIDDEN, MIN_CHARS
from tasks.core.schema import MovieId
from tasks.core.settings import DataPaths, Settings

MAX_BYTES: Final = 8 << 20  # unpacked; 250 titles with five long plots each reach 2 MiB
# Requests are 3% further apart than the rate requires, and at most 10 ms closer than that after a late one: no second
# has more requests than the rate, and lost time is made up.
MARGIN: Final = 1.03
CATCH_UP_S: Final = 0.01
SLOWEST: Final = 1 / 64  # of the ceiling
RECOVERY: Final = 0.01  # of the ceiling, per success
FIRST_BACKOFF_S: Final = 1.0
LONGEST_BACKOFF_S: Final = 60.0
LONGEST_ABSENCE_S: Final = 86_400.0  # a longer Retry-After counts as one day
THROTTLED: Final = (429, 503)
TEMPORARY: Final = (408, 425)  # in addition to 500 and above
ABOUT_THE_QUERY: Final = (400, 404, 413, 414, 422)
Ids = Sequence[MovieId]
Answers = dict[MovieId, Answer]


class Clock:
    """The real time: seconds that never go back; seconds since 1970, UTC; and waiting."""

    monotonic = staticmethod(time.monotonic)
    now = staticmethod(time.time)
    sleep = staticmethod(asyncio.sleep)


class TransientError(Exception):
    """The request failed in a way that may be temporary: it is retried."""


class ThrottledError(TransientError):
    """The source asks to slow down, for `wait_s` if given."""

    def __init__(self, message: str, wait_s: float | None = None) -> None:
        super().__init__(message)
        self.wait_s = wait_s


class GarbledError(Exception):
    """A complete response makes no sense: damaged in transit, or because of one of its ids. It is retried once."""


class RejectedError(Exception):
    """The source refuses this query, such as one with a malformed id. Smaller queries may work."""


class StopError(Exception):
    """The source must not be used until `until` (seconds since 1970), or until the crawl is started again."""

    def __init__(self, message: str, until: float | None = None) -> None:
        super().__init__(message)
        self.until = until


class QuotaSpentError(StopError):
    """By our own count the day's requests are used up. Nothing was sent."""


class BlockedError(Exception):
    """The source refuses access: a bad key, a refusal, a challenge, a web page. Never retried, never evaded."""


@dataclass(frozen=True)
class SourceContext:
    """The context of a source. `spend_request` is called before each request; raises QuotaSpentError at the quota."""

    config: CrawlConfig
    settings: Settings
    paths: DataPaths
    clock: Clock = field(default_factory=Clock)
    spend_request: Callable[[], None] = lambda: None


class SecretTransport(httpx.AsyncHTTPTransport):
    """Adds secrets to each request, so that neither httpx's log nor its exceptions contain them."""

    def __init__(self, params: Mapping[str, SecretStr] | None = None, headers: Mapping[str, SecretStr] | None = None):
        super().__init__()
        self.params = {name: secret.get_secret_value() for name, secret in (params or {}).items()}
        self.headers = {name: secret.get_secret_value() for name, secret in (headers or {}).items()}

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send a copy of the request with the secrets."""
        url = request.url.copy_merge_params(self.params) if self.params else request.url
        headers = httpx.Headers(request.headers)
        headers.update(self.headers)
        copy = httpx.Request(request.method, url, headers=headers, stream=request.stream, extensions=request.extensions)
        return await super().handle_async_request(copy)

    def scrub(self, body: bytes) -> bytes:
        """Return a response without the secrets of at least `MIN_CHARS`, in case it repeats them."""
        for secret in (*self.params.values(), *self.headers.values()):
            body = body.replace(secret.encode(), HIDDEN.encode()) if len(secret.encode()) >= MIN_CHARS else body
        return body


async def read_body(response: httpx.Response) -> bytes:
    """Return the unpacked body of a streamed response; raise TransientError if it was cut, GarbledError if it is odd.

    httpx would unpack a body of any size and accept one that was cut, so gzip is unpacked here.
    """
    coding = response.headers.get("content-encoding", "identity").strip().lower()
    if coding not in ("identity", "", "gzip", "x-gzip"):
        raise GarbledError(f"the response is packed as {coding[:20]!r}, which was not offered")
    unpacker = zlib.decompressobj(wbits=31) if "gzip" in coding else None
    body = bytearray()
    async for chunk in response.aiter_raw():
        try:
            body += unpacker.decompress(chunk, MAX_BYTES + 1 - len(body)) if unpacker else chunk
        except zlib.error as error:
            raise TransientError(f"the packed response is damaged ({error})") from error
        if len(body) > MAX_BYTES:
            raise GarbledError(f"the response has more than {MAX_BYTES:,} bytes")
    if unpacker and not unpacker.eof:
        raise TransientError("the packed response was cut")
    return bytes(body)


def parse_object(body: bytes) -> dict[str, Any]:
    """Return the JSON object in a body; raise TransientError if it is not JSON, GarbledError if it is unusable."""

    def refuse(constant: str) -> NoReturn:
        raise ValueError(f"{constant} is not JSON")

    try:
        content = json.loads(body.decode("utf-8-sig"), parse_constant=refuse)
    except UnicodeDecodeError as error:
        raise GarbledError(f"the response is not UTF-8 (byte {error.start})") from error
    except json.JSONDecodeError as error:
        raise TransientError(f"the response is not JSON, or was cut ({error.msg}, character {error.pos})") from error
    except (RecursionError, ValueError) as error:
        raise GarbledError(f"the response is not usable JSON ({str(error)[:80]})") from error
    if not isinstance(content, dict):
        raise GarbledError(f"the response is a JSON {type(content).__name__}, not an object")
    return content


class Pacer:
    """Gives evenly spaced slots, `ceiling_hz` at most: halved when the source complains, recovering step by step.

    All workers of a source share one pacer. The spacing counts from when a request is sent, not from when it may be.
    """

    def __init__(self, ceiling_hz: float, clock: Clock) -> None:
        self.ceiling_hz = self.rate_hz = ceiling_hz
        self.clock = clock
        self.paused_until_s = self._next_s = clock.monotonic()
        self._busy = asyncio.Lock()

    async def wait_for_slot(self) -> contextlib.ExitStack:
        """Return when the caller may send; it closes the slot when that is done, and until then nobody else may."""
        await self._busy.acquire()
        with contextlib.ExitStack() as slot:
            slot.callback(self._busy.release)
            while (wait_s := max(self._next_s, self.paused_until_s) - self.clock.monotonic()) > 0:
                await self.clock.sleep(wait_s)
            slot.callback(self._space_out)
            return slot.pop_all()

    def _space_out(self) -> None:
        self._next_s = max(self._next_s, self.clock.monotonic() - CATCH_UP_S) + MARGIN / self.rate_hz

    def back_off(self, pause_s: float) -> None:
        """Pause, then halve the rate. Complaints during a pause are about earlier requests and do not halve it."""
        now_s = self.clock.monotonic()
        if now_s >= self.paused_until_s:
            self.rate_hz = max(self.rate_hz / 2, self.ceiling_hz * SLOWEST)
        self.paused_until_s = max(self.paused_until_s, now_s + pause_s)

    def recover(self) -> None:
        """Raise the rate a little after a success, up to the ceiling."""
        self.rate_hz = min(self.ceiling_hz, self.rate_hz + self.ceiling_hz * RECOVERY)


class PlotSource(ABC):
    """Returns plots by id, up to `largest_batch` ids at a time."""

    name: ClassVar[str]
    largest_batch: ClassVar[int]
    is_local: ClassVar[bool] = False  # sends nothing: needs no consent, pace or quota, and is read each time

    def __init__(self, context: SourceContext) -> None:
        self.context = context

    @classmethod
    def batch_size(cls, config: CrawlConfig) -> int:
        """Return the number of ids per request."""
        return min(config.batch_size or cls.largest_batch, cls.largest_batch)

    @classmethod
    def find_obstacle(cls, context: SourceContext) -> str | None:  # noqa: ARG003 - for sources that have one
        """Return what this source lacks, or None; raise ConfigError if it may not be left out in silence."""
        return None

    @abstractmethod
    async def fetch(self, ids: Ids) -> Answers:
        """Return an answer for each of the ids, or raise as `ApiSource.ask`."""

    async def aclose(self) -> None:  # noqa: B027 - local sources have none
        """Close all connections."""


class ApiSource(PlotSource):
    """A source on the network, which is asked at a pace that it can bear."""

    base_url: ClassVar[str]

    def __init__(self, context: SourceContext, transport: SecretTransport | None = None) -> None:
        super().__init__(context)
        self.pacer = Pacer(context.config.rate_hz, context.clock)
        self.transport = transport or SecretTransport()
        agent = f"genreflow/{version('genreflow')} (+{context.settings.contact})"
        self.http = httpx.AsyncClient(
            base_url=context.config.base_urls.get(self.name, self.base_url),
            headers={"User-Agent": agent, "Accept": "application/json", "Accept-Encoding": "gzip"},
            timeout=context.config.deadline_s,
            follow_redirects=False,
            transport=self.transport,
        )

    def explain_refusal(self, content: dict[str, Any]) -> Exception | None:  # noqa: ARG002 - for sources that explain
        """Return what a status from 400 with a JSON object means; None: the usual meaning of the status."""
        return None

    async def aclose(self) -> None:
        """Close all connections."""
        await self.http.aclose()

    async def ask(self, read: Callable[[dict[str, Any]], Answers], method: str, path: str, **content: Any) -> Answers:
        """Send a request with `params` or `json` until it is answered; return what `read` makes of the JSON object.

        Errors of this module that `read` raises count as failures of the request.

        Raises:
            TransientError: all retries failed.
            GarbledError, RejectedError: one of the ids may be the reason; smaller batches show which.
            StopError, BlockedError: the source requires a longer pause than we wait, or refuses access.
        """
        request = self.http.build_request(method, path, **content)
        was_garbled, last = False, Exception("no attempt")
        retries = self.context.config.retries
        for attempt in range(retries + 1):
            backoff_s = min(FIRST_BACKOFF_S * 2.0**attempt, LONGEST_BACKOFF_S)
            self.context.spend_request()
            with await self.pacer.wait_for_slot() as slot:
                try:
                    answers = read(await self._send_once(request, slot.close))
                except ThrottledError as error:
                    self._slow_down(error, backoff_s)
                    last = error
                except TransientError as error:
                    last = error
                    if attempt < retries:
                        await self.context.clock.sleep(backoff_s)
                except GarbledError as error:
                    if was_garbled:
                        raise
                    was_garbled, last = True, error
                else:
                    self.pacer.recover()
                    return answers
        if isinstance(last, ThrottledError):
            raise StopError(f"{last}, {retries + 1} times in a row") from last
        raise last

    async def _send_once(self, request: httpx.Request, note_sent: Callable[[], None]) -> dict[str, Any]:
        deadline_s = self.context.config.deadline_s

        async def note(event: str, _: object) -> None:
            if event.endswith("send_request_body.complete"):  # also without a body; now all of it has left
                note_sent()

        request.extensions = {**request.extensions, "trace": note}
        try:
            async with asyncio.timeout(deadline_s):
                response = await self.http.send(request, stream=True)
                async with contextlib.aclosing(response):
                    return await self._read_response(response)
        except TimeoutError as error:
            raise TransientError(f"no complete response within {deadline_s:g} s") from error
        except httpx.TransportError as error:
            message = self.transport.scrub(f"{type(error).__name__}: {error}".encode())  # it may quote the server
            raise TransientError(message.decode()) from None

    async def _read_response(self, response: httpx.Response) -> dict[str, Any]:
        status = response.status_code
        is_page = response.headers.get("content-type", "").lower().startswith(("text/html", "application/xhtml"))
        if status == 200:
            body = b"<" if is_page else await read_body(response)
            if body.lstrip()[:1] == b"<":
                raise BlockedError("it responded with a web page, not with data")
            return parse_object(self.transport.scrub(body))
        message = f"it responded with {status} {httpx.codes.get_reason_phrase(status)}".rstrip()
        if status in THROTTLED:
            now = datetime.fromtimestamp(self.context.clock.now(), UTC)
            raise ThrottledError(message, parse_retry_after(response.headers.get("retry-after"), now))
        if status >= 500 or status in TEMPORARY:
            raise TransientError(message)
        if 300 <= status < 400:
            raise BlockedError(f"{message}, a redirect; if the API has moved, set its address in crawl.base_urls")
        if status >= 400 and (explained := await self._explain(response)):
            raise explained
        raise RejectedError(message) if status in ABOUT_THE_QUERY and not is_page else BlockedError(message)

    async def _explain(self, response: httpx.Response) -> Exception | None:
        """Return what the JSON object of a refusal means. The status counts if the body is damaged."""
        try:
            async with asyncio.timeout(self.context.config.deadline_s / 2):
                return self.explain_refusal(parse_object(self.transport.scrub(await read_body(response))))
        except (TransientError, GarbledError, httpx.TransportError, TimeoutError):
            return None

    def _slow_down(self, error: ThrottledError, backoff_s: float) -> None:
        """Hold all workers for as long as the source asks, but no longer than the configured pause."""
        longest_s, asked_s = self.context.config.longest_pause_s, error.wait_s or 0.0
        if asked_s > longest_s:
            until = self.context.clock.now() + min(asked_s, LONGEST_ABSENCE_S)
            raise StopError(f"{error} and asks to wait for {asked_s:,.0f} s", until) from error
        self.pacer.back_off(min(max(asked_s, backoff_s), longest_s))
