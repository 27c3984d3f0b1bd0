"""One question to a source's API and its answer. Owns sending, retries, deadlines, and what each status means.

A request is send, read, parse and validate together: whatever of it fails is judged in one place. What may heal is
retried; a block never is. Secrets are put on below all that logs or raises.
"""

import asyncio
import json
import time
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http import HTTPStatus
from importlib.metadata import version
from typing import Any, Final, NoReturn, TypeVar

import httpx
from pydantic import SecretStr

from tasks.acquire.config import CrawlConfig
from tasks.acquire.download import parse_retry_after
from tasks.core.logs import HIDDEN, MIN_CHARS


class Clock:
    """The real time."""

    def monotonic(self) -> float:
        """Return seconds since some moment; never goes back."""
        return time.monotonic()

    def now(self) -> float:
        """Return seconds since 1970, UTC."""
        return time.time()

    async def sleep(self, seconds: float) -> None:
        """Wait, and let others work meanwhile."""
        await asyncio.sleep(seconds)


# What can go wrong with a request, by what to do about it. Owns the kinds; none of them reaches the user as an error.
#
# `TransientError` is retried, `GarbledError` once. `GaveUpError`, `GarbledError` and `RejectedError` leave the client
# when retrying is over: the ids are noted and the crawl goes on. `StopError` and `BlockedError` end the use of a
# source.


class TransientError(Exception):
    """The request failed in a way that may heal: the same request may succeed later."""


class ThrottledError(TransientError):
    """The source asks to slow down; `wait_s` is for how long, where it says so."""

    def __init__(self, message: str, wait_s: float | None = None) -> None:
        super().__init__(message)
        self.wait_s = wait_s


class GarbledError(Exception):
    """The answer came whole and makes no sense. It may have been garbled on its way, or one of its ids makes it so."""


class RejectedError(Exception):
    """The source refuses this question, as one does that holds a malformed id. Smaller questions may do."""


class GaveUpError(Exception):
    """All retries failed."""


class StopError(Exception):
    """The source must be left alone until `until` (seconds since 1970); none: until somebody starts the crawl again."""

    def __init__(self, message: str, until: float | None = None) -> None:
        super().__init__(message)
        self.until = until


class QuotaSpentError(StopError):
    """Our own count says that the day's requests are used up. Nothing was sent."""


class BlockedError(Exception):
    """The source does not want us: a bad key, a refusal, a challenge, a web page. Never retried, never evaded."""


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


# The body of an answer as a JSON object. Owns the caps on size and depth, and what counts as cut or garbled.
#
# httpx would unpack a body of any size, and takes a cut one for whole, so packed bodies are unpacked here.


MAX_BYTES: Final = 8 << 20  # unpacked; 250 titles with five long plots each reach 2 MiB
ACCEPTED: Final = "gzip"


async def read_body(response: httpx.Response) -> bytes:
    """Return the unpacked body of a streamed response.

    Raises:
        GarbledError: it is larger than `MAX_BYTES`, or packed in a way that was not offered.
        TransientError: it was cut or damaged.
        httpx.TransportError: the connection failed.
    """
    coding = response.headers.get("content-encoding", "identity").strip().lower()
    if coding not in ("identity", "", "gzip", "x-gzip"):
        raise GarbledError(f"the answer is packed as {coding[:20]!r}, which was not offered")
    unpacker = zlib.decompressobj(wbits=31) if "gzip" in coding else None
    body = bytearray()
    async for chunk in response.aiter_raw():
        try:
            body += unpacker.decompress(chunk, MAX_BYTES + 1 - len(body)) if unpacker else chunk
        except zlib.error as error:
            raise TransientError(f"the packed answer is damaged ({error})") from error
        if len(body) > MAX_BYTES:
            raise GarbledError(f"the answer has more than {MAX_BYTES:,} bytes")
    if unpacker and not unpacker.eof:
        raise TransientError("the packed answer was cut")
    return bytes(body)


def parse_object(body: bytes) -> dict[str, Any]:
    """Return the JSON object that a body holds.

    Raises:
        GarbledError: it is no UTF-8, no object, nested too deeply, or holds NaN, infinities or endless numbers.
        TransientError: it is no JSON, as one is that was cut.
    """
    try:
        content = json.loads(body.decode("utf-8-sig"), parse_constant=_refuse_constant)
    except UnicodeDecodeError as error:
        raise GarbledError(f"the answer is no UTF-8 (byte {error.start})") from error
    except json.JSONDecodeError as error:
        raise TransientError(f"the answer is no JSON, or was cut ({error.msg}, character {error.pos})") from error
    except (RecursionError, ValueError) as error:
        raise GarbledError(f"the answer is no JSON that makes sense ({str(error)[:80]})") from error
    if not isinstance(content, dict):
        raise GarbledError(f"the answer is a JSON {type(content).__name__}, not an object")
    return content


def dig(value: object, *keys: str) -> Any:
    """Return what lies under nested keys, or None where a step is not there or is no object."""
    for key in keys:
        value = value.get(key) if isinstance(value, dict) else None
    return value


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON")


# How fast a source is asked. Owns even spacing, the adaptive rate and pauses; knows no request.
#
# One pacer serves all workers of a source: whoever wants to send waits for a turn, and a pause holds all of them. What
# counts is when a request leaves, not when it was allowed to.


# Requests are 3 % further apart than the rate says, and at most 10 ms closer than that where one was late: no second
# sees more of them than the rate, and what is lost to lateness is made up for.
MARGIN: Final = 1.03
CATCH_UP_S: Final = 0.01
SLOWEST: Final = 1 / 64  # of the ceiling
RECOVERY: Final = 0.01  # of the ceiling, a success


class Turn:
    """The right to send one request. Nobody else gets a turn until it is used, or given up."""

    def __init__(self, end: Callable[[], None]) -> None:
        self._end: Callable[[], None] | None = end

    def use(self) -> None:
        """Note that the request leaves now, which is what the next one keeps its distance from; again: nothing."""
        if self._end is not None:
            self._end()
            self._end = None


class Pacer:
    """Gives turns at most `ceiling_hz` times a second: halved when the source complains, recovering step by step."""

    def __init__(self, ceiling_hz: float, clock: Clock) -> None:
        self.ceiling_hz = self.rate_hz = ceiling_hz
        self.clock = clock
        self.paused_until_s = self._next_s = clock.monotonic()
        self._busy = asyncio.Lock()

    async def wait_turn(self) -> Turn:
        """Return when the caller may send."""
        await self._busy.acquire()
        try:
            while (wait_s := max(self._next_s, self.paused_until_s) - self.clock.monotonic()) > 0:
                await self.clock.sleep(wait_s)
        except BaseException:
            self._busy.release()
            raise
        return Turn(self._end_turn)

    def _end_turn(self) -> None:
        grid_s = max(self._next_s, self.clock.monotonic() - CATCH_UP_S)
        self._next_s = grid_s + MARGIN / self.rate_hz
        self._busy.release()

    def back_off(self, pause_s: float) -> None:
        """Give no turn for a while and then half as many. Complaints during a pause are about earlier requests."""
        now_s = self.clock.monotonic()
        if now_s >= self.paused_until_s:
            self.rate_hz = max(self.rate_hz / 2, self.ceiling_hz * SLOWEST)
        self.paused_until_s = max(self.paused_until_s, now_s + pause_s)

    def recover(self) -> None:
        """Note a success: the rate grows a little, up to the ceiling."""
        self.rate_hz = min(self.ceiling_hz, self.rate_hz + self.ceiling_hz * RECOVERY)


class Breaker:
    """Opens after so many failures in a row: the source is down, and asking on only adds to its load."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.failures = 0

    @property
    def is_open(self) -> bool:
        """Whether there were too many failures in a row."""
        return self.failures >= self.limit

    def note(self, *, success: bool) -> None:
        """Count a failure, or forget those before a success. Once open it stays so."""
        if not self.is_open:
            self.failures = 0 if success else self.failures + 1


Answer = TypeVar("Answer")

FIRST_BACKOFF_S: Final = 1.0
LONGEST_BACKOFF_S: Final = 60.0
LONGEST_ABSENCE_S: Final = 86_400.0  # a Retry-After beyond a day is believed for a day
THROTTLED: Final = (429, 503)
MAY_HEAL: Final = (408, 425)  # besides all from 500
ABOUT_THE_QUESTION: Final = (400, 404, 413, 414, 422)
_KNOWN: Final = frozenset(HTTPStatus)


@dataclass(frozen=True)
class Conduct:
    """How to behave towards a source: the rules, whom we say we are, the time, and what counts requests."""

    config: CrawlConfig
    contact: str
    clock: Clock
    spend_request: Callable[[], None]  # raises QuotaSpentError when the day's are used up


class ApiClient:
    """Asks one API, at the pace that it bears.

    Args:
        address: what requests are relative to.
        secrets: put onto each request, below what logs.
        conduct: how to behave.
        explain_refusal: returns what a status from 400 with a JSON object means, or None for the usual.
    """

    def __init__(
        self,
        address: str,
        secrets: Secrets,
        conduct: Conduct,
        explain_refusal: Callable[[dict[str, Any]], Exception | None] = lambda _: None,
    ) -> None:
        self.secrets, self.conduct, self.explain_refusal = secrets, conduct, explain_refusal
        self.pacer = Pacer(conduct.config.rate_hz, conduct.clock)
        agent = f"genreflow/{version('genreflow')} (+{conduct.contact})"
        self.http = httpx.AsyncClient(
            base_url=address,
            headers={"User-Agent": agent, "Accept": "application/json", "Accept-Encoding": ACCEPTED},
            timeout=conduct.config.deadline_s,
            follow_redirects=False,
            transport=SecretTransport(secrets),
        )

    def request(self, method: str, path: str, params: object = None, json: object = None) -> httpx.Request:
        """Return a request that can be sent again and again."""
        return self.http.build_request(method, path, params=params, json=json)  # type: ignore[arg-type]

    async def ask(self, request: httpx.Request, read: Callable[[dict[str, Any]], Answer]) -> Answer:
        """Send a request until it is answered, and return what `read` makes of the JSON object.

        `read` may raise any of the faults, too; they are treated alike.

        Raises:
            GaveUpError: all retries failed.
            GarbledError: two answers made no sense, or one and no retry was left.
            RejectedError: the source refuses this question.
            StopError: the source must be left alone for longer than we wait.
            BlockedError: the source does not want us.
        """
        garbled_before = False
        for attempt in range(self.conduct.config.retries + 1):
            self.conduct.spend_request()
            turn = await self.pacer.wait_turn()
            try:
                answer = read(await self._exchange(request, turn))
            except ThrottledError as fault:
                self._slow_down(fault, attempt)
                last: Exception = fault
            except TransientError as fault:
                last = fault
                if attempt < self.conduct.config.retries:
                    await self.conduct.clock.sleep(_backoff_s(attempt))
            except GarbledError as fault:
                if garbled_before:
                    raise
                garbled_before, last = True, fault
            else:
                self.pacer.recover()
                return answer
            finally:
                turn.use()  # if no connection was made
        if isinstance(last, ThrottledError):
            raise StopError(f"{last}, {self.conduct.config.retries + 1} times in a row") from last
        if isinstance(last, GarbledError):
            raise last
        raise GaveUpError(str(last)) from last

    async def close(self) -> None:
        """Close all connections."""
        await self.http.aclose()

    async def _exchange(self, request: httpx.Request, turn: Turn) -> dict[str, Any]:
        """Send the request once and return the JSON object that it is answered with."""
        deadline_s = self.conduct.config.deadline_s

        async def note(event: str, _: object) -> None:
            if event.endswith("send_request_body.complete"):  # also where there is none; now all of it has left
                turn.use()

        request.extensions = {**request.extensions, "trace": note}
        try:
            async with asyncio.timeout(deadline_s):
                response = await self.http.send(request, stream=True)
                try:
                    return await self._understand(response)
                finally:
                    await response.aclose()
        except TimeoutError as error:
            raise TransientError(f"no whole answer within {deadline_s:g} s") from error
        except httpx.TransportError as error:
            said = self.secrets.scrub(f"{type(error).__name__}: {error}".encode())  # it may quote the server
            raise TransientError(said.decode()) from None

    async def _understand(self, response: httpx.Response) -> dict[str, Any]:
        status = response.status_code
        if status == 200:
            body = b"<" if _is_page(response) else await read_body(response)
            if body.lstrip()[:1] == b"<":
                raise BlockedError("it answers with a web page, not with data")
            return parse_object(self.secrets.scrub(body))
        told = await self._read_refusal(response) if 400 <= status < 500 else None
        raise self._judge_status(response, told)

    async def _read_refusal(self, response: httpx.Response) -> dict[str, Any] | None:
        """Return the JSON object that came with a refusal. The status counts, whatever is wrong with the body."""
        try:
            async with asyncio.timeout(self.conduct.config.deadline_s / 2):
                return parse_object(self.secrets.scrub(await read_body(response)))
        except (TransientError, GarbledError, httpx.TransportError, TimeoutError):
            return None

    def _judge_status(self, response: httpx.Response, told: dict[str, Any] | None) -> Exception:
        """Return what a status other than 200 means. `told` is the JSON object that came with a refusal."""
        status = response.status_code
        said = f"it answers {status} {HTTPStatus(status).phrase if status in _KNOWN else ''}".rstrip()
        if status in THROTTLED:
            now = datetime.fromtimestamp(self.conduct.clock.now(), UTC)
            return ThrottledError(said, parse_retry_after(response.headers.get("retry-after"), now))
        if status >= 500 or status in MAY_HEAL:
            return TransientError(said)
        if 300 <= status < 400:
            return BlockedError(f"{said}, which leads elsewhere; if the API has moved, set its address in base_urls")
        if told is not None and (explained := self.explain_refusal(told)):
            return explained
        if status in ABOUT_THE_QUESTION and not _is_page(response):
            return RejectedError(said)
        return BlockedError(said)

    def _slow_down(self, fault: ThrottledError, attempt: int) -> None:
        """Hold all workers for as long as the source asks, but no longer than we are ready to wait."""
        longest_s, asked_s = self.conduct.config.longest_pause_s, fault.wait_s or 0.0
        if asked_s > longest_s:
            until = self.conduct.clock.now() + min(asked_s, LONGEST_ABSENCE_S)
            raise StopError(f"{fault} and asks to wait for {asked_s:,.0f} s", until) from fault
        self.pacer.back_off(min(max(asked_s, _backoff_s(attempt)), longest_s))


def _is_page(response: httpx.Response) -> bool:
    kind: str = response.headers.get("content-type", "")
    return kind.lower().startswith(("text/html", "application/xhtml"))


def _backoff_s(attempt: int) -> float:
    return min(FIRST_BACKOFF_S * 2.0**attempt, LONGEST_BACKOFF_S)
