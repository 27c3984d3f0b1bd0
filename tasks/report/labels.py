"""Names beside dots in a figure, none over another. Owns where they go; knows nothing of what the dots are.

Places are reckoned in points before anything is drawn: axes must have their final size and scales.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import cos, hypot, pi, sin
from typing import Any, Final

import numpy as np
from matplotlib.axes import Axes
from matplotlib.font_manager import FontProperties
from matplotlib.textpath import TextPath
from numpy.typing import NDArray

from tasks.picture import GREY, INK, drawable

DOT_PT: Final = 5.0
LABEL_PT: Final = 7.5
LONGEST_NAME: Final = 30
POINTS: Final = 72  # in an inch
FAR_PT: Final = 7.0  # farther from its dot a name needs a line to it
FONT: Final = "DejaVu Sans"
MUTED: Final = "#666666"

_DISTANCES: Final = (0.0, 5.0, 11.0, 18.0, 27.0, 38.0, 52.0)  # tried in this order
_DIRECTIONS: Final = 16

Points = NDArray[np.float64]  # (n, 2)


@dataclass(frozen=True)
class Box:
    """A rectangle in points."""

    left: float
    bottom: float
    right: float
    top: float

    @classmethod
    def around(cls, x: float, y: float, width: float, height: float) -> "Box":
        """Return the rectangle of a size around its middle."""
        return cls(x - width / 2, y - height / 2, x + width / 2, y + height / 2)

    def overlaps(self, other: "Box") -> bool:
        """Return whether both share a place."""
        across = self.left < other.right and other.left < self.right
        return across and self.bottom < other.top and other.bottom < self.top

    def holds(self, other: "Box") -> bool:
        """Return whether the other lies inside."""
        across = self.left <= other.left and other.right <= self.right
        return across and self.bottom <= other.bottom and other.top <= self.top


def name_dots(axes: Axes, places: Mapping[str, Points], first: Sequence[str], line: Points) -> list[Box]:
    """Write names beside dots where nothing else is; a name that finds no place is left out.

    Args:
        axes: with their final size and scales.
        places: the dot of each name, (2,), in the axes' data.
        first: the names that matter most, which choose their place first and are bold.
        line: (n, 2), corners of a line that names keep off.

    Returns:
        The rectangles of the names, in points.
    """
    scale = POINTS / axes.figure.dpi
    window = axes.get_window_extent()
    room = Box(*(float(edge) * scale for edge in (window.x0, window.y0, window.x1, window.y1)))
    points = {name: axes.transData.transform(place) * scale for name, place in places.items()}
    taken = [Box.around(x, y, DOT_PT + 1, DOT_PT + 1) for x, y in points.values()]
    taken += [Box.around(x, y, 1, 1) for x, y in _along(axes.transData.transform(line) * scale)]
    written: list[Box] = []
    for name in dict.fromkeys([*first, *places]):
        weight, colour = ("bold", INK) if name in first else ("normal", MUTED)
        label = drawable(name, LONGEST_NAME)
        x, y = points[name]
        for box in _candidates(x, y, *_text_size(label, weight)):
            if room.holds(box) and not any(box.overlaps(other) for other in [*taken, *written]):
                written.append(box)
                look = {"fontsize": LABEL_PT, "fontweight": weight, "color": colour, **_beside(box, x, y)}
                axes.annotate(label, (float(places[name][0]), float(places[name][1])), **look)
                break
    return written


def _candidates(x: float, y: float, width: float, height: float) -> Iterator[Box]:
    """Yield rectangles of a size around a point, the nearest first, to the right before to the left."""
    for distance in _DISTANCES:
        for step in range(_DIRECTIONS):
            turn = (step + 1) // 2 * (-1) ** step * 2 * pi / _DIRECTIONS
            gap = DOT_PT / 2 + 2 + distance
            yield Box.around(x + cos(turn) * (gap + width / 2), y + sin(turn) * (gap + height / 2), width, height)


def _beside(box: Box, x: float, y: float) -> dict[str, Any]:
    """Return how to write a text into a rectangle near a point, with a line to it where both are far apart."""
    distance = hypot(max(box.left - x, x - box.right, 0), max(box.bottom - y, y - box.top, 0))
    line = {"arrowstyle": "-", "color": GREY, "linewidth": 0.6, "shrinkA": 0, "shrinkB": 2}
    return {
        "xytext": ((box.left + box.right) / 2 - x, (box.bottom + box.top) / 2 - y),
        "textcoords": "offset points",
        "ha": "center",
        "va": "center",
        "arrowprops": line if distance > FAR_PT else None,
    }


def _along(line: Points) -> Points:
    """Return points on a line, each nearer to the next than a name is high."""
    parts = [
        np.linspace(start, end, 2 + int(np.abs(end - start).max() / (LABEL_PT / 2))) for start, end in pairwise(line)
    ]
    return np.vstack([line, *parts])


def _text_size(text: str, weight: str) -> tuple[float, float]:
    font = FontProperties(family=FONT, weight=weight)
    extent = TextPath((0, 0), text or " ", size=LABEL_PT, prop=font).get_extents()
    return float(extent.width) + 2, LABEL_PT + 1.5
