"""HTML pages from blocks: one set of templates, stylesheet and script for reports, exploration and explanations.

A page is one file that does not need a network. Everything that comes from data is escaped.
"""

import base64
import hashlib
import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape
from markupsafe import Markup

from tasks.core.errors import DataError
from tasks.core.markup import HIGHLIGHT_CSS

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_TEMPLATES: Final = Path(__file__).with_name("templates")
_STYLE: Final = Path(__file__).with_name("page.css")
PAGE_FILES: Final = (_STYLE, *sorted(_TEMPLATES.iterdir()))  # part of the code of a stage that writes a page
INVENTED: Final = (
    "Invented data: all movies of the embedded sample were generated. These results say nothing about real movies."
)
_SIZE: Final = re.compile(rb'<svg [^>]*?\b(width|height)="([\d.]+)pt"[^>]*?\b(?:width|height)="([\d.]+)pt"')
_PX_PER_PT: Final = 96 / 72


@dataclass(frozen=True)
class Text:
    """A paragraph, optionally followed by text with highlighted words."""

    text: str
    highlighted: Markup | None = None
    is_small: bool = False


@dataclass(frozen=True)
class Bullets:
    """A plain list; an item with an address is a link."""

    items: Sequence[tuple[str, str]]  # text, address or ""


@dataclass(frozen=True)
class Command:
    """A command to copy."""

    text: str


@dataclass(frozen=True)
class Picture:
    """An SVG with a sentence that says what it shows: a file, or `<name>.svg` in the page's folder of pictures."""

    name: str
    title: str
    sentence: str
    draw: "Callable[[], Figure] | None" = None
    file: Path | None = None
    is_wide: bool = False  # has smaller text than others, so it scrolls sideways earlier
    is_folded: bool = False  # title and sentence are shown, the picture on demand
    links: Sequence[tuple[str, str]] = ()  # text and address of files with the same content


@dataclass(frozen=True)
class Cell:
    """A cell of a table: its text, the value that its column is sorted by, and an address if it is a link."""

    text: str
    key: float | str | None = None
    link: str = ""


@dataclass(frozen=True)
class Column:
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


@dataclass(frozen=True)
class Tiles:
    """The most important numbers, each as title, value and note."""

    tiles: Sequence[tuple[str, str, str]]


@dataclass(frozen=True)
class Pair:
    """Two pictures or tables next to each other; one below the other on a narrow screen."""

    sides: "Sequence[Picture | Table]"


@dataclass(frozen=True)
class Section:
    """A part of the page, listed in the contents."""

    name: str
    title: str
    blocks: Sequence[Any]


def pictures_in(blocks: Sequence[Any]) -> list[Picture]:
    """Return all pictures among sections or blocks, in order."""
    found: list[Picture] = []
    for block in blocks:
        if isinstance(block, Section):
            found += pictures_in(block.blocks)
        elif isinstance(block, Pair):
            found += pictures_in(block.sides)
        elif isinstance(block, Picture):
            found.append(block)
    return found


def is_invented(raw: Path) -> bool:
    """Return whether a folder of listings holds the embedded sample, by its stage's sidecar."""
    try:
        sidecar = json.loads((raw / "acquire.stage.json").read_text(encoding="utf-8"))
        return bool(sidecar["config"]["source"] == "sample")
    except (OSError, ValueError, KeyError, TypeError):
        return False


@dataclass(frozen=True)
class Page:
    """The content of a page."""

    title: str
    subtitle: str
    sections: Sequence[Section]
    pictures: Path  # folder of the pictures that name no file
    banner: str = ""  # a warning on top
    footer: str = ""
    has_contents: bool = True


def render_page(page: Page) -> str:
    """Return a page as HTML, including its pictures.

    Raises:
        DataError: a picture's file is missing or not an SVG of ours.
    """
    script = (_TEMPLATES / "page.js").read_text(encoding="utf-8")
    pictures = pictures_in(page.sections)
    return (
        _environment()
        .get_template("page.html")
        .render(
            page=page,
            images={each.name: _image(each.file or page.pictures / f"{each.name}.svg") for each in pictures},
            style=Markup(_STYLE.read_text(encoding="utf-8") + HIGHLIGHT_CSS),  # noqa: S704  the project's own
            script=Markup(script),  # noqa: S704  the project's own
            script_hash=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
        )
    )


def render_block(name: str, block: Any) -> str:
    """Return a block as HTML, by the name of its macro, to embed in another page."""
    return str(getattr(_environment().get_template("blocks.html").module, name)(block))


def answer_css() -> str:
    """Return the style of the block `answer`, to embed in pages with another style."""
    return HIGHLIGHT_CSS + (_TEMPLATES / "answer.css").read_text(encoding="utf-8")


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
