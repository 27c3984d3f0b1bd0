from itertools import combinations

import numpy as np
import polars as pl
import pytest
from matplotlib.figure import Figure

from tasks.report.figures import draw_pareto, frontier, name_dots


def test_the_frontier_is_what_no_other_beats():
    random = np.random.default_rng(0)
    points = random.integers(0, 6, (40, 2)).astype(float)
    slow = {
        index
        for index, point in enumerate(points)
        if not any((other >= point).all() and (other > point).any() for other in points)
    }
    found = frontier(points[:, 0].tolist(), points[:, 1].tolist())
    assert set(found) == slow
    assert (np.diff(points[found, 1]) <= 0).all()


@pytest.mark.parametrize("n_dots", [1, 30])
def test_names_stand_in_the_axes_and_on_nothing_else(n_dots):
    random = np.random.default_rng(1)
    axes = Figure(figsize=(8, 4)).add_axes((0.1, 0.1, 0.8, 0.8))
    axes.set(xlim=(-0.2, 1.2), ylim=(-0.2, 1.2))
    dots = {f"model-{number}": place for number, place in enumerate(random.random((n_dots, 2)))}
    boxes = name_dots(axes, dots, ["model-0"], np.array([[0.0, 0.0], [1.0, 1.0]]))
    assert len(boxes) >= n_dots - 2
    assert len(axes.texts) == len(boxes)
    assert not any(one.overlaps(other) for one, other in combinations(boxes, 2))
    to_points = axes.transData.transform(list(dots.values())) * 72 / axes.figure.dpi
    assert not any(box.left < x < box.right and box.bottom < y < box.top for box in boxes for x, y in to_points)


def test_models_without_figures_are_left_out_and_none_is_no_error():
    columns = ("model", "test_jaccard", "test_jaccard_low", "test_jaccard_high", "predict_docs_per_s", "fit_s")
    schema = {name: pl.String if name == "model" else pl.Float64 for name in columns}
    rows = [("a", 0.5, 0.4, 0.6, 100.0, 0.0), ("b", 0.4, None, None, None, 3.0), ("c", None, None, None, 1.0, 1.0)]
    rate, fit = draw_pareto(pl.DataFrame(rows, schema=schema, orient="row")).axes
    assert [text.get_text() for text in rate.texts] == ["a"]
    assert [text.get_text() for text in fit.texts] == ["a", "b"]
    empty = draw_pareto(pl.DataFrame(rows[2:], schema=schema, orient="row")).axes[0]
    assert empty.texts[0].get_text() == "nothing to show"
