"""What can go wrong with a request, by what to do about it. Owns the kinds; none of them reaches the user as an error.

`TransientError` is retried, `GarbledError` once. `GaveUpError`, `GarbledError` and `RejectedError` leave the client
when retrying is over: the ids are noted and the crawl goes on. `StopError` and `BlockedError` end the use of a source.
"""


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
