from dataclasses import replace

import numpy as np
import pytest
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.tree import DecisionTreeClassifier

from tasks.models import classifiers
from tasks.models.fitting.boosting import fit_gradient_boosting
from tasks.models.fitting.reduction import fit_reduction
from tasks.models.fitting.trees import _round_down, fit_decision_tree, fit_random_forest


def probabilities(model, X):
    return np.column_stack([genre[:, 1] for genre in model.predict_proba(X)])


@pytest.fixture(params=[1, 256])
def rows_at_once(request, monkeypatch):
    for module in ("trees", "boosting"):
        monkeypatch.setattr(f"tasks.models.scoring.{module}.ROWS_AT_ONCE", request.param)


def test_decision_tree_equals_scikit_learns(training, rows_at_once):
    ours = fit_decision_tree(classifiers.DecisionTree(max_depth=6, min_leaf=2), training)
    theirs = DecisionTreeClassifier(max_depth=6, min_samples_leaf=2, random_state=3).fit(training.X, training.Y)
    np.testing.assert_allclose(ours.scores(training.X), probabilities(theirs, training.X), atol=1e-6)


def test_random_forest_equals_scikit_learns(training, rows_at_once):
    ours = fit_random_forest(classifiers.RandomForest(n_trees=7, max_depth=9, min_leaf=1), training)
    theirs = RandomForestClassifier(7, max_depth=9, min_samples_leaf=1, random_state=3).fit(training.X, training.Y)
    np.testing.assert_allclose(ours.scores(training.X), probabilities(theirs, training.X), atol=1e-6)


def test_gradient_boosting_equals_one_scikit_learn_model_a_genre(training, rows_at_once):
    config = classifiers.GradientBoosting(components=8, n_trees=12, max_leaves=6)
    scores = fit_gradient_boosting(config, training).scores(training.X)
    Z = fit_reduction(training.X, 8, 3).apply(training.X)
    for column, y in enumerate(training.Y.T):
        theirs = HistGradientBoostingClassifier(max_iter=12, max_leaf_nodes=6, early_stopping=False).fit(Z, y)
        np.testing.assert_allclose(scores[:, column], theirs.predict_proba(Z)[:, 1], atol=1e-6)


def test_forest_keeps_only_columns_that_a_tree_asks_for(training):
    scorer = fit_decision_tree(classifiers.DecisionTree(max_depth=2), training)
    assert len(scorer.used) <= 3
    blanked = training.X.toarray()
    blanked[:, np.setdiff1d(np.arange(30), scorer.used)] = 9
    others = replace(training, X=type(training.X)(blanked))
    np.testing.assert_array_equal(scorer.scores(others.X), scorer.scores(training.X))


def test_rounding_down_sends_every_value_the_same_way():
    rng = np.random.default_rng(0)
    values = rng.random(2000, dtype=np.float32)
    thresholds = np.concatenate([(values[:-1].astype(np.float64) + values[1:]) / 2, values, np.nextafter(values, 2)])
    rounded = _round_down(thresholds)
    for near in (rounded, np.nextafter(rounded, np.float32(2)), np.nextafter(rounded, np.float32(-2))):
        np.testing.assert_array_equal(near <= rounded, near.astype(np.float64) <= thresholds)
