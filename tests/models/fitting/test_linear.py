import numpy as np
import pytest
from scipy import sparse
from sklearn.linear_model import LogisticRegression
from sklearn.naive_bayes import MultinomialNB

from tasks.models import classifiers
from tasks.models.fitting import linear
from tasks.models.fitting.training import Training


@pytest.fixture
def counts():
    rng = np.random.default_rng(7)
    X = rng.poisson(0.4, size=(120, 30)).astype(np.float32)
    Y = np.column_stack([X[:, 0] + rng.normal(size=120) > 0.5, X[:, 1] + X[:, 2] > 0, rng.random(120) < 0.02])
    Y[:2, 2] = True
    return sparse.csr_array(X), Y


def training(X, Y):
    return Training(X, Y, tuple("ABC"[: Y.shape[1]]), seed=3)


def test_logistic_regression_equals_one_scikit_learn_model_a_genre(counts):
    X, Y = counts
    ours = linear.fit_logistic_regression(classifiers.LogisticRegression(C=2), training(X, Y))
    for column, y in enumerate(Y.T):
        theirs = LogisticRegression(C=2, solver="liblinear", random_state=3, max_iter=1000).fit(X, y)
        np.testing.assert_allclose(ours.scores(X)[:, column], theirs.predict_proba(X)[:, 1], atol=1e-5)


def test_naive_bayes_equals_one_scikit_learn_model_a_genre(counts):
    X, Y = counts
    ours = linear.fit_naive_bayes(classifiers.NaiveBayes(alpha=0.5), training(X, Y))
    for column, y in enumerate(Y.T):
        theirs = MultinomialNB(alpha=0.5).fit(X, y)
        np.testing.assert_allclose(ours.scores(X)[:, column], theirs.predict_proba(X)[:, 1], atol=1e-4)


def test_svm_scores_are_calibrated_on_average(counts):
    X, Y = counts
    scores = linear.fit_linear_svm(classifiers.LinearSVM(C=0.1), training(X, Y)).scores(X)
    np.testing.assert_allclose(scores[:, :2].mean(axis=0), Y[:, :2].mean(axis=0), atol=0.1)


def test_platt_finds_the_line_that_made_the_labels():
    rng = np.random.default_rng(5)
    margins = rng.normal(size=20_000)
    y = rng.random(20_000) < 1 / (1 + np.exp(-(1.5 * margins - 0.7)))
    np.testing.assert_allclose(linear._platt(margins, y), (1.5, -0.7), atol=0.1)


def test_genre_too_rare_to_calibrate_still_gets_scores(counts):
    X, _ = counts
    rare = np.zeros((120, 1), dtype=bool)
    rare[5] = True
    scores = linear.fit_linear_svm(classifiers.LinearSVM(), training(X, rare)).scores(X)
    assert scores[5, 0] == scores.max()
