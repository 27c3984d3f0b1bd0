"""What sections of the page are made of. Owns their form; knows no data and no HTML."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from matplotlib.figure import Figure


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
