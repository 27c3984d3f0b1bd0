from dataclasses import replace

import numpy as np
from scipy.special import logit
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import KFold, cross_val_predict

from tasks.models import classifiers
from tasks.models.fitting.one_vs_rest import TOLERANCE
from tasks.models.fitting.stacked import fit_stacked


def test_it_equals_two_levels_of_scikit_learn_models(training):
    X, Y = training.X, training.Y[:, :2]
    config = classifiers.StackedLogisticRegression(C=2, C2=0.5, folds=3)
    scores = fit_stacked(config, replace(training, Y=Y, genres=("A", "B"))).scores(X)
    options = {"solver": "liblinear", "tol": TOLERANCE, "random_state": 3, "max_iter": 1000}
    first, folds = LogisticRegression(C=2, **options), KFold(3, shuffle=True, random_state=3)
    held_out = [cross_val_predict(first, X, y, cv=folds, method="predict_proba")[:, 1] for y in Y.T]
    seen = [first.fit(X, y).predict_proba(X)[:, 1] for y in Y.T]
    for_training, for_scoring = (np.clip(logit(np.column_stack(levels)), -10, 10) for levels in (held_out, seen))
    for column, y in enumerate(Y.T):
        second = LogisticRegression(C=0.5, **options).fit(for_training, y)
        np.testing.assert_allclose(scores[:, column], second.predict_proba(for_scoring)[:, 1], atol=1e-4)


def test_genre_that_a_fold_lacks_is_scored_all_the_same(training):
    rare = training.Y.copy()
    rare[:, 2] = np.arange(120) == 7
    scores = fit_stacked(classifiers.StackedLogisticRegression(folds=2), replace(training, Y=rare)).scores(training.X)
    assert 0 < scores[:, 2].mean() < 0.1
