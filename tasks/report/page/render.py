"""The sections as one HTML file. Owns template, style and script; everything that comes from data is escaped."""

import base64
import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from tasks.coloured import COLOURED_CSS
from tasks.errors import DataError
from tasks.report.page.blocks import Picture, Section

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
        style=Markup(STYLE.read_text(encoding="utf-8") + COLOURED_CSS),  # noqa: S704  both are the project's own
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
