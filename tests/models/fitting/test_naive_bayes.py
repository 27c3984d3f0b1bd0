import numpy as np
from scipy.special import logit
from sklearn.linear_model import LogisticRegression
from sklearn.naive_bayes import ComplementNB, MultinomialNB

from tasks.models import classifiers
from tasks.models.fitting.naive_bayes import fit_naive_bayes, fit_naive_bayes_svm
from tasks.models.fitting.one_vs_rest import TOLERANCE


def test_multinomial_equals_one_scikit_learn_model_a_genre(training):
    scores = fit_naive_bayes(classifiers.NaiveBayes(alpha=0.5), training).scores(training.X)
    for column, y in enumerate(training.Y.T):
        theirs = MultinomialNB(alpha=0.5).fit(training.X, y)
        np.testing.assert_allclose(scores[:, column], theirs.predict_proba(training.X)[:, 1], atol=1e-4)


def test_complement_is_scikit_learns_in_the_scale_of_log_odds_and_with_the_genres_share(training):
    ours = fit_naive_bayes(classifiers.NaiveBayes(variant="complement", alpha=0.5), training)
    for column, y in enumerate(training.Y.T):
        weights = ComplementNB(alpha=0.5, norm=True).fit(training.X, y).feature_log_prob_  # positive, each sums to 1
        without_norm = ComplementNB(alpha=0.5, norm=False).fit(training.X, y).feature_log_prob_
        expected = (weights[1] - weights[0]) * without_norm.sum(axis=1).mean()
        np.testing.assert_allclose(ours.weights[:, column], expected, rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(ours.bias[column], logit(y.mean()), rtol=1e-5)


def test_naive_bayes_svm_equals_its_formula_in_dense_arrays(training):
    X, alpha = training.X.toarray(), 1.0
    scores = fit_naive_bayes_svm(classifiers.NaiveBayesSVM(C=2, alpha=alpha), training).scores(training.X)
    for column, y in enumerate(training.Y.T):
        p, q = (alpha + (X[rows] > 0).sum(axis=0) for rows in (y, ~y))
        scaled = X * np.log((p / p.sum()) / (q / q.sum()))
        theirs = LogisticRegression(C=2, solver="liblinear", tol=TOLERANCE, random_state=3).fit(scaled, y)
        np.testing.assert_allclose(scores[:, column], theirs.predict_proba(scaled)[:, 1], atol=1e-4)
