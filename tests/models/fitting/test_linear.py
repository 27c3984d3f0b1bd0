from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
from scipy import sparse
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss
from sklearn.model_selection import StratifiedKFold, cross_val_predict

from tasks.errors import ModelError
from tasks.models import classifiers
from tasks.models.fitting import linear, one_vs_rest
from tasks.models.fitting.one_vs_rest import TOLERANCE
from tasks.models.fitting.training import Training


def test_logistic_regression_equals_one_scikit_learn_model_a_genre(training):
    ours = linear.fit_logistic_regression(classifiers.LogisticRegression(C=2), training).scores(training.X)
    for column, y in enumerate(training.Y.T):
        theirs = LogisticRegression(C=2, solver="liblinear", tol=TOLERANCE, random_state=3, max_iter=1000).fit(
            training.X, y
        )
        np.testing.assert_allclose(ours[:, column], theirs.predict_proba(training.X)[:, 1], atol=1e-5)


def test_each_genres_own_strength_has_the_least_held_out_loss(training):
    config = classifiers.LogisticRegression(C="per-genre")
    scores = linear.fit_logistic_regression(config, training).scores(training.X)
    folds = StratifiedKFold(3, shuffle=True, random_state=3)
    for column in (0, 1):
        y = training.Y[:, column]
        models = [LogisticRegression(C=C, solver="liblinear", tol=TOLERANCE, random_state=3) for C in linear.STRENGTHS]
        losses = [
            log_loss(y, cross_val_predict(model, training.X, y, cv=folds, method="predict_proba")[:, 1])
            for model in models
        ]
        best = models[int(np.argmin(losses))].fit(training.X, y)
        np.testing.assert_allclose(scores[:, column], best.predict_proba(training.X)[:, 1], atol=1e-5)


def test_genre_too_rare_to_choose_its_strength_gets_the_usual_one(training, caplog):
    rare = replace(training, Y=np.arange(120)[:, None] < 2, genres=("A",))
    own, usual = (
        linear.fit_logistic_regression(classifiers.LogisticRegression(C=C), rare).weights for C in ("per-genre", 4)
    )
    np.testing.assert_array_equal(own, usual)
    assert "A: too few train movies" in caplog.text


def test_svm_scores_are_calibrated_on_average(training):
    scores = linear.fit_linear_svm(classifiers.LinearSVM(C=0.1), training).scores(training.X)
    np.testing.assert_allclose(scores[:, :2].mean(axis=0), training.Y[:, :2].mean(axis=0), atol=0.1)


def test_platt_finds_the_line_that_made_the_labels():
    rng = np.random.default_rng(5)
    margins = rng.normal(size=20_000)
    y = rng.random(20_000) < 1 / (1 + np.exp(-(1.5 * margins - 0.7)))
    np.testing.assert_allclose(linear._platt(margins, y), (1.5, -0.7), atol=0.1)


def test_genre_too_rare_to_calibrate_still_gets_scores(training):
    rare = np.zeros((120, 1), dtype=bool)
    rare[5] = True
    scores = linear.fit_linear_svm(classifiers.LinearSVM(), replace(training, Y=rare)).scores(training.X)
    assert scores[5, 0] == scores.max()


def test_genre_that_does_not_converge_is_named(training, monkeypatch):
    monkeypatch.setattr(
        one_vs_rest, "LogisticRegression", lambda **options: LogisticRegression(**{**options, "max_iter": 1})
    )
    with pytest.raises(ModelError, match="A: Liblinear failed to converge"):
        linear.fit_logistic_regression(classifiers.LogisticRegression(C=100), training)


def test_svms_fitted_side_by_side_are_what_each_is_alone():
    rng = np.random.default_rng(6)
    X = sparse.csr_array(rng.random((400, 300)) * (rng.random((400, 300)) < 0.1), dtype=np.float32)
    trainings = [Training(X, rng.random((400, 6)) < 0.3, tuple("ABCDEF"), seed) for seed in range(4)]
    fit = partial(linear.fit_linear_svm, classifiers.LinearSVM())
    alone = [fit(training).weights for training in trainings]
    with ThreadPoolExecutor(4) as threads:
        together = [scorer.weights for scorer in threads.map(fit, trainings)]
    np.testing.assert_array_equal(together, alone)
