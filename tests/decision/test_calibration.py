"""Calibration: the fitted line, its penalty, and scores that say nothing."""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from tasks.decision import calibration
from tasks.decision.calibration import CLIP, Calibration, log_odds


def test_line_is_the_logistic_regression_on_log_odds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calibration, "PRIOR_STRENGTH", 1e-6)
    random = np.random.default_rng(1)
    scores = random.random((3000, 1)).astype(np.float32)
    truth = random.random(scores.shape) < scores**2
    line = Calibration.fit(scores, truth)
    reference = LogisticRegression(C=1e9, tol=1e-8).fit(log_odds(scores, CLIP), truth[:, 0])
    assert line.slopes[0] == pytest.approx(reference.coef_[0, 0], abs=1e-3)
    assert line.intercepts[0] == pytest.approx(reference.intercept_[0], abs=1e-3)


def test_calibrated_scores_have_the_mean_of_the_truth() -> None:
    random = np.random.default_rng(2)
    truth = random.random((2000, 3)) < np.array([0.5, 0.2, 0.05])
    scores = np.clip(0.5 + 0.2 * truth + random.normal(0, 0.2, truth.shape), 0, 1).astype(np.float32)
    means = Calibration.fit(scores, truth).apply(scores).mean(axis=0)
    assert means == pytest.approx(truth.mean(axis=0), abs=0.01)


def test_scores_that_are_probabilities_stay_as_they_are() -> None:
    random = np.random.default_rng(3)
    scores = random.uniform(0.05, 0.95, (20_000, 2)).astype(np.float32)
    calibrated = Calibration.fit(scores, random.random(scores.shape) < scores).apply(scores)
    assert np.abs(calibrated - scores).max() < 0.03


def test_misleading_and_constant_scores_still_give_rising_lines() -> None:
    truth = np.array([[1, 0, 1], [1, 0, 0], [0, 0, 1], [0, 0, 0]] * 20, dtype=np.bool_)
    scores = np.array([[0.1, 0.0, 0.9], [0.2, 0.0, 0.1], [0.9, 0.0, 0.8], [0.8, 0.0, 0.2]] * 20, dtype=np.float32)
    lines = Calibration.fit(scores, truth)
    assert min(lines.slopes) > 0
    assert np.isfinite(lines.intercepts).all()
    assert (lines.apply(scores)[:, 1] < 0.1).all()


def test_separated_scores_give_a_finite_line() -> None:
    truth = np.array([[True], [False]] * 50)
    lines = Calibration.fit(truth.astype(np.float32), truth)
    assert 0 < lines.slopes[0] < 10
