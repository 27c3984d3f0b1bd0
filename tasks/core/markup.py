"""Text in Markdown, CSV and HTML: escaped, safe in a spreadsheet, with words highlighted by their contributions."""

import re
from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import Final

import polars as pl
from polars import selectors

_MARKS: Final = re.compile(r"([\\|`*_\[\]~])")


def escape_markdown(text: str) -> str:
    r"""Return text on one line that Markdown shows literally.

    >>> escape_markdown("a|b <i>\n*c*")
    'a\\|b &lt;i&gt; \\*c\\*'
    """
    return _MARKS.sub(r"\\\1", escape(" ".join(text.split()), quote=False))


def markdown_table(header: Sequence[str], rows: Sequence[Sequence[str]], n_text_columns: int = 1) -> str:
    """Return a table of cells that are already Markdown; all columns but the first few are aligned to the right."""
    marks = ["---"] * n_text_columns + ["---:"] * (len(header) - n_text_columns)
    return "".join(f"| {' | '.join(line)} |\n" for line in (header, marks, *rows))


# Source: OWASP, CSV Injection. The characters may follow invisible ones; full-width signs start formulas, too.
_FORMULA: Final = re.compile(
    "[\\s\x00-\x1f\x7f-\x9f\u00ad\u200b-\u200f\u2060-\u2064\ufeff]*[-=+@\uff1d\uff0b\uff0d\uff20]|[\t\r\n]"
)
DECIMALS: Final = 6


def safe_cell(text: str) -> str:
    """Return text that no spreadsheet evaluates: with an apostrophe in front if it looks like a formula.

    >>> safe_cell("=HYPERLINK(1)"), safe_cell(" @SUM(1)"), safe_cell("Se7en")
    ("'=HYPERLINK(1)", "' @SUM(1)", 'Se7en')
    """
    return f"'{text}" if _FORMULA.match(text) else text


def write_safe_csv(table: pl.DataFrame, path: Path) -> None:
    """Write a table for people: texts by `safe_cell`, quoted for all separators, numbers with `DECIMALS` decimals."""
    texts = selectors.string()
    safe = table.with_columns(texts.map_elements(safe_cell, return_dtype=pl.String, skip_nulls=True))
    safe.write_csv(path, float_precision=DECIMALS, quote_style="non_numeric")


LEAST_SHARE: Final = 0.02  # of the strongest contribution; less is invisible

# Blue raises, orange lowers; in grey print the line below a word (solid, dashed) says which. Ink on the strongest tint
# has a contrast of at least 7 : 1 (WCAG 2.2, success criterion 1.4.6).
HIGHLIGHT_CSS: Final = """
.raises, .lowers { border-radius: .15em; padding: 0 .08em; color: #222;
  -webkit-print-color-adjust: exact; print-color-adjust: exact; }
.raises { background: rgb(0 114 178 / calc(var(--share) * 50%));
  border-bottom: 2px solid rgb(0 78 122 / calc(var(--share) * 100%)); }
.lowers { background: rgb(230 159 0 / calc(var(--share) * 65%));
  border-bottom: 2px dashed rgb(150 84 0 / calc(var(--share) * 100%)); }
"""


def highlight_html(text: str, spans: Sequence[tuple[int, int, float]], strongest: float) -> str:
    """Return the text, escaped, with a `<span>` for each visible span, its contribution as title.

    The page needs `HIGHLIGHT_CSS`. Spans have start, end and signed contribution, in any order. Contributions of
    `strongest` and more have the full colour.

    Raises:
        ValueError: a span is not inside the text, or overlaps another.

    >>> highlight_html("a <ghost>", [(3, 8, 0.5)], 1.0)
    'a &lt;<span class="raises" style="--share:0.50" title="+0.50">ghost</span>&gt;'
    """
    pieces, at = [], 0
    for start, end, contribution in sorted(spans):
        if not at <= start <= end <= len(text):
            raise ValueError(f"span {start} to {end} overlaps another or is not inside the {len(text)} characters")
        piece = escape(text[start:end])
        if (share := share_of(contribution, strongest)) >= LEAST_SHARE:
            name = "raises" if contribution > 0 else "lowers"
            piece = f'<span class="{name}" style="--share:{share:.2f}" title="{signed(contribution)}">{piece}</span>'
        pieces += [escape(text[at:start]), piece]
        at = end
    return "".join([*pieces, escape(text[at:])])


def signed(contribution: float) -> str:
    """Return a contribution with its sign and two decimals.

    >>> signed(0.5), signed(-1), signed(0.001)
    ('+0.50', '−1.00', '0.00')
    """
    return f"{contribution:+.2f}".replace("-", "−").replace("+0.00", "0.00").replace("−0.00", "0.00")


def share_of(contribution: float, strongest: float) -> float:
    """Return the strength of a contribution's colour, from 0 to 1."""
    return min(abs(contribution) / strongest, 1.0) if strongest > 0 else 0.0
