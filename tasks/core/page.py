"""HTML pages from blocks, and text in Markdown, CSV and HTML: escaped, and safe in a spreadsheet.

A page is one file that does not need a network. Reports, exploration and explanations share templates, stylesheet and
script.
"""

import base64
import hashlib
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import polars as pl
from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape
from markupsafe import Markup
from polars import selectors

from tasks.core.errors import DataError
from tasks.core.schema import DECIMALS
from tasks.stage import recorded_config

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_TEMPLATES: Final = Path(__file__).with_name("templates")
_STYLE: Final = Path(__file__).with_name("page.css")
# Blue raises, orange lowers; in grey print the line below a word (solid, dashed) says which. Ink on the strongest tint
# has a contrast of at least 7 : 1 (WCAG 2.2, success criterion 1.4.6).
_HIGHLIGHT: Final = _TEMPLATES / "highlight.css"
LEAST_SHARE: Final = 0.02  # of the strongest contribution; less is invisible
PAGE_FILES: Final = (_STYLE, *sorted(_TEMPLATES.iterdir()))  # part of the code of a stage that writes a page
INVENTED: Final = (
    "Invented data: all movies of the embedded sample were generated. These results say nothing about real movies."
)
_SIZE: Final = re.compile(rb'<svg [^>]*?\b(width|height)="([\d.]+)pt"[^>]*?\b(?:width|height)="([\d.]+)pt"')
_PX_PER_PT: Final = 96 / 72


class Text(NamedTuple):
    """A paragraph, optionally followed by text with highlighted words."""

    text: str
    highlighted: Markup | None = None


class Bullets(NamedTuple):
    """A plain list; an item with an address is a link."""

    items: Sequence[tuple[str, str]]  # text, address or ""


class Command(NamedTuple):
    """A command to copy."""

    text: str


class Picture(NamedTuple):
    """An SVG with a sentence that says what it shows: a file, or `<name>.svg` in the page's folder of pictures."""

    name: str
    title: str
    sentence: str
    draw: "Callable[[], Figure] | None" = None
    file: Path | None = None
    is_wide: bool = False  # has smaller text than others, so it scrolls sideways earlier
    is_folded: bool = False  # title and sentence are shown, the picture on demand
    links: Sequence[tuple[str, str]] = ()  # text and address of files with the same content


class Cell(NamedTuple):
    """A cell of a table: its text, the value that its column is sorted by, and an address if it is a link."""

    text: str
    key: float | str | None = None
    link: str = ""


class Column(NamedTuple):
    """The head of a column."""

    title: str
    is_number: bool = False


@dataclass(frozen=True)
class Table:
    """A table; cell number `head` of each row is the row's header."""

    name: str
    caption: str
    columns: Sequence[Column]
    rows: Sequence[Sequence[Cell]]
    sentence: str = ""
    is_sortable: bool = False
    is_folded: bool = False
    marked: frozenset[int] = frozenset()  # rows that stand out
    head: int = 0
    is_compact: bool = False  # cells hold numbers and short names, which do not wrap


class Tiles(NamedTuple):
    """The most important numbers, each as title, value and note."""

    tiles: Sequence[tuple[str, str, str]]


class Pair(NamedTuple):
    """Two pictures or tables next to each other; one below the other on a narrow screen."""

    blocks: "Sequence[Picture | Table]"


class Section(NamedTuple):
    """A part of the page, listed in the contents."""

    name: str
    title: str
    blocks: Sequence[Any]


class Page(NamedTuple):
    """The content of a page."""

    title: str
    subtitle: str
    sections: Sequence[Section]
    pictures: Path  # folder of the pictures that name no file
    banner: str = ""  # a warning on top
    footer: str = ""
    has_contents: bool = True


def pictures_in(blocks: Sequence[Any]) -> list[Picture]:
    """Return all pictures among sections or blocks, in order."""
    inner = (pictures_in(block.blocks) if isinstance(block, Section | Pair) else [block] for block in blocks)
    return [block for each in inner for block in each if isinstance(block, Picture)]


def is_invented(raw: Path) -> bool:
    """Return whether a folder of listings holds the embedded sample, by its stage's sidecar."""
    try:
        return bool(recorded_config(raw, "acquire").get("source") == "sample")
    except DataError:
        return False


def render_page(page: Page) -> str:
    """Return a page as HTML, including its pictures."""
    script, style = _read_text(_TEMPLATES / "page.js"), _read_text(_STYLE, _HIGHLIGHT)
    pictures, template = pictures_in(page.sections), _environment().get_template("page.html")
    return template.render(
        page=page,
        images={each.name: _image(each.file or page.pictures / f"{each.name}.svg") for each in pictures},
        style=Markup(style),  # noqa: S704  the project's own
        script=Markup(script),  # noqa: S704  the project's own
        script_hash=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
    )


def render_block(name: str, block: Any) -> str:
    """Return a block as HTML, by the name of its macro, to embed in another page."""
    return str(getattr(_environment().get_template("blocks.html").module, name)(block))


def answer_css() -> str:
    """Return the style of the block `answer`, to embed in pages with another style."""
    return _read_text(_HIGHLIGHT, _TEMPLATES / "answer.css")


def _read_text(*files: Path) -> str:
    return "".join(file.read_text(encoding="utf-8") for file in files)


def fill(file: Path, text: str, **data: object) -> str:
    """Return a macro of a template of plain texts, filled with data; a page escapes it as it shows it."""
    macros = _environment(file.parent).get_template(file.name).module
    return str(getattr(macros, text)(**data)).strip()


@cache
def _environment(folder: Path = _TEMPLATES) -> Environment:
    made = Environment(
        loader=FileSystemLoader(folder),
        autoescape=select_autoescape(["html"]),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters["kind"] = lambda block: type(block).__name__.lower()
    made.filters |= {"number": number, "percent": percent, "counted": counted, "listed": listed}
    return made


def _image(svg: Path) -> tuple[str, int, int]:
    """Return a picture as a data address, with its width and height in CSS pixels."""
    try:
        content = svg.read_bytes()
    except OSError as error:
        raise DataError(f"{svg} cannot be read ({error}); run the stage that draws it again") from error
    size = _SIZE.search(content, 0, 4000)
    if size is None:
        raise DataError(f"{svg}: not an SVG with a size in points; run the stage that draws it again")
    first, second = (round(float(size[group]) * _PX_PER_PT) for group in (2, 3))
    width, height = (first, second) if size[1] == b"width" else (second, first)
    return f"data:image/svg+xml;base64,{base64.b64encode(content).decode('ascii')}", width, height


UNDEFINED: Final = "undefined"


def number(value: float | None, decimals: int = 3) -> str:
    """Write a number, or say that there is none.

    >>> number(1234.5, 0), number(-0.12345), number(None)
    ('1,234', '−0.123', 'undefined')
    """
    return UNDEFINED if value is None or value != value else with_minus(f"{value:,.{decimals}f}")  # noqa: PLR0124  NaN


def with_minus(text: str) -> str:
    """Return a text with the pictures' minus sign in negative numbers, but not in dates and names.

    >>> with_minus("svm-2 of 2026-01-02: -0.05 [-0.06, -0.04]")
    'svm-2 of 2026-01-02: −0.05 [−0.06, −0.04]'
    """
    return re.sub(r"(?<![\w-])-(?=\d)", "\N{MINUS SIGN}", text)


def percent(share: float) -> str:
    """Write a share in per cent, never more than nothing as 0% or less than all as 100%.

    >>> percent(0.931), percent(0.0004), percent(0.0), percent(0.9999)
    ('93%', 'under 1%', '0%', 'over 99%')
    """
    rounded = round(100 * share)
    if share > 0 and rounded == 0:
        return "under 1%"
    return "over 99%" if share < 1 and rounded == 100 else f"{rounded}%"


def counted(count: int, noun: str) -> str:
    """Write a number with its noun.

    >>> counted(1, "movie"), counted(2300, "movie")
    ('1 movie', '2,300 movies')
    """
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def listed(names: Sequence[str], most: int = 6) -> str:
    """Write names as in a sentence.

    >>> listed(["a"]), listed(["a", "b", "c"]), listed(list("abcdefgh"), 3)
    ('a', 'a, b and c', 'a, b, c and 5 more')
    """
    shown = list(names[:most])
    if len(names) > most:
        return f"{', '.join(shown)} and {len(names) - most:,} more"
    return " and ".join([", ".join(shown[:-1]), shown[-1]] if len(shown) > 1 else shown)


def escape_markdown(text: str) -> str:
    r"""Return text on one line that Markdown shows literally.

    >>> escape_markdown("a|b <i>\n*c*")
    'a\\|b &lt;i&gt; \\*c\\*'
    """
    return re.sub(r"([\\|`*_\[\]~])", r"\\\1", escape(" ".join(text.split()), quote=False))


def markdown_table(header: Sequence[str], rows: Sequence[Sequence[str]], n_text_columns: int = 1) -> str:
    """Return a table of cells that are already Markdown; all columns but the first few are aligned to the right."""
    marks = ["---"] * n_text_columns + ["---:"] * (len(header) - n_text_columns)
    return "".join(f"| {' | '.join(line)} |\n" for line in (header, marks, *rows))


# Source: OWASP, CSV Injection. The characters may follow invisible ones; full-width signs start formulas, too.
_FORMULA: Final = re.compile(
    "[\\s\x00-\x1f\x7f-\x9f\u00ad\u200b-\u200f\u2060-\u2064\ufeff]*[-=+@\uff1d\uff0b\uff0d\uff20]|[\t\r\n]"
)


def safe_cell(text: str) -> str:
    """Return text that no spreadsheet evaluates: with an apostrophe in front if it looks like a formula.

    >>> safe_cell("=HYPERLINK(1)"), safe_cell(" @SUM(1)"), safe_cell("Se7en")
    ("'=HYPERLINK(1)", "' @SUM(1)", 'Se7en')
    """
    return f"'{text}" if _FORMULA.match(text) else text


def write_safe_csv(table: pl.DataFrame, path: Path) -> None:
    """Write a table for people: texts by `safe_cell`, quoted for all separators, numbers with `DECIMALS` decimals."""
    safe = table.with_columns(selectors.string().map_elements(safe_cell, return_dtype=pl.String, skip_nulls=True))
    safe.write_csv(path, float_precision=DECIMALS, quote_style="non_numeric")


def highlight_html(text: str, spans: Sequence[tuple[int, int, float]], strongest: float) -> str:
    """Return the text, escaped, with a `<span>` for each visible span, its contribution as title.

    The page needs `highlight.css`. Spans, in any order and without overlap, have start, end and signed contribution;
    from `strongest` on it has the full colour.

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
