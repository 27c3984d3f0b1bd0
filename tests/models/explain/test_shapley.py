"""Shapley values by sampling: complete, and near what all orders give."""

from itertools import permutations

import numpy as np
import polars as pl
import pytest
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import RidgeClassifier
from sklearn.tree import DecisionTreeClassifier

from tasks.decision.calibration import log_odds
from tasks.models import linear, multilabel
from tasks.models.explain.attribution import explain, explain_by_sampling
from tasks.models.explain.pieces import ExplainedMovies, cut_movies, rows_with, texts_of
from tasks.models.genre_classifier import CLIP

OTHERS = {
    "nearest-neighbours": multilabel.NearestNeighbours(k=7),
    "decision-tree": DecisionTreeClassifier(max_depth=8, min_samples_leaf=5),
    "random-forest": RandomForestClassifier(20, max_depth=10, min_samples_leaf=2),
    "gradient-boosting": multilabel.GradientBoosting(components=20, n_trees=15, max_leaves=8),
    "multilayer-perceptron": multilabel.MultilayerPerceptron(hidden=16, learning_rate=0.02),
    "classifier-chains": linear.ClassifierChains(C=10, n_chains=2, folds=2),
    "ridge": RidgeClassifier(),
}
SMALL = OTHERS["decision-tree"]


def sampled(model, movies, n_orders=2, seed=1):
    cut = ExplainedMovies(movies, cut_movies(movies), [(0, 1, 2)] * movies.height)
    return explain_by_sampling(model, cut, seed, n_orders)


@pytest.mark.parametrize("classifier", OTHERS)
def test_contributions_sum_to_the_score_of_any_classifier(classifier, fit, listed):
    model, some = fit("words-and-fields", OTHERS[classifier]), listed.head(3)
    _, explanations = explain(model, some, [(0, 1, 2)] * 3)
    for row, explanation in enumerate(explanations):
        assert explanation.method == "shapley"
        np.testing.assert_allclose(explanation.rest, 0, atol=1e-9)
        np.testing.assert_allclose(explanation.value, log_odds(model.scores(some[[row]]), CLIP)[0], atol=1e-6)
        np.testing.assert_allclose(
            explanation.base, log_odds(model.scores(pl.DataFrame({"description": [""]})), CLIP)[0], atol=1e-6
        )


@pytest.mark.parametrize("classifier", OTHERS)
def test_typical_words_raise_their_genre(classifier, fit):
    movies = pl.DataFrame({"movie_name": ["Sheriff"], "description": ["A haunted demon in a saloon"]})
    (explanation,) = sampled(fit("counts", OTHERS[classifier]), movies, 4)
    of_horror = explanation.contributions[:, 1].tolist()
    words = [piece.text for piece in cut_movies(movies)[0]]
    assert max(of_horror[words.index("haunted")], of_horror[words.index("demon")]) == max(of_horror) > 0


def test_sampling_is_exact_for_a_linear_model_of_counts(fit, listed, explain_all):
    model, some = fit("counts", linear.LogisticRegression(C=0.1)), listed.head(4)
    for estimated, exact in zip(sampled(model, some), explain_all(model, some)[1], strict=True):
        np.testing.assert_allclose(estimated.contributions, exact.contributions, atol=1e-4)


def test_the_mean_over_all_orders_is_met(fit):
    model = fit("counts", OTHERS["random-forest"])
    movies = pl.DataFrame({"movie_name": [""], "description": ["haunted sheriff mother ghosts"]})
    (pieces,), (texts,) = cut_movies(movies), texts_of(movies)
    orders = list(permutations(range(4)))
    expected = np.zeros((4, 3))
    for order in orders:
        present = np.array([[piece in order[:step] for piece in range(4)] for step in range(5)])
        values = log_odds(model.scores(rows_with(texts, pieces, present)), CLIP)
        expected[list(order)] += np.diff(values, axis=0) / len(orders)
    (explanation,) = sampled(model, movies, 400)
    np.testing.assert_allclose(explanation.contributions, expected, atol=0.1)
    assert np.abs(expected).max() > 1


def test_explanations_repeat_bit_for_bit_whatever_the_other_movies(fit, listed):
    model = fit("words-and-fields", SMALL)
    together = sampled(model, listed.head(4))
    alone = sampled(model, listed[[2]])
    np.testing.assert_array_equal(alone[0].contributions, together[2].contributions)
    assert (sampled(model, listed[[2]], seed=2)[0].contributions != alone[0].contributions).any()


def test_what_the_model_does_not_read_contributes_nothing(fit, listed):
    (explanation,) = sampled(fit("counts", SMALL), listed[[5]])
    is_field = [piece.start is None for piece in cut_movies(listed[[5]])[0]]
    assert any(is_field)
    assert not explanation.contributions[is_field].any()
