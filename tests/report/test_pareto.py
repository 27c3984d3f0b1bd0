import numpy as np
import polars as pl

from tasks.report.figures import RATE, draw_pareto, frontier

COLUMNS = ("model", "test_jaccard", "test_jaccard_low", "test_jaccard_high", RATE)
SCHEMA = {name: pl.String if name == "model" else pl.Float64 for name in COLUMNS}


def test_the_frontier_is_what_no_other_equals_or_beats():
    points = np.random.default_rng(0).integers(0, 6, (40, 2)).astype(float)
    board = pl.DataFrame({"model": range(40), "test_jaccard": points[:, 0], RATE: points[:, 1]})
    slow = {
        tuple(point)
        for point in points
        if not any((other >= point).all() and (other > point).any() for other in points)
    }
    found = frontier(board).select("test_jaccard", RATE).rows()
    assert set(found) == slow
    assert len(found) == len(slow)  # of equal models one is enough
    assert (np.diff([rate for _, rate in found]) < 0).all()


def test_models_without_figures_are_left_out_and_none_is_no_error():
    rows = [("a", 0.5, 0.4, 0.6, 100.0), ("b", 0.4, None, None, None), ("c", None, None, None, 1.0)]
    rows += [("d", 0.4, None, None, 200.0), ("e", 0.3, 0.2, 0.4, 200.0)]
    (axes,) = draw_pareto(pl.DataFrame(rows, schema=SCHEMA, orient="row")).axes
    assert {text.get_text(): text.get_fontweight() for text in axes.texts} == {"a": "bold", "d": "bold", "e": "normal"}
    (empty,) = draw_pareto(pl.DataFrame(rows[1:3], schema=SCHEMA, orient="row")).axes
    assert empty.texts[0].get_text() == "nothing to show"
