"""The sections as one HTML file. Owns template, style and script; everything that comes from data is escaped."""

import base64
import hashlib
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Final

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup
from matplotlib.figure import Figure

from tasks.core.errors import DataError
from tasks.core.markup import HIGHLIGHT_CSS


@dataclass(frozen=True)
class Picture:
    """A picture, drawn for the page or a file of another stage, with the sentence that says what to see in it."""

    kind: ClassVar[str] = "picture"

    name: str  # of its files, without ending
    title: str
    sentence: str
    draw: Callable[[], Figure] | None = None
    file: Path | None = None  # SVG
    is_wide: bool = False  # with smaller text than the others, so that it shrinks less before it scrolls sideways


@dataclass(frozen=True)
class Cell:
    """A cell of a table: what is read, and by what its column is sorted."""

    text: str
    key: float | str | None = None


@dataclass(frozen=True)
class Column:
    """The head of a column."""

    title: str
    is_number: bool = False


@dataclass(frozen=True)
class Table:
    """A table; one cell of each row, by default the first, is the row's head."""

    kind: ClassVar[str] = "table"

    name: str
    caption: str
    columns: Sequence[Column]
    rows: Sequence[Sequence[Cell]]
    sentence: str = ""
    is_sortable: bool = False
    is_folded: bool = False  # shown when asked for
    marked: frozenset[int] = frozenset()  # rows that stand out
    head: int = 0  # which cell of a row names it
    is_compact: bool = False  # cells hold figures and short names, which do not wrap


@dataclass(frozen=True)
class Words:
    """A paragraph."""

    kind: ClassVar[str] = "words"

    text: str
    coloured: str | None = None  # HTML, already escaped, that follows the text


@dataclass(frozen=True)
class Tile:
    """One number that matters, with what it is."""

    value: str
    title: str
    note: str = ""


@dataclass(frozen=True)
class Tiles:
    """The numbers that matter most, beside each other."""

    kind: ClassVar[str] = "tiles"

    tiles: Sequence[Tile]


@dataclass(frozen=True)
class Line:
    """What one model says of a movie: its genres in groups, each with its score."""

    model: str
    right: Sequence[tuple[str, str]]
    wrong: Sequence[tuple[str, str]]
    missed: Sequence[tuple[str, str]]


@dataclass(frozen=True)
class Reason:
    """Why a model gave a genre its score: the text with coloured words, and the strongest pieces with their numbers."""

    title: str
    pieces: Sequence[tuple[str, str, bool]]  # text, signed number, whether it speaks for the genre
    coloured: str | None = None  # HTML, already escaped


@dataclass(frozen=True)
class Card:
    """A movie that is shown."""

    title: str
    text: str
    lines: Sequence[Line]
    reasons: Sequence[Reason]
    note: str = ""


@dataclass(frozen=True)
class Cards:
    """Movies that are shown, under a heading and with a sentence."""

    kind: ClassVar[str] = "cards"

    name: str
    title: str
    sentence: str
    cards: Sequence[Card]


@dataclass(frozen=True)
class Section:
    """A part of the page with a place in its table of contents."""

    name: str
    title: str
    blocks: Sequence[Any]

    @property
    def pictures(self) -> list[Picture]:
        """Its pictures, in order."""
        return [block for block in self.blocks if isinstance(block, Picture)]


TEMPLATE: Final = Path(__file__).with_name("page.html")
BLOCKS: Final = Path(__file__).with_name("blocks.html")  # which the template includes
STYLE: Final = Path(__file__).with_name("page.css")
SCRIPT: Final = Path(__file__).with_name("page.js")
_SIZE: Final = re.compile(rb'<svg [^>]*?height="([\d.]+)pt"[^>]*?width="([\d.]+)pt"|'
                          rb'<svg [^>]*?width="([\d.]+)pt"[^>]*?height="([\d.]+)pt"')  # fmt: skip
_PX_PER_PT: Final = 96 / 72


@dataclass(frozen=True)
class Image:
    """A picture inside the page: its content as an address, and its size in CSS pixels."""

    address: str
    width: int
    height: int


def render_page(sections: Sequence[Section], folder: Path, title: str, subtitle: str) -> str:
    """Return the page, with the pictures of `folder` or of their own files inside.

    Raises:
        DataError: a picture's file is missing or no SVG of ours.
    """
    environment = Environment(
        loader=FileSystemLoader(TEMPLATE.parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    script = SCRIPT.read_text(encoding="utf-8")
    images = {
        picture.name: _image(picture.file or folder / f"{picture.name}.svg")
        for section in sections
        for picture in section.pictures
    }
    return environment.get_template(TEMPLATE.name).render(
        title=title,
        subtitle=subtitle,
        sections=sections,
        images=images,
        style=Markup(STYLE.read_text(encoding="utf-8") + HIGHLIGHT_CSS),  # noqa: S704  both are the project's own
        script=Markup(script),  # noqa: S704  the project's own
        script_hash=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
    )


def _image(svg: Path) -> Image:
    try:
        content = svg.read_bytes()
    except OSError as error:
        raise DataError(f"{svg} cannot be read ({error}); run the stage that draws it again") from error
    size = _SIZE.search(content, 0, 4000)
    if size is None:
        raise DataError(f"{svg}: no SVG with a size in points; run the stage that draws it again")
    height, width = (float(size[1]), float(size[2])) if size[1] else (float(size[4]), float(size[3]))
    address = f"data:image/svg+xml;base64,{base64.b64encode(content).decode('ascii')}"
    return Image(address, round(width * _PX_PER_PT), round(height * _PX_PER_PT))


def pictures_of(sections: Sequence[Section]) -> list[Picture]:
    """Return the pictures that are drawn for the page, in its order."""
    return [picture for section in sections for picture in section.pictures if picture.draw is not None]
