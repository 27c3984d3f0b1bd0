"""One question to a source's API and its answer. Owns sending, retries, deadlines, and what each status means.

A request is send, read, parse and validate together: whatever of it fails is judged in one place. What may heal is
retried; a block never is. Secrets are put on below all that logs or raises.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from http import HTTPStatus
from importlib.metadata import version
from typing import Any, Final, TypeVar

import httpx

from tasks.acquire.config import CrawlConfig
from tasks.acquire.crawl.body import ACCEPTED, parse_object, read_body
from tasks.acquire.crawl.clock import Clock
from tasks.acquire.crawl.faults import (
    BlockedError,
    GarbledError,
    GaveUpError,
    RejectedError,
    StopError,
    ThrottledError,
    TransientError,
)
from tasks.acquire.crawl.pacer import Pacer, Turn
from tasks.acquire.crawl.secret_transport import Secrets, SecretTransport
from tasks.acquire.retry_after import parse_retry_after

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
