"""Classifiers that are no linear model a genre: equal to scikit-learn's own, or to what they say of themselves."""

import warnings

import numpy as np
import polars as pl
import pytest
from scipy import sparse
from sklearn.calibration import CalibratedClassifierCV
from sklearn.decomposition import TruncatedSVD
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.linear_model import RidgeClassifier
from sklearn.naive_bayes import MultinomialNB
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.svm import LinearSVC
from sklearn.tree import DecisionTreeClassifier

from tasks.core.errors import ModelError
from tasks.models import multilabel
from tasks.models.multilabel import AnyClassifier, GradientBoosting, MultilayerPerceptron, NearestNeighbours


def probabilities(model, X):
    return np.column_stack([genre[:, 1] for genre in model.predict_proba(X)])


@pytest.mark.parametrize(
    "theirs",
    [
        DecisionTreeClassifier(max_depth=6, min_samples_leaf=2, random_state=3),
        RandomForestClassifier(7, max_depth=9, random_state=3),
    ],
)
def test_what_takes_rows_of_labels_is_fitted_once(training, theirs):
    ours = AnyClassifier(theirs, random_state=3).fit(training.X, training.Y)
    expected = probabilities(theirs.fit(training.X, training.Y), training.X)
    np.testing.assert_allclose(ours.predict_proba(training.X), expected, atol=1e-6)


def test_what_takes_one_label_is_fitted_once_a_label(training):
    ours = AnyClassifier(MultinomialNB(alpha=0.5)).fit(training.X, training.Y)
    for column, y in enumerate(training.Y.T):
        theirs = MultinomialNB(alpha=0.5).fit(training.X, y).predict_proba(training.X)[:, 1]
        np.testing.assert_allclose(ours.predict_proba(training.X)[:, column], theirs, atol=1e-6)


@pytest.mark.parametrize(
    "estimator", [RidgeClassifier(), LinearSVC(), make_pipeline(TruncatedSVD(5), RidgeClassifier())]
)
def test_margins_become_probabilities(training, estimator):
    Y = training.Y[:, :2]
    fitted = AnyClassifier(estimator).fit(training.X, Y)
    scores = fitted.predict_proba(training.X)
    assert ((scores >= 0) & (scores <= 1)).all()
    np.testing.assert_allclose(scores.mean(axis=0), Y.mean(axis=0), atol=0.1)
    margins = multilabel._margins(fitted.estimators_, training.X)
    for column in range(2):
        assert (np.argsort(margins[:, column]) == np.argsort(scores[:, column], kind="stable")).mean() > 0.95


def test_a_label_that_cannot_be_fitted_is_named(training):
    rare = pl.DataFrame({"A": training.Y[:, 0].astype(int), "B": (np.arange(120) == 5).astype(int)})
    calibrated = AnyClassifier(CalibratedClassifierCV(LinearSVC(), cv=3))
    with pytest.raises(ModelError, match=r"B, which 1 of 120 train movies have: .* Change .* leave the genre out"):
        calibrated.fit(training.X, rare)


def test_labels_without_a_choice_are_certain(training):
    Y = np.column_stack([training.Y[:, 0], np.ones(120, bool), np.zeros(120, bool)])
    for estimator in (DecisionTreeClassifier(), RidgeClassifier(), MultinomialNB()):
        scores = AnyClassifier(estimator).fit(training.X, Y).predict_proba(training.X)
        np.testing.assert_array_equal(scores[:, 1:], [[1, 0]] * 120)
    only = AnyClassifier(RidgeClassifier()).fit(training.X, Y[:, 1:])
    np.testing.assert_array_equal(only.predict_proba(training.X), [[1, 0]] * 120)


def test_columns_of_labels_name_the_classes(training):
    frame = pl.DataFrame(training.Y.astype(int), schema=["A", "B", "C"])
    assert NearestNeighbours().fit(training.X, frame).classes_.tolist() == ["A", "B", "C"]
    assert NearestNeighbours().fit(training.X, training.Y).classes_.tolist() == [0, 1, 2]


def test_gradient_boosting_equals_one_scikit_learn_model_a_genre(training):
    ours = GradientBoosting(components=8, n_trees=12, max_leaves=6, random_state=3).fit(training.X, training.Y)
    Z = training.X @ ours.reduction_
    for column, y in enumerate(training.Y.T):
        theirs = HistGradientBoostingClassifier(max_iter=12, max_leaf_nodes=6, early_stopping=False).fit(Z, y)
        scores = ours.predict_proba(training.X)[:, column]
        np.testing.assert_allclose(scores, theirs.predict_proba(Z)[:, 1], atol=1e-6)


def test_reduction_is_a_truncated_svd_of_unit_mean_square(training):
    Z = training.X @ GradientBoosting(components=6, random_state=3).fit(training.X, training.Y).reduction_
    theirs = TruncatedSVD(6, random_state=3).fit_transform(training.X)
    np.testing.assert_allclose((Z**2).mean(axis=0), 1, rtol=1e-3)
    np.testing.assert_allclose(Z, theirs / np.sqrt((theirs**2).mean(axis=0)), atol=1e-3)


def test_reduction_leaves_no_more_dimensions_than_there_are(training):
    doubled = training.X[:, [0, 1, 0, 1]]
    assert GradientBoosting(components=10).fit(doubled, training.Y).reduction_.shape == (4, 2)


TINY = MultilayerPerceptron(hidden=10, learning_rate=0.02, random_state=3)


def test_network_scores_as_scikit_learns_does(training, monkeypatch):
    theirs = MLPClassifier((5,), max_iter=300, tol=1e-2, random_state=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs.fit(training.X, training.Y)
    ours = MultilayerPerceptron().fit(training.X, training.Y)
    ours.layers_ = [theirs.coefs_[0], theirs.intercepts_[0], theirs.coefs_[1], theirs.intercepts_[1]]
    np.testing.assert_allclose(ours.predict_proba(training.X), theirs.predict_proba(training.X), atol=1e-6)


def test_the_epoch_with_the_best_held_out_loss_is_kept(training, monkeypatch):
    seen = []
    original = multilabel._logits
    monkeypatch.setattr(multilabel, "_logits", lambda layers, X: seen.append(layers) or original(layers, X))
    fitted = TINY.fit(training.X, training.Y)
    held_out = np.random.default_rng(3).permutation(120)[:12]
    truth = training.Y[held_out]
    logits = [original(layers, training.X[held_out]) for layers in seen]
    losses = [float(np.logaddexp(0, np.where(truth, -each, each)).mean()) for each in logits]
    best = int(np.argmin(losses))
    assert all(one is other for one, other in zip(seen[best], fitted.layers_, strict=True))
    assert len(seen) in {best + 1 + multilabel.PATIENCE, TINY.max_epochs}


@pytest.mark.parametrize("columns", [[1], [0, 1]])
def test_one_genre_and_two_are_learnt(training, columns):
    Y = training.Y[:, columns]
    assert ((TINY.fit(training.X, Y).predict_proba(training.X) > 0.5) == Y).mean() > 0.8


def test_neighbours_vote_by_their_similarity():
    X = sparse.csr_array(np.array([[1, 0, 0], [1, 1, 0], [0, 1, 0], [0, 0, 1]], dtype=np.float32))
    Y = np.array([[1, 0], [1, 1], [0, 1], [0, 0]])
    asked = sparse.csr_array(np.array([[1, 0, 0], [0, 0, 0]], dtype=np.float32))
    scores = NearestNeighbours(k=2).fit(X, Y).predict_proba(asked)
    similar = 1 / np.sqrt(2)
    np.testing.assert_allclose(scores, [[1, similar / (1 + similar)], [0.5, 0.5]], atol=1e-6)
