"""Requests to a source's API: pacing, retries, deadlines, and the meaning of each failure.

Sending, reading, parsing and validating are one unit: any failure in it is judged in one place. Failures that may be
temporary are retried; a block never is. Secrets are added below everything that logs or raises.
"""

import asyncio
import json
import time
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.metadata import version
from typing import Any, Final, NoReturn, TypeVar

import httpx
from pydantic import SecretStr

from tasks.acquire.config import CrawlConfig
from tasks.acquire.download import parse_retry_after
from tasks.core.logs import HIDDEN, MIN_CHARS
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


class Clock:
    """The real time."""

    def monotonic(self) -> float:
        """Return seconds since an arbitrary moment; never goes back."""
        return time.monotonic()

    def now(self) -> float:
        """Return seconds since 1970, UTC."""
        return time.time()

    async def sleep(self, seconds: float) -> None:
        """Wait without blocking other coroutines."""
        await asyncio.sleep(seconds)


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


@dataclass(frozen=True)
class Secrets:
    """What is sent with each request and appears nowhere else."""

    params: dict[str, SecretStr] = field(default_factory=dict)
    headers: dict[str, SecretStr] = field(default_factory=dict)

    def scrub(self, body: bytes) -> bytes:
        """Return a response without the secrets of at least `MIN_CHARS`, in case it repeats them."""
        for secret in (*self.params.values(), *self.headers.values()):
            value = secret.get_secret_value().encode()
            body = body.replace(value, HIDDEN.encode()) if len(value) >= MIN_CHARS else body
        return body


class SecretTransport(httpx.AsyncHTTPTransport):
    """Adds the secrets to each request, so that neither httpx's log nor its exceptions contain them."""

    def __init__(self, secrets: Secrets) -> None:
        super().__init__()
        self.secrets = secrets

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send a copy of the request with the secrets."""
        params = {name: secret.get_secret_value() for name, secret in self.secrets.params.items()}
        headers = httpx.Headers(request.headers)
        headers.update({name: secret.get_secret_value() for name, secret in self.secrets.headers.items()})
        url = request.url.copy_merge_params(params) if params else request.url
        return await super().handle_async_request(
            httpx.Request(request.method, url, headers=headers, stream=request.stream, extensions=request.extensions)
        )


async def read_body(response: httpx.Response) -> bytes:
    """Return the unpacked body of a streamed response.

    httpx would unpack a body of any size and accept one that was cut, so gzip is unpacked here.

    Raises:
        GarbledError: it is larger than `MAX_BYTES`, or has an encoding that was not offered.
        TransientError: it was cut or damaged.
        httpx.TransportError: the connection failed.
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
    """Return the JSON object in a body.

    Raises:
        GarbledError: it is not UTF-8, not an object, nested too deeply, or has NaN, infinities or huge numbers.
        TransientError: it is not JSON, perhaps because it was cut.
    """
    try:
        content = json.loads(body.decode("utf-8-sig"), parse_constant=_refuse_constant)
    except UnicodeDecodeError as error:
        raise GarbledError(f"the response is not UTF-8 (byte {error.start})") from error
    except json.JSONDecodeError as error:
        raise TransientError(f"the response is not JSON, or was cut ({error.msg}, character {error.pos})") from error
    except (RecursionError, ValueError) as error:
        raise GarbledError(f"the response is not usable JSON ({str(error)[:80]})") from error
    if not isinstance(content, dict):
        raise GarbledError(f"the response is a JSON {type(content).__name__}, not an object")
    return content


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


class Slot:
    """The right to send one request. No other slot is given until this one is used."""

    def __init__(self, end: Callable[[], None]) -> None:
        self._end: Callable[[], None] | None = end

    def use(self) -> None:
        """Note that the request is sent now; the spacing to the next one starts here. Idempotent."""
        if self._end is not None:
            self._end()
            self._end = None


class Pacer:
    """Gives evenly spaced slots, `ceiling_hz` at most: halved when the source complains, recovering step by step.

    All workers of a source share one pacer, and its pauses. The spacing counts from when a request is sent, not from
    when it was allowed.
    """

    def __init__(self, ceiling_hz: float, clock: Clock) -> None:
        self.ceiling_hz = self.rate_hz = ceiling_hz
        self.clock = clock
        self.paused_until_s = self._next_s = clock.monotonic()
        self._busy = asyncio.Lock()

    async def wait_for_slot(self) -> Slot:
        """Return when the caller may send."""
        await self._busy.acquire()
        try:
            while (wait_s := max(self._next_s, self.paused_until_s) - self.clock.monotonic()) > 0:
                await self.clock.sleep(wait_s)
        except BaseException:
            self._busy.release()
            raise
        return Slot(self._end_slot)

    def _end_slot(self) -> None:
        grid_s = max(self._next_s, self.clock.monotonic() - CATCH_UP_S)
        self._next_s = grid_s + MARGIN / self.rate_hz
        self._busy.release()

    def back_off(self, pause_s: float) -> None:
        """Pause, then halve the rate. Complaints during a pause are about earlier requests and do not halve it."""
        now_s = self.clock.monotonic()
        if now_s >= self.paused_until_s:
            self.rate_hz = max(self.rate_hz / 2, self.ceiling_hz * SLOWEST)
        self.paused_until_s = max(self.paused_until_s, now_s + pause_s)

    def recover(self) -> None:
        """Raise the rate a little after a success, up to the ceiling."""
        self.rate_hz = min(self.ceiling_hz, self.rate_hz + self.ceiling_hz * RECOVERY)


Answer = TypeVar("Answer")


class ApiClient:
    """Sends requests to one API, at a pace that it can bear.

    `secrets` are added to each request, below what logs. `explain_refusal` returns what a status from 400 with a JSON
    object means, or None for the usual meaning.
    """

    def __init__(
        self,
        address: str,
        secrets: Secrets,
        context: SourceContext,
        explain_refusal: Callable[[dict[str, Any]], Exception | None],
    ) -> None:
        self.secrets, self.context, self.explain_refusal = secrets, context, explain_refusal
        self.pacer = Pacer(context.config.rate_hz, context.clock)
        agent = f"genreflow/{version('genreflow')} (+{context.settings.contact})"
        self.http = httpx.AsyncClient(
            base_url=address,
            headers={"User-Agent": agent, "Accept": "application/json", "Accept-Encoding": "gzip"},
            timeout=context.config.deadline_s,
            follow_redirects=False,
            transport=SecretTransport(secrets),
        )

    def request(self, method: str, path: str, params: object = None, json: object = None) -> httpx.Request:
        """Return a request that can be sent repeatedly."""
        return self.http.build_request(method, path, params=params, json=json)  # type: ignore[arg-type]

    async def ask(self, request: httpx.Request, read: Callable[[dict[str, Any]], Answer]) -> Answer:
        """Send a request until it is answered, and return the result of `read` for the JSON object.

        Errors of this module that `read` raises count as failures of the request.

        Raises:
            TransientError: all retries failed.
            GarbledError: two responses made no sense, or one did and no retry was left.
            RejectedError: the source refuses this query.
            StopError: the source requires a longer pause than we wait.
            BlockedError: the source refuses access.
        """
        garbled_before = False
        retries = self.context.config.retries
        for attempt in range(retries + 1):
            self.context.spend_request()
            slot = await self.pacer.wait_for_slot()
            try:
                answer = read(await self._send_once(request, slot))
            except ThrottledError as error:
                self._slow_down(error, attempt)
                last: Exception = error
            except TransientError as error:
                last = error
                if attempt < retries:
                    await self.context.clock.sleep(_backoff_s(attempt))
            except GarbledError as error:
                if garbled_before:
                    raise
                garbled_before, last = True, error
            else:
                self.pacer.recover()
                return answer
            finally:
                slot.use()  # if no connection was made
        if isinstance(last, ThrottledError):
            raise StopError(f"{last}, {retries + 1} times in a row") from last
        raise last

    async def _send_once(self, request: httpx.Request, slot: Slot) -> dict[str, Any]:
        """Send the request once and return the JSON object of the response."""
        deadline_s = self.context.config.deadline_s

        async def note(event: str, _: object) -> None:
            if event.endswith("send_request_body.complete"):  # also without a body; now all of it has left
                slot.use()

        request.extensions = {**request.extensions, "trace": note}
        try:
            async with asyncio.timeout(deadline_s):
                response = await self.http.send(request, stream=True)
                try:
                    return await self._read_response(response)
                finally:
                    await response.aclose()
        except TimeoutError as error:
            raise TransientError(f"no complete response within {deadline_s:g} s") from error
        except httpx.TransportError as error:
            message = self.secrets.scrub(f"{type(error).__name__}: {error}".encode())  # it may quote the server
            raise TransientError(message.decode()) from None

    async def _read_response(self, response: httpx.Response) -> dict[str, Any]:
        status = response.status_code
        if status == 200:
            body = b"<" if _is_page(response) else await read_body(response)
            if body.lstrip()[:1] == b"<":
                raise BlockedError("it responded with a web page, not with data")
            return parse_object(self.secrets.scrub(body))
        raise self._judge_status(response, await self._read_refusal(response) if 400 <= status < 500 else None)

    async def _read_refusal(self, response: httpx.Response) -> dict[str, Any] | None:
        """Return the JSON object of a refusal, if any. The status counts even if the body is damaged."""
        try:
            async with asyncio.timeout(self.context.config.deadline_s / 2):
                return parse_object(self.secrets.scrub(await read_body(response)))
        except (TransientError, GarbledError, httpx.TransportError, TimeoutError):
            return None

    def _judge_status(self, response: httpx.Response, refusal: dict[str, Any] | None) -> Exception:
        """Return what a status other than 200 means; `refusal` is its JSON object."""
        status = response.status_code
        message = f"it responded with {status} {httpx.codes.get_reason_phrase(status)}".rstrip()
        if status in THROTTLED:
            now = datetime.fromtimestamp(self.context.clock.now(), UTC)
            return ThrottledError(message, parse_retry_after(response.headers.get("retry-after"), now))
        if status >= 500 or status in TEMPORARY:
            return TransientError(message)
        if 300 <= status < 400:
            return BlockedError(f"{message}, a redirect; if the API has moved, set its address in crawl.base_urls")
        if refusal is not None and (explained := self.explain_refusal(refusal)):
            return explained
        if status in ABOUT_THE_QUERY and not _is_page(response):
            return RejectedError(message)
        return BlockedError(message)

    def _slow_down(self, error: ThrottledError, attempt: int) -> None:
        """Hold all workers for as long as the source asks, but no longer than the configured pause."""
        longest_s, asked_s = self.context.config.longest_pause_s, error.wait_s or 0.0
        if asked_s > longest_s:
            until = self.context.clock.now() + min(asked_s, LONGEST_ABSENCE_S)
            raise StopError(f"{error} and asks to wait for {asked_s:,.0f} s", until) from error
        self.pacer.back_off(min(max(asked_s, _backoff_s(attempt)), longest_s))


def _is_page(response: httpx.Response) -> bool:
    kind: str = response.headers.get("content-type", "")
    return kind.lower().startswith(("text/html", "application/xhtml"))


def _backoff_s(attempt: int) -> float:
    return min(FIRST_BACKOFF_S * 2.0**attempt, LONGEST_BACKOFF_S)
