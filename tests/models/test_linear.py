"""Classifiers that are one linear model a genre: equal to scikit-learn's own, or to their formulas in dense arrays."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import polars as pl
import pytest
from scipy import sparse
from scipy.special import expit, logit
from sklearn import linear_model
from sklearn.base import clone
from sklearn.metrics import log_loss
from sklearn.model_selection import KFold, StratifiedKFold, cross_val_predict
from sklearn.naive_bayes import ComplementNB, MultinomialNB

from tasks.core.errors import ModelError
from tasks.decision.calibration import fit_line
from tasks.models.linear import (
    NO_PRIOR,
    STRENGTHS,
    TOLERANCE,
    ClassifierChains,
    FitLock,
    LinearSVM,
    LogisticRegression,
    NaiveBayes,
    NaiveBayesSVM,
    StackedLogisticRegression,
)

OPTIONS = {"solver": "liblinear", "tol": TOLERANCE, "random_state": 3, "max_iter": 1000}


def scores_of(classifier, X, Y):
    return clone(classifier).set_params(random_state=3).fit(X, Y).predict_proba(X)


def test_logistic_regression_equals_one_scikit_learn_model_a_genre(training):
    ours = scores_of(LogisticRegression(C=2), training.X, training.Y)
    for column, y in enumerate(training.Y.T):
        theirs = linear_model.LogisticRegression(C=2, **OPTIONS).fit(training.X, y)
        np.testing.assert_allclose(ours[:, column], theirs.predict_proba(training.X)[:, 1], atol=1e-5)


def test_each_genres_own_strength_has_the_least_held_out_loss(training):
    scores = scores_of(LogisticRegression(C="per-genre"), training.X, training.Y)
    folds = StratifiedKFold(3, shuffle=True, random_state=3)
    for column in (0, 1):
        y = training.Y[:, column]
        models = [linear_model.LogisticRegression(C=C, **OPTIONS) for C in STRENGTHS]
        losses = [
            log_loss(y, cross_val_predict(model, training.X, y, cv=folds, method="predict_proba")[:, 1])
            for model in models
        ]
        best = models[int(np.argmin(losses))].fit(training.X, y)
        np.testing.assert_allclose(scores[:, column], best.predict_proba(training.X)[:, 1], atol=1e-5)


def test_genre_too_rare_to_choose_its_strength_gets_the_usual_one(training, caplog):
    rare = pl.DataFrame({"A": (np.arange(120) < 2).astype(int)})
    own, usual = (LogisticRegression(C=C).fit(training.X, rare).coef_ for C in ("per-genre", 4))
    np.testing.assert_array_equal(own, usual)
    assert "A: too few train movies" in caplog.text


def test_svm_scores_are_calibrated_on_average(training):
    scores = scores_of(LinearSVM(C=0.1), training.X, training.Y)
    np.testing.assert_allclose(scores[:, :2].mean(axis=0), training.Y[:, :2].mean(axis=0), atol=0.1)


def test_platt_finds_the_line_that_made_the_labels():
    rng = np.random.default_rng(5)
    margins = rng.normal(size=20_000)
    y = rng.random(20_000) < 1 / (1 + np.exp(-(1.5 * margins - 0.7)))
    np.testing.assert_allclose(fit_line(margins, y, strength=NO_PRIOR), (1.5, -0.7), atol=0.1)


def test_genre_too_rare_to_calibrate_still_gets_scores(training):
    rare = np.zeros((120, 1), dtype=bool)
    rare[5] = True
    scores = scores_of(LinearSVM(), training.X, rare)
    assert scores[5, 0] == scores.max()
    np.testing.assert_allclose(scores.mean(), 2 / 122, rtol=1e-4)  # its share, smoothed


def test_genre_that_does_not_converge_is_named(training, monkeypatch):
    original = linear_model.LogisticRegression
    monkeypatch.setattr(linear_model, "LogisticRegression", lambda **options: original(**{**options, "max_iter": 1}))
    with pytest.raises(ModelError, match="A: Liblinear failed to converge"):
        LogisticRegression(C=100).fit(training.X, pl.DataFrame(training.Y.astype(int), schema=["A", "B", "C"]))


def test_svms_fitted_side_by_side_are_what_each_is_alone():
    rng = np.random.default_rng(6)
    X = sparse.csr_array(rng.random((400, 300)) * (rng.random((400, 300)) < 0.1), dtype=np.float32)
    labels = [rng.random((400, 6)) < 0.3 for _ in range(4)]

    def fit(number):
        return LinearSVM(random_state=number).fit(X, labels[number]).coef_

    alone = [fit(number) for number in range(4)]
    with ThreadPoolExecutor(4) as threads:
        np.testing.assert_array_equal(list(threads.map(fit, range(4))), alone)


def test_exclusive_fits_run_alone_and_shared_ones_together():
    lock, at_work, seen = FitLock(), [], []
    both = threading.Barrier(2, timeout=60)

    def share():
        with lock.shared():
            both.wait()  # which two of them pass together
            at_work.append("shared")
            time.sleep(0.05)
            seen.append("exclusive" in at_work)
            at_work.remove("shared")

    def exclude():
        with lock.exclusive():
            at_work.append("exclusive")
            time.sleep(0.05)
            seen.append(len(at_work) > 1)
            at_work.remove("exclusive")

    threads = [threading.Thread(target=work) for work in (share, share, exclude, exclude)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert seen == [False] * 4


def test_multinomial_equals_one_scikit_learn_model_a_genre(training):
    scores = NaiveBayes(alpha=0.5).fit(training.X, training.Y).predict_proba(training.X)
    for column, y in enumerate(training.Y.T):
        theirs = MultinomialNB(alpha=0.5).fit(training.X, y)
        np.testing.assert_allclose(scores[:, column], theirs.predict_proba(training.X)[:, 1], atol=1e-4)


def test_complement_is_scikit_learns_in_the_scale_of_log_odds_and_with_the_genres_share(training):
    ours = NaiveBayes(variant="complement", alpha=0.5).fit(training.X, training.Y)
    for column, y in enumerate(training.Y.T):
        weights = ComplementNB(alpha=0.5, norm=True).fit(training.X, y).feature_log_prob_  # positive, each sums to 1
        without_norm = ComplementNB(alpha=0.5, norm=False).fit(training.X, y).feature_log_prob_
        expected = (weights[1] - weights[0]) * without_norm.sum(axis=1).mean()
        np.testing.assert_allclose(ours.coef_[column], expected, rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(ours.intercept_[column], logit(y.mean()), rtol=1e-5)


def test_naive_bayes_svm_equals_its_formula_in_dense_arrays(training):
    X, alpha = training.X.toarray(), 1.0
    scores = scores_of(NaiveBayesSVM(C=2, alpha=alpha), training.X, training.Y)
    for column, y in enumerate(training.Y.T):
        p, q = (alpha + (X[rows] > 0).sum(axis=0) for rows in (y, ~y))
        scaled = X * np.log((p / p.sum()) / (q / q.sum()))
        theirs = linear_model.LogisticRegression(C=2, **OPTIONS).fit(scaled, y)
        np.testing.assert_allclose(scores[:, column], theirs.predict_proba(scaled)[:, 1], atol=1e-4)


def test_scores_equal_the_chains_rule_one_movie_and_genre_at_a_time(training):
    fitted = ClassifierChains(n_chains=3).fit(training.X, training.Y)
    scores = fitted.predict_proba(training.X)
    for row in range(5):
        found = np.zeros((3, 3))
        x = training.X[[row]].toarray()[0]
        for chain, order in enumerate(fitted.orders_):
            for position, column in enumerate(order):
                before = order[:position]
                words = x @ fitted.coef_[chain, column] + fitted.intercept_[chain, column]
                found[chain, column] = expit(words + found[chain, before] @ fitted.links_[chain, before, column])
        np.testing.assert_allclose(scores[row], found.mean(axis=0), atol=1e-5)


def test_a_genre_is_linked_to_those_before_it_only(training):
    fitted = ClassifierChains(n_chains=4).fit(training.X, training.Y)
    for order, links in zip(fitted.orders_, fitted.links_, strict=True):
        assert sorted(order) == [0, 1, 2]
        in_order = links[np.ix_(order, order)]
        assert (np.tril(in_order) == 0).all()
        assert (in_order[np.triu_indices(3, 1)] != 0).all()


def test_first_genre_of_a_chain_is_a_logistic_regression(training):
    fitted = ClassifierChains(n_chains=1, C=2).fit(training.X, training.Y)
    plain = LogisticRegression(C=2).fit(training.X, training.Y).predict_proba(training.X)
    first = fitted.orders_[0, 0]
    np.testing.assert_allclose(fitted.predict_proba(training.X)[:, first], plain[:, first], atol=1e-5)


def test_stacking_equals_two_levels_of_scikit_learn_models(training):
    X, Y = training.X, training.Y[:, :2]
    order = np.lexsort((*Y.T, X @ np.random.default_rng(0).standard_normal(X.shape[1])))
    X, Y = X[order], Y[order]
    scores = scores_of(StackedLogisticRegression(C=2, C2=0.5, folds=3), X, Y)
    first, folds = linear_model.LogisticRegression(C=2, **OPTIONS), KFold(3, shuffle=True, random_state=3)
    held_out = [cross_val_predict(first, X, y, cv=folds, method="predict_proba")[:, 1] for y in Y.T]
    seen = [first.fit(X, y).predict_proba(X)[:, 1] for y in Y.T]
    for_training, for_scoring = (np.clip(logit(np.column_stack(levels)), -10, 10) for levels in (held_out, seen))
    for column, y in enumerate(Y.T):
        second = linear_model.LogisticRegression(C=0.5, **OPTIONS).fit(for_training, y)
        np.testing.assert_allclose(scores[:, column], second.predict_proba(for_scoring)[:, 1], atol=1e-4)


def test_genre_that_a_fold_lacks_is_scored_all_the_same(training):
    rare = training.Y.copy()
    rare[:, 2] = np.arange(120) == 7
    scores = scores_of(StackedLogisticRegression(folds=2), training.X, rare)
    assert 0 < scores[:, 2].mean() < 0.1
