"""Names beside the points of a picture, none over another. Owns the placing; draws no point."""

from collections.abc import Sequence
from typing import Final

import numpy as np
from matplotlib.axes import Axes
from matplotlib.font_manager import FontProperties
from matplotlib.textpath import TextPath
from numpy.typing import NDArray

SIZE_PT: Final = 8.5
# Places to try, the best first: sideways and upwards from the point in points, and how the text lies to it.
_PLACES: Final = (
    (6, 0, "left", "center"),
    (-6, 0, "right", "center"),
    (0, 6, "center", "bottom"),
    (0, -6, "center", "top"),
    (5, 5, "left", "bottom"),
    (5, -5, "left", "top"),
    (-5, 5, "right", "bottom"),
    (-5, -5, "right", "top"),
    (5, 14, "left", "bottom"),
    (5, -14, "left", "top"),
    (-5, 14, "right", "bottom"),
    (-5, -14, "right", "top"),
)
_SHIFT: Final = {"left": 0.0, "center": 0.5, "right": 1.0, "bottom": 0.0, "top": 1.0}


def place_labels(axes: Axes, points: NDArray[np.float64], labels: Sequence[str]) -> None:
    """Write a label beside each point where it covers least of other labels and points.

    The axes' limits and scales must be final. Greedy, from the most crowded part of the picture on; what lies free of
    all others is taken at once.

    Args:
        axes: where the points are.
        points: (n, 2), in the units of the axes.
        labels: of the points.
    """
    if not len(points):
        return
    figure = axes.get_figure(root=True)
    assert figure is not None
    figure.draw_without_rendering()  # the layout decides how far apart points are
    to_points = 72 / figure.dpi
    at = axes.transData.transform(points) * to_points
    frame = np.array(axes.get_window_extent().extents) * to_points
    font = FontProperties(family="DejaVu Sans", size=SIZE_PT)
    widths = [TextPath((0, 0), label, prop=font).get_extents().width if label.strip() else 0.0 for label in labels]
    taken = [np.array([x - 3, y - 3, x + 3, y + 3]) for x, y in at]
    crowd = [-np.sum(np.abs(at - point).max(axis=1) < 40) for point in at]
    for index in np.argsort(crowd, kind="stable"):
        boxes = [_box(at[index], place, widths[index]) for place in _PLACES]
        costs = [_covered(box, taken, int(index)) + _outside(box, frame) + rank / 100 for rank, box in enumerate(boxes)]
        best = int(np.argmin(costs))
        taken.append(boxes[best])
        right, up, across, along = _PLACES[best]
        axes.annotate(
            labels[index],
            points[index],
            xytext=(right, up),
            textcoords="offset points",
            ha=across,
            va=along,
            fontsize=SIZE_PT,
            in_layout=False,
        )


def _box(point: NDArray[np.float64], place: tuple[int, int, str, str], width: float) -> NDArray[np.float64]:
    right, up, across, along = place
    left = point[0] + right - _SHIFT[across] * width
    bottom = point[1] + up - _SHIFT[along] * SIZE_PT
    return np.array([left - 1, bottom - 1, left + width + 1, bottom + SIZE_PT + 1])


def _covered(box: NDArray[np.float64], taken: Sequence[NDArray[np.float64]], own: int) -> float:
    others = np.array([other for index, other in enumerate(taken) if index != own])
    if not len(others):
        return 0.0
    sides = np.minimum(box[2:], others[:, 2:]) - np.maximum(box[:2], others[:, :2])
    return float(np.prod(np.maximum(sides, 0), axis=1).sum())


def _outside(box: NDArray[np.float64], frame: NDArray[np.float64]) -> float:
    return 100.0 * float(np.maximum(frame[:2] - box[:2], 0).sum() + np.maximum(box[2:] - frame[2:], 0).sum())
