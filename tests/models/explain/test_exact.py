"""Exact explanations: complete, in the right direction, and what brute force finds."""

from copy import deepcopy

import numpy as np
import polars as pl
import pytest

from tasks.decision.calibration import logistic
from tasks.models import linear as classifiers
from tasks.models.explain import attribution
from tasks.models.explain.attribution import explain
from tasks.models.explain.pieces import cut_movies, rows_with, texts_of

LINEAR = {
    "logistic-regression": classifiers.LogisticRegression(C=10),
    "linear-svm": classifiers.LinearSVM(C=1),
    "naive-bayes": classifiers.NaiveBayes(alpha=5),
    "complement-naive-bayes": classifiers.NaiveBayes(variant="complement", alpha=5),
    "naive-bayes-svm": classifiers.NaiveBayesSVM(),
    "stacked": classifiers.StackedLogisticRegression(C=1, C2=0.3, folds=2),
}


def check_complete(explanations, scores):
    for row, explanation in enumerate(explanations):
        assert explanation.method == "exact"
        np.testing.assert_allclose(explanation.rest, 0, atol=1e-9)
        np.testing.assert_allclose(logistic(explanation.value), scores[row], rtol=0, atol=2e-5)  # single precision


def test_contributions_sum_to_the_score_with_any_vectors(representations, fit, listed, explain_all):
    model, some = fit(representations), listed.head(20)
    check_complete(explain_all(model, some)[1], model.scores(some))


@pytest.mark.parametrize("classifier", LINEAR)
def test_contributions_sum_to_the_score_of_any_linear_classifier(classifier, fit, listed, explain_all):
    model, some = fit("counts", LINEAR[classifier]), listed.head(20)
    check_complete(explain_all(model, some)[1], model.scores(some))


def test_nothing_known_is_the_base(representations, fit, listed, logits_of, explain_all):
    model, nothing = fit(representations), pl.DataFrame({"movie_name": [""], "description": [None]}, strict=False)
    _, (of_nothing,) = explain_all(model, nothing)
    _, (explanation, *_) = explain_all(model, listed.head(2))
    np.testing.assert_allclose(explanation.base, logits_of(model, nothing)[0], atol=1e-3)
    np.testing.assert_array_equal(of_nothing.value, of_nothing.base)


def test_typical_words_raise_their_genre(representations, fit, explain_all):
    movies = pl.DataFrame({"movie_name": ["Sheriff"], "description": ["A haunted, terrified town"]})
    (pieces,), (explanation,) = explain_all(fit(representations), movies)
    of_word = {piece.text: explanation.contributions[number] for number, piece in enumerate(pieces)}
    assert of_word["haunted"].argmax() == of_word["terrified"].argmax() == 1
    assert of_word["haunted"][1] > 0
    assert of_word["Sheriff"].argmax() == 2
    assert not of_word[","].any() or "characters" in representations


def test_a_count_contributes_what_its_removal_takes_away(fit, listed, logits_of, explain_all):
    model, movie = fit("counts"), listed[[7]]
    (pieces,), (explanation,) = explain_all(model, movie)
    present = ~np.eye(len(pieces), dtype=bool)
    without = rows_with(texts_of(movie)[0], pieces, present)
    lost = logits_of(model, movie) - logits_of(model, without)
    np.testing.assert_allclose(explanation.contributions, lost, atol=1e-3)


def test_fields_contribute_what_their_removal_takes_away(fit, listed, logits_of, explain_all):
    model, some = fit("words-and-fields"), listed.head(6)
    for row, (pieces, explanation) in enumerate(zip(*explain_all(model, some), strict=True)):
        fields = [number for number, piece in enumerate(pieces) if piece.start is None]
        present = np.array([[number != gone for number in range(len(pieces))] for gone in fields])
        without = rows_with(texts_of(some)[row], pieces, present)
        lost = logits_of(model, some[[row]]) - logits_of(model, without)
        np.testing.assert_allclose(explanation.contributions[fields], lost, atol=1e-3)


def test_an_ngram_is_shared_among_its_words(fit, explain_all):
    model = deepcopy(fit("pairs"))
    terms = model.vectorizers[0].get_feature_names_out()
    pair = next(term for term in terms if " " in term)
    model.classifier.coef_ = model.classifier.coef_ * (terms == pair)
    movie = pl.DataFrame({"movie_name": [""], "description": [f"{pair} and {pair}"]})
    (pieces,), (explanation,) = explain_all(model, movie)
    shares = explanation.contributions / (explanation.value - explanation.base)
    expected = [0.0 if piece.text == "and" else 0.25 for piece in pieces]
    np.testing.assert_allclose(shares, np.tile(np.array(expected)[:, None], 3), atol=1e-9)


def test_the_clipping_of_a_first_level_is_accounted_for(fit, listed, explain_all, monkeypatch):
    model, some = fit("counts", LINEAR["stacked"]), listed.head(10)
    monkeypatch.setattr(classifiers, "MAX_LOGIT", 0.5)
    monkeypatch.setattr(attribution, "MAX_LOGIT", 0.5)
    check_complete(explain_all(model, some)[1], model.scores(some))


def test_only_asked_genres_are_explained(fit, listed):
    model, some = fit("words-and-fields"), listed.head(3)
    _, whole = explain(model, some, [(0, 1, 2)] * 3)
    _, asked = explain(model, some, [(2,), (), (0, 2)])
    np.testing.assert_allclose(asked[0].contributions, whole[0].contributions[:, [2]])
    assert asked[1].contributions.shape == (len(cut_movies(some)[1]), 0)
    np.testing.assert_allclose(asked[2].value, whole[2].value[[0, 2]])
