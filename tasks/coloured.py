"""Text with coloured words as HTML. Owns escaping and colours; knows no model."""

from collections.abc import Sequence
from html import escape
from typing import Final

COLOURED_CSS: Final = """
.for { background: rgba(0, 114, 178, var(--strength)); }
.against { background: rgba(230, 159, 0, var(--strength)); }
"""


def coloured_html(text: str, spans: Sequence[tuple[int, int, float]], strongest: float) -> str:
    """Return escaped text in which each span is coloured by its sign and by its share of the strongest value."""
    parts, end = [], 0
    for start, stop, value in sorted(spans):
        if start < end or stop > len(text) or not value:
            continue
        kind = "for" if value > 0 else "against"
        strength = 0.55 * min(abs(value) / strongest, 1) if strongest else 0
        word = escape(text[start:stop])
        parts.append(escape(text[end:start]))
        parts.append(f'<span class="{kind}" style="--strength:{strength:.2f}" title="{value:+.2f}">{word}</span>')
        end = stop
    return "".join([*parts, escape(text[end:])])
