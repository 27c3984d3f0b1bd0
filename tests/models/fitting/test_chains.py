import numpy as np
from scipy.special import expit

from tasks.models import classifiers
from tasks.models.fitting.chains import fit_classifier_chains
from tasks.models.fitting.linear import fit_logistic_regression


def test_scores_equal_the_chains_rule_one_movie_and_genre_at_a_time(training):
    scorer = fit_classifier_chains(classifiers.ClassifierChains(n_chains=3), training)
    scores = scorer.scores(training.X)
    for row in range(5):
        found = np.zeros((3, 3))
        for chain, order in enumerate(scorer.orders):
            for position, column in enumerate(order):
                before = order[:position]
                words = training.X[[row]].toarray()[0] @ scorer.weights[chain, :, column] + scorer.bias[chain, column]
                found[chain, column] = expit(words + found[chain, before] @ scorer.links[chain, before, column])
        np.testing.assert_allclose(scores[row], found.mean(axis=0), atol=1e-5)


def test_a_genre_is_linked_to_those_before_it_only(training):
    scorer = fit_classifier_chains(classifiers.ClassifierChains(n_chains=4), training)
    for order, links in zip(scorer.orders, scorer.links, strict=True):
        assert sorted(order) == [0, 1, 2]
        in_order = links[np.ix_(order, order)]
        assert (np.tril(in_order) == 0).all()
        assert (in_order[np.triu_indices(3, 1)] != 0).all()


def test_first_genre_of_a_chain_is_a_logistic_regression(training):
    scorer = fit_classifier_chains(classifiers.ClassifierChains(n_chains=1, C=2), training)
    plain = fit_logistic_regression(classifiers.LogisticRegression(C=2), training).scores(training.X)
    first = scorer.orders[0, 0]
    np.testing.assert_allclose(scorer.scores(training.X)[:, first], plain[:, first], atol=1e-5)
