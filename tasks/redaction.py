"""Texts without the secrets in them. Owns what counts as one, and what is shown instead; knows no log and no store.

Two ways: an address is shortened where it is known to be one (`without_password`), and whatever is about to be shown or
kept goes through `hide_secrets` as a last net, which knows the secrets in this process's environment. The second cannot
know a secret that is in no variable, nor one in another form (base64, say).
"""

import json
import logging
import os
import re
from collections.abc import Iterator, Mapping
from typing import Final
from urllib.parse import unquote

HIDDEN: Final = "***"
MIN_CHARS: Final = 6  # the letters of a shorter secret are part of every text

_SECRET_NAME: Final = re.compile(
    r"(?:PASSWORD|PASSWD|PASSPHRASE|SECRET|TOKEN|KEY|AUTH_STRING|NOTIFY_URL)$", re.IGNORECASE
)
_HEADERS_NAME: Final = re.compile(r"HEADERS$", re.IGNORECASE)  # JSON: {"header": "secret"}
# On the web a password ends before the first "/"; SQLAlchemy takes "/" and "@" in one, so it ends at the last "@".
_WEB: Final = re.compile(r"(?P<before>https?://[^\s:/@]*):(?P<password>[^\s/?#]*)@", re.IGNORECASE)
_OTHER: Final = re.compile(r"(?P<before>(?:[a-z][\w+.-]*://)?[^\s:/@]*):(?!//)(?P<password>\S*)@", re.IGNORECASE)
_IN_TEXT: Final = re.compile(r"(?P<before>[a-z][\w+.-]*://[^\s:/@]*):[^\s/@'\"<>]+@", re.IGNORECASE)
_QUERY: Final = re.compile(r"(?P<before>[?&][\w.-]*(?:pass|token|secret|key|signature)[\w.-]*=)[^\s&]+", re.IGNORECASE)
_ONLY_TOKEN: Final = re.compile(r"(?P<scheme>https?://)[^\s:/@'\"<>]+@", re.IGNORECASE)


def without_password(address: str) -> str:
    """Return an address as it may be shown and kept: with `***` in place of a password, a token or a signature.

    >>> without_password("postgresql://me:se/cr@t@host/db")
    'postgresql://me:***@host/db'
    >>> without_password("https://token@host/x?api_key=abc&n=1")
    'https://***@host/x?api_key=***&n=1'
    >>> without_password("sqlite:////data/mlflow.db")
    'sqlite:////data/mlflow.db'
    """
    found = _with_password(address)
    shown = f"{found['before']}:{HIDDEN}@{address[found.end() :]}" if found else address
    shown = _ONLY_TOKEN.sub(rf"\g<scheme>{HIDDEN}@", shown)
    return _QUERY.sub(rf"\g<before>{HIDDEN}", shown)


def hide_secrets(text: str, environment: Mapping[str, str] = os.environ) -> str:
    """Return a text without the secrets of the environment and without passwords and tokens in addresses.

    Secrets are the values of variables whose names say so (`..._KEY`, `..._TOKEN`, `..._PASSWORD`, `..._SECRET`,
    `..._AUTH_STRING`, `..._NOTIFY_URL`, and JSON in `..._HEADERS`) and passwords in addresses that any variable holds,
    proxies and databases among them; from six characters on.
    """
    for secret in sorted(set(_secrets(environment)), key=len, reverse=True):  # one may be part of another
        text = text.replace(secret, HIDDEN)
    text = _IN_TEXT.sub(rf"\g<before>:{HIDDEN}@", text)
    return _ONLY_TOKEN.sub(rf"\g<scheme>{HIDDEN}@", text)


class SafeFormatter(logging.Formatter):
    """Formats log records without secrets, their tracebacks included."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the record's line or lines."""
        return hide_secrets(super().format(record))


def _secrets(environment: Mapping[str, str]) -> Iterator[str]:
    for name, value in environment.items():
        found: list[str] = []
        if _SECRET_NAME.search(name):
            found += [value, *value.split(":", 1)[1:]]  # the latter of "user:password"
        elif _HEADERS_NAME.search(name):
            found += _header_values(value)
        if "://" in value and (address := _with_password(value)):
            found.append(address["password"])
        for secret in found:
            yield from (form for form in (secret, unquote(secret)) if len(form) >= MIN_CHARS)


def _with_password(address: str) -> re.Match[str] | None:
    return (_WEB if address[:4].lower() == "http" else _OTHER).match(address)


def _header_values(value: str) -> list[str]:
    try:
        return [text for text in dict(json.loads(value)).values() if isinstance(text, str)]
    except (ValueError, TypeError):
        return [value]
