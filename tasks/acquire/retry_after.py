"""How long a server asks us to wait, out of its Retry-After header. Owns the header's forms; waits for nobody.

Source: RFC 9110, section 10.2.3; seconds with a fraction are seen in the wild and accepted.
"""

import re
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Final

_SECONDS: Final = re.compile(r"\d+(?:\.\d+)?", re.ASCII)


def parse_retry_after(value: str | None, now: datetime) -> float | None:
    """Return the seconds that a header asks for, 0 for a date that is past, or None where it says nothing usable.

    Negative numbers, `nan`, `inf` and any other text say nothing. The number can be as large as the server likes:
    whoever waits sets a limit.

    >>> parse_retry_after("120", datetime.now(UTC))
    120.0
    """
    text = (value or "").strip()
    if _SECONDS.fullmatch(text):
        return float(text)
    try:
        moment = parsedate_to_datetime(text)
        if moment.tzinfo is None:  # "-0000": a time in UTC of unknown origin
            moment = moment.replace(tzinfo=UTC)
        return max(0.0, (moment - now).total_seconds())
    except (ValueError, OverflowError):
        return None
