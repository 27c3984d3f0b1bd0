"""The bootstrap against one that draws row by row, and by how often its intervals hold the truth."""

import numpy as np
import pytest

from tasks.core.metrics import (
    Interval,
    count_genres,
    decision_metrics,
    draw_weights,
    interval,
    precision_recall_f1,
    resample,
)


def draw(n_movies=60, n_genres=4, seed=0):
    """Return a truth in which some movies have no genre, and decisions of two models."""
    random = np.random.default_rng(seed)
    truth = random.random((n_movies, n_genres)) < np.geomspace(0.5, 0.05, n_genres)
    return truth, [truth ^ (random.random(truth.shape) < noise) for noise in (0.1, 0.2)]


def test_every_metric_equals_that_of_the_drawn_rows():
    truth, decided = draw()
    found = resample(truth, decided, resamples=20)
    for resampled, weights in enumerate(draw_weights(len(truth), 20)):
        rows = np.repeat(np.arange(len(truth)), weights)
        assert len(rows) == len(truth)
        for model, labels in enumerate(decided):
            slow = decision_metrics(truth[rows], labels[rows])
            for name, values in found.metrics.items():
                np.testing.assert_allclose(values[model, resampled], slow[name], rtol=1e-12)
            by_genre = precision_recall_f1(count_genres(truth[rows], labels[rows]))
            for name, values in found.per_genre.items():
                np.testing.assert_array_equal(values[model, resampled], by_genre[name])


def test_the_first_row_is_all_movies_and_the_others_are_drawn_with_replacement():
    weights = draw_weights(500, 300)
    assert (weights[0] == 1).all()
    assert (weights.sum(axis=1) == 500).all()
    assert abs((weights[1:] == 0).mean() - np.exp(-1)) < 0.01
    np.testing.assert_array_equal(weights, draw_weights(500, 300))


def test_intervals_equal_those_of_another_generator_s_rows():
    truth, decided = draw(300, seed=1)
    random = np.random.default_rng(1)
    slow = []
    for _ in range(2000):
        rows = random.integers(0, 300, 300)
        slow.append([decision_metrics(truth[rows], each[rows])["f1_macro"] for each in decided])
    found = resample(truth, decided).metrics["f1_macro"]
    one, difference = interval(found[0]), interval(found[0] - found[1])
    np.testing.assert_allclose((one.low, one.high), np.quantile(slow, [0.025, 0.975], axis=0)[:, 0], atol=0.006)
    between = np.quantile(-np.diff(slow, axis=1), [0.025, 0.975])
    np.testing.assert_allclose((difference.low, difference.high), between, atol=0.006)


def test_a_genre_without_a_positive_is_undefined_and_not_zero():
    truth, decided = draw()
    truth[:, 2] = False
    found = resample(truth, decided, resamples=50)
    undefined = interval(found.per_genre["f1"][0, :, 2])
    assert all(np.isnan(each) for each in (undefined.value, undefined.low, undefined.high))
    assert np.isfinite(interval(found.metrics["f1_macro"][0]).low)


def test_pairing_makes_a_small_steady_difference_certain():
    random = np.random.default_rng(2)
    reference = random.random(500)
    steady, noise = reference - 0.01, random.random(500)
    weights = draw_weights(500)
    certain, uncertain = (interval(weights @ (reference - other) / 500) for other in (steady, noise))
    assert certain.low > 0
    assert uncertain.low < 0 < uncertain.high
    np.testing.assert_allclose(certain.value, 0.01)


def test_one_movie_has_an_interval_without_width():
    truth = np.array([[True, False]])
    assert interval(resample(truth, [truth]).metrics["jaccard"][0]) == Interval(1, 1, 1)


@pytest.mark.parametrize("metric", ["jaccard", "f1_micro", "f1_macro"])
def test_intervals_hold_the_truth_about_as_often_as_they_say(metric):
    """Of 200 samples of 200 movies from 20,000: within three standard errors of 95%, and a little below, as known."""
    truth, decided = draw(20_000, seed=3)
    whole = [decision_metrics(truth, each)[metric] for each in decided]
    random = np.random.default_rng(4)
    held = np.zeros(2)
    for _ in range(200):
        rows = random.integers(0, len(truth), 200)
        values = resample(truth[rows], [each[rows] for each in decided], resamples=400).metrics[metric]
        for kind, (found, true) in enumerate(
            ((interval(values[0]), whole[0]), (interval(values[0] - values[1]), whole[0] - whole[1]))
        ):
            held[kind] += found.low <= true <= found.high
    assert (held >= 180).all(), held
    assert (held <= 199).all(), held
