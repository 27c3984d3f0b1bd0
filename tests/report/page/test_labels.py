from itertools import combinations

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from tasks.core.figures import new_figure
from tasks.report.page.figures import place_labels


def labelled(points: list[tuple[float, float]], labels: list[str]) -> Figure:
    figure = new_figure(6, 4)
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    axes.set(xlim=(0, 10), ylim=(0, 10))
    place_labels(axes, np.array(points, dtype=np.float64).reshape(-1, 2), labels)
    return figure


def test_labels_of_crowded_points_cover_no_other_label_and_stay_inside() -> None:
    crowded = [(5, 5), (5.3, 5.1), (5.1, 5.5), (5, 4.6), (9.8, 9), (9.9, 8.8), (0.1, 0.1), (2, 9)]
    figure = labelled(crowded, [f"genre number {n}" for n in range(len(crowded))])
    renderer = figure.canvas.get_renderer()  # type: ignore[attr-defined]
    figure.draw(renderer)
    boxes = [text.get_window_extent(renderer) for text in figure.axes[0].texts]
    assert len(boxes) == len(crowded)
    assert not any(one.overlaps(other) for one, other in combinations(boxes, 2))
    frame = figure.axes[0].get_window_extent(renderer)
    assert all(box.x0 >= frame.x0 - 1 and box.x1 <= frame.x1 + 1 for box in boxes)


def test_no_points_have_no_labels_and_the_same_points_are_labelled_alike() -> None:
    assert not labelled([], []).axes[0].texts
    twice = [[text.xyann for text in labelled([(5, 5), (5, 5)], ["a", "b"]).axes[0].texts] for _ in range(2)]
    assert twice[0] == twice[1]
    assert twice[0][0] != twice[0][1]
