"""Expected calibration error and reliability against a slow reference, and where scores are equal."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from tasks.core.metrics import BINS, calibration_bins, expected_calibration_error
from tasks.evaluate.evaluation import calibration_table, reliability_table


def draw(n: int, seed: int, levels: int = 0) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    random = np.random.default_rng(seed)
    scores = random.random(n)
    truth = random.random(n) < scores**2
    return (np.round(scores * levels) / levels if levels else scores).astype(np.float32), truth


def slow_error(scores: NDArray[np.float32], truth: NDArray[np.bool_]) -> float:
    """Bin by the middle rank of equal scores, one score after the other."""
    pairs = sorted(zip(scores.tolist(), truth.tolist(), strict=True))
    bins: dict[int, list[tuple[float, bool]]] = {}
    for score, positive in pairs:
        ranks = [rank for rank, (other, _) in enumerate(pairs) if other == score]
        middle = Fraction(ranks[0] + ranks[-1], 2)
        bins.setdefault(int(middle * BINS / len(pairs)), []).append((score, positive))
    gaps = [abs(sum(s for s, _ in each) - sum(p for _, p in each)) for each in bins.values()]
    return sum(gaps) / len(pairs)


@given(n=st.integers(1, 60), seed=st.integers(0, 1000), levels=st.sampled_from([0, 1, 5]))
def test_the_error_equals_the_slow_reference(n: int, seed: int, levels: int) -> None:
    scores, truth = draw(n, seed, levels)
    assert expected_calibration_error(truth, scores) == pytest.approx(slow_error(scores, truth))


def test_bins_hold_equally_many_and_rise() -> None:
    scores, truth = draw(3000, 1)
    count, score, share = calibration_bins(truth, scores)
    assert count.tolist() == [3000 // BINS] * BINS
    assert (np.diff(score) > 0).all()
    assert share == pytest.approx(score**2, abs=0.12)


def test_equal_scores_share_a_bin_and_the_order_of_rows_makes_no_difference() -> None:
    scores, truth = draw(500, 2, levels=4)
    order = np.random.default_rng(3).permutation(500)
    bins = calibration_bins(truth, scores)
    assert len(bins[0]) == 5
    for shuffled, ordered in zip(calibration_bins(truth[order], scores[order]), bins, strict=True):
        np.testing.assert_array_equal(shuffled, ordered)


def test_perfect_scores_have_no_error_and_the_reverse_all_of_it() -> None:
    truth = np.arange(40) % 2 == 0
    assert expected_calibration_error(truth, truth.astype(np.float32)) == 0
    assert expected_calibration_error(truth, (~truth).astype(np.float32)) == 1


def test_tables_have_a_row_a_genre_and_the_bins_of_all_genres_together() -> None:
    raw, truth = (np.column_stack(columns) for columns in zip(*(draw(300, seed) for seed in (4, 5)), strict=True))
    truth[:, 1] = False
    calibrated = raw.astype(np.float64) ** 2
    table = calibration_table(raw, calibrated, truth, ["Drama", "War"])
    assert table["genre"].to_list() == ["Drama", "War"]
    assert table["positives"].to_list() == [truth[:, 0].sum(), 0]
    assert table["ece_raw"][0] == expected_calibration_error(truth[:, 0], raw[:, 0])
    assert table["ece_calibrated"][0] < table["ece_raw"][0]
    assert table["ece_raw"][1] == pytest.approx(raw[:, 1].mean())
    curves = reliability_table({"raw": raw, "calibrated": calibrated}, truth)
    assert curves["scores"].to_list() == ["raw"] * BINS + ["calibrated"] * BINS
    assert curves["count"].sum() == 2 * truth.size
