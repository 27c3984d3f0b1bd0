"""Log lines: progress, log files, and the removal of secrets."""

import contextlib
import json
import logging
import os
import re
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final
from urllib.parse import unquote

logger = logging.getLogger(__name__)

HIDDEN: Final = "***"
INTERVAL_S: Final = 5.0
OURS: Final = ("flows", "tasks")  # the first parts of our loggers' names
MIN_CHARS: Final = 6  # shorter secrets would hide parts of ordinary text

_UNPRINTABLE: Final = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
_SECRET_NAME: Final = re.compile(r"(?i)(?:PASSWORD|PASSWD|PASSPHRASE|SECRET|TOKEN|KEY|AUTH_STRING|NOTIFY_URL)$")
# On the web a password ends before the first "/"; SQLAlchemy takes "/" and "@" in one, so it ends at the last "@".
_WEB: Final = re.compile(r"(?P<before>https?://[^\s:/@]*):(?P<password>[^\s/?#]*)@", re.IGNORECASE)
_OTHER: Final = re.compile(r"(?P<before>(?:[a-z][\w+.-]*://)?[^\s:/@]*):(?!//)(?P<password>\S*)@", re.IGNORECASE)
_IN_TEXT: Final = re.compile(r"(?P<before>(?<![\w+.-])[\w+.-]++://[^\s:/@]*+):[^\s/@'\"<>]++@", re.IGNORECASE)
_QUERY: Final = re.compile(r"(?P<before>[?&][\w.-]*(?:pass|token|secret|key|signature)[\w.-]*=)[^\s&]+", re.IGNORECASE)
_ONLY_TOKEN: Final = re.compile(r"(?P<scheme>https?://)[^\s:/@'\"<>]+@", re.IGNORECASE)


def without_password(address: str) -> str:
    """Return an address with `***` in place of a password, a token or a signature.

    >>> without_password("postgresql://me:se/cr@t@host/db"), without_password("https://token@host/x?api_key=abc&n=1")
    ('postgresql://me:***@host/db', 'https://***@host/x?api_key=***&n=1')
    """
    found = _with_password(address)
    shown = f"{found['before']}:{HIDDEN}@{address[found.end() :]}" if found else address
    shown = _ONLY_TOKEN.sub(rf"\g<scheme>{HIDDEN}@", shown)
    return _QUERY.sub(rf"\g<before>{HIDDEN}", shown)


def hide_secrets(text: str, environment: Mapping[str, str] = os.environ) -> str:
    """Return a text without the secrets of the environment and without passwords and tokens in addresses.

    Secrets are the values of variables named like a secret, the values of JSON in `..._HEADERS`, and passwords in
    addresses in any variable; of `MIN_CHARS` or more. Those in another form (such as base64) are not recognised.
    """
    for secret in sorted(set(_secrets(environment)), key=len, reverse=True):  # one may be part of another
        text = text.replace(secret, HIDDEN)
    text = _IN_TEXT.sub(rf"\g<before>:{HIDDEN}@", text)
    return _ONLY_TOKEN.sub(rf"\g<scheme>{HIDDEN}@", text)


def printable(text: str) -> str:
    r"""Return a text whose control characters, and those that change its direction, are escaped; lines and tabs stay.

    >>> printable("a\x1b[31m\u202eb")
    'a\\x1b[31m\\u202eb'
    """
    return _UNPRINTABLE.sub(lambda found: found[0].encode("unicode_escape", "surrogatepass").decode(), text)


def hide_in_records() -> None:
    """Have our log records made without secrets, so that no handler sees one: Prefect's sends them to its database."""
    make = logging.getLogRecordFactory()
    if getattr(make, "hides_secrets", False):
        return

    def make_safe(*arguments: Any, **options: Any) -> logging.LogRecord:
        record = make(*arguments, **options)
        if record.name and record.name.split(".")[0] in OURS:  # a record from another process is made without one
            record.msg, record.args = hide_secrets(printable(record.getMessage())), ()
            if record.exc_info:
                record.exc_text = hide_secrets(logging.Formatter().formatException(record.exc_info))
        return record

    vars(make_safe)["hides_secrets"] = True
    logging.setLogRecordFactory(make_safe)


class SafeFormatter(logging.Formatter):
    """Formats log records and their tracebacks without secrets and control characters."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the record's line or lines."""
        return hide_secrets(printable(super().format(record)))


def _secrets(environment: Mapping[str, str]) -> Iterator[str]:
    for name, value in environment.items():
        found: list[str] = []
        if _SECRET_NAME.search(name):
            found += [value, *value.split(":", 1)[1:]]  # the latter of "user:password"
        elif name.upper().endswith("HEADERS"):  # JSON: {"header": "secret"}
            try:
                found += [text for text in dict(json.loads(value)).values() if isinstance(text, str)]
            except (ValueError, TypeError):
                found.append(value)
        if "://" in value and (address := _with_password(value)):
            found.append(address["password"])
        for secret in found:
            yield from (form for form in (secret, unquote(secret)) if len(form) >= MIN_CHARS)


def _with_password(address: str) -> re.Match[str] | None:
    return (_WEB if address[:4].lower() == "http" else _OTHER).match(address)


class LogFile(logging.FileHandler):
    """A log file without secrets that is given up, with one line on stderr, when it can no longer be written."""

    is_broken = False

    def __init__(self, path: str | Path, mode: str = "a") -> None:
        super().__init__(path, mode, encoding="utf-8")
        self.setFormatter(SafeFormatter("%(asctime)s %(levelname)s %(name)s  %(message)s"))

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: ARG002, N802 - logging's signature
        """Report the error once instead of a traceback for every record."""
        if not self.is_broken:
            self.is_broken = True
            sys.stderr.write(f"the log {self.baseFilename} can no longer be written: {sys.exc_info()[1]}\n")

    def close(self) -> None:
        """Close the file; errors were reported."""
        with contextlib.suppress(OSError):
            super().close()


@contextlib.contextmanager
def log_to(path: Path, names: Sequence[str] = ("tasks",), *, all_threads: bool = False) -> Iterator[None]:
    """Also write what this thread, or all of them, logs to a file; models are trained in parallel threads."""
    path.parent.mkdir(parents=True, exist_ok=True)
    thread = threading.get_ident()
    handler = LogFile(path, mode="a" if all_threads else "w")
    handler.addFilter(lambda record: all_threads or record.thread == thread)
    loggers = [logging.getLogger(name) for name in names]
    for ours in loggers:
        ours.addHandler(handler)
    try:
        yield
    finally:
        for ours in loggers:
            ours.removeHandler(handler)
        handler.close()


watchers: "list[Callable[[Progress], None]]" = []  # called at every advance, such as a terminal's progress bar


class Progress:
    """Counts work done, by `advance` and finally `finish`, and logs a line at most every `INTERVAL_S` seconds."""

    def __init__(self, what: str, total: int | None, clock: Callable[[], float] = time.monotonic) -> None:
        self.what, self.total, self.clock = what, total, clock
        self.done, self.is_finished = 0, False
        self.start_s = self.last_s = clock()

    def advance(self, count: int = 1) -> None:
        """Count `count` more pieces as done; log a line if the last one is old enough."""
        self.done += count
        for watch in watchers:
            watch(self)
        now = self.clock()
        if self.is_finished or now - self.last_s >= INTERVAL_S:
            self.last_s = now
            logger.info("%s", self.line())

    def finish(self) -> None:
        """Log the last line."""
        self.is_finished = True
        self.advance(0)

    def line(self) -> str:
        """Return the progress as a line, such as `annotate: 12,000 of 25,389 (47%), 5,900/s, 2 s left`."""
        elapsed_s = max(self.clock() - self.start_s, 1e-9)
        rate = self.done / elapsed_s
        if not self.total:
            return f"{self.what}: {self.done:,}, {rate:,.0f}/s"
        share = f"{self.what}: {self.done:,} of {self.total:,} ({self.done / self.total:.0%}), {rate:,.0f}/s"
        if self.done >= self.total:
            return f"{share}, {elapsed_s:.1f} s"
        return f"{share}, {(self.total - self.done) / rate:,.0f} s left" if rate else share
