"""How explanations add up, and what cutting log-odds does to them."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from tasks.models.explain.pieces import Explanation, clipped, weighted_sum

NUMBERS = st.floats(-50, 50)


def make(base, contributions, method="exact"):
    contributions = np.array(contributions, dtype=float)
    base = np.array(base, dtype=float)
    return Explanation(method, base, base + contributions.sum(axis=0), contributions)


@given(NUMBERS, st.lists(NUMBERS, min_size=1, max_size=5), st.floats(0.1, 10))
def test_cut_log_odds_are_still_summed_to(base, contributions, limit):
    cut = clipped(make([base], [[number] for number in contributions]), limit)
    np.testing.assert_allclose(cut.rest, 0, atol=1e-9)
    np.testing.assert_allclose(cut.base, np.clip(base, -limit, limit))
    assert (np.sign(cut.contributions) * np.sign([[number] for number in contributions]) >= 0).all()


def test_cutting_is_what_integrated_gradients_make_of_it():
    explanation = make([-2.0], [[9.0], [-1.0], [4.0]])
    steps = (np.arange(100_000) + 0.5) / 100_000
    inside = np.abs(-2.0 + steps * 12.0) < 3.0
    np.testing.assert_allclose(
        clipped(explanation, 3.0).contributions, explanation.contributions * inside.mean(), rtol=1e-4
    )


def test_what_is_beyond_the_limit_on_the_whole_way_contributes_nothing():
    assert not clipped(make([5.0], [[2.0], [1.0]]), 3.0).contributions.any()
    assert not clipped(make([5.0], [[2.0], [-2.0]]), 3.0).contributions.any()
    np.testing.assert_array_equal(clipped(make([1.0], [[2.0], [-2.0]]), 3.0).contributions, [[2.0], [-2.0]])


def test_sums_are_weighted_by_part_or_by_part_and_genre():
    first, second = make([0.0, 1.0], [[1.0, 2.0]]), make([1.0, 1.0], [[3.0, 4.0]], "shapley")
    total = weighted_sum([first, second], [2.0, np.array([1.0, 0.0])], np.array([0.5, 0.0]))
    assert total.method == "mixed"
    np.testing.assert_array_equal(total.contributions, [[5.0, 4.0]])
    np.testing.assert_array_equal(total.base, [1.5, 2.0])
    np.testing.assert_array_equal(total.value, total.base + total.contributions[0])
    assert weighted_sum([second, second], [1.0, 1.0], 0.0).method == "shapley"


def test_the_rest_is_what_pieces_leave():
    np.testing.assert_allclose(Explanation("exact", np.zeros(1), np.ones(1), np.array([[0.25], [0.5]])).rest, [0.25])
