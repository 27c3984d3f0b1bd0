"""Templates of what an encoder reads: `{title}[ ({year})]. {description}`; brackets go where a value is unknown."""

import re
from collections.abc import Mapping, Sequence
from typing import Final

PLACEHOLDERS: Final = ("title", "description", "decade", "year", "certificate", "runtime", "director", "star")
_PIECE: Final = re.compile(r"\[([^\[\]]*)\]|([^\[\]]+)|([\[\]])")
_PLACEHOLDER: Final = re.compile(r"\{([^{}]*)\}")


def check_template(template: str) -> None:
    """Make sure that a template can be filled.

    Raises:
        ValueError: brackets do not match, a placeholder is unknown, or there is none.
    """
    if any(piece[3] for piece in _PIECE.finditer(template)):
        raise ValueError(f"template {template!r}: square brackets must be in pairs and not within each other")
    names = placeholders(template)
    if unknown := sorted(set(names).difference(PLACEHOLDERS)):
        raise ValueError(
            f"template {template!r}: unknown placeholder {unknown[0]!r}; there are: {', '.join(PLACEHOLDERS)}"
        )
    if not names or re.search(r"[{}]", _PLACEHOLDER.sub("", template)):
        raise ValueError(f"template {template!r} must have placeholders such as {{description}}, braces in pairs")


def placeholders(template: str) -> list[str]:
    """Return the names in a template, in order."""
    return _PLACEHOLDER.findall(template)


def fill_template(template: str, values: Mapping[str, Sequence[str]], n_movies: int) -> list[str]:
    """Return the text of each movie; unknown values are empty strings.

    >>> fill_template("{title}[ ({year})]. {description}", {"title": ["A"], "year": [""], "description": ["B."]}, 1)
    ['A. B.']
    """
    pieces = []
    for optional, always, _ in _PIECE.findall(template):
        split = _PLACEHOLDER.split(optional or always)  # text, name, text, name, ..., text
        pieces.append((bool(optional), split[::2], [values[name] for name in split[1::2]]))
    return ["".join(_fill(piece, row) for piece in pieces) for row in range(n_movies)]


def _fill(piece: tuple[bool, list[str], list[Sequence[str]]], row: int) -> str:
    is_optional, texts, columns = piece
    values = [column[row] for column in columns]
    if is_optional and not all(values):
        return ""
    return texts[0] + "".join(value + text for value, text in zip(values, texts[1:], strict=True))
