import numpy as np

from tasks.report.bootstrap import RESAMPLES, paired_differences


def test_interval_equals_that_of_resampled_rows():
    rng = np.random.default_rng(1)
    reference, other = rng.random(300), rng.random(300)
    (found,) = paired_differences(reference, other[None])
    rows = rng.integers(0, 300, size=(RESAMPLES, 300))
    means = (reference[rows] - other[rows]).mean(axis=1)
    assert found.mean == np.mean(reference - other)
    np.testing.assert_allclose((found.low, found.high), np.quantile(means, [0.025, 0.975]), atol=0.006)


def test_pairing_makes_a_small_steady_difference_certain():
    rng = np.random.default_rng(2)
    reference = rng.random(500)
    steady, noise = reference - 0.01, rng.random(500)
    certain, uncertain = paired_differences(reference, np.stack([steady, noise]))
    assert certain.is_certain
    assert not uncertain.is_certain
    assert paired_differences(reference, steady[None]) == [certain]  # whatever else is compared


def test_interval_holds_the_truth_about_as_often_as_it_says():
    rng = np.random.default_rng(3)
    held = 0
    for _ in range(100):
        sample = rng.normal(0.02, 0.3, size=150)
        (found,) = paired_differences(sample, np.zeros((1, 150)))
        held += found.low <= 0.02 <= found.high
    assert 88 <= held <= 99
