"""What is wrong with given choices, in words. Owns the wording of pydantic's findings for people."""

import re
from typing import Final

from pydantic import ValidationError

# What pydantic puts into the path of a value that no user wrote: kinds of a union, validators, classes.
_INTERNAL: Final = re.compile(r"\[|^constrained-|Spec$|^(float|int|str|bool|none|path)$")
_LONGEST_VALUE: Final = 60

WORDS: Final = {"extra_forbidden": "there is no such option", "missing": "has to be given"}  # by kind of finding


def mistakes(error: ValidationError) -> list[str]:
    """Return a line for each value that cannot be: its dotted path, what is expected, and what was given.

    Where a value can be of several kinds, what each expects is told in one line.
    """
    expected: dict[str, list[str]] = {}
    given: dict[str, str] = {}
    for found in error.errors():
        path = ".".join(str(part) for part in found["loc"] if not _INTERNAL.search(str(part)))
        said = found["msg"].removeprefix("Value error, ").removeprefix("Assertion failed, ")
        message = WORDS.get(found["type"], said)
        expected.setdefault(path, []).append(message[:1].lower() + message[1:] if path else message)
        value = repr(found["input"])
        is_told = found["type"] in {"missing", "value_error", "extra_forbidden"} or len(value) > _LONGEST_VALUE
        given[path] = "" if is_told else f", not {value}"
    return [
        f"{path}{': ' if path else ''}{' or '.join(dict.fromkeys(messages))}{given[path]}"
        for path, messages in expected.items()
    ]
