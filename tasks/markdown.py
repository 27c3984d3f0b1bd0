"""Tables in Markdown. Owns their form, and that no name in them is read as markup."""

import html
import re
from collections.abc import Sequence
from typing import Final

_MARKS: Final = re.compile(r"([\\|`*_\[\]~])")


def escape(text: str) -> str:
    r"""Return text that Markdown shows as it is, on one line.

    >>> escape("a|b <i>\n*c*")
    'a\\|b &lt;i&gt; \\*c\\*'
    """
    return _MARKS.sub(r"\\\1", html.escape(" ".join(text.split()), quote=False))


def table(header: Sequence[str], rows: Sequence[Sequence[str]], n_text_columns: int = 1) -> str:
    """Return a table of cells that are Markdown already; all columns but the first few are aligned to the right."""
    marks = ["---"] * n_text_columns + ["---:"] * (len(header) - n_text_columns)
    return "".join(f"| {' | '.join(line)} |\n" for line in (header, marks, *rows))
