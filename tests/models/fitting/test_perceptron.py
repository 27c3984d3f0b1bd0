from dataclasses import replace

import numpy as np
import pytest
from scipy.special import expit
from sklearn.decomposition import TruncatedSVD
from sklearn.neural_network import MLPClassifier

from tasks.models import classifiers
from tasks.models.fitting import perceptron
from tasks.models.fitting.perceptron import fit_multilayer_perceptron
from tasks.models.fitting.reduction import fit_reduction
from tasks.models.scoring.perceptron import forward

TINY = classifiers.MultilayerPerceptron(components=8, hidden=5, learning_rate=0.02)


def test_forward_pass_equals_scikit_learns(training):
    X = training.X.toarray()
    theirs = MLPClassifier((5,), max_iter=300, tol=1e-2, random_state=0).fit(X, training.Y)
    np.testing.assert_allclose(expit(forward(X, perceptron._layers(theirs))), theirs.predict_proba(X), atol=1e-6)


def test_the_epoch_with_the_best_held_out_loss_is_kept(training, monkeypatch):
    losses = iter([0.5, 0.3, 0.4, 0.31, 0.32, 0.1])
    seen = []
    monkeypatch.setattr(perceptron, "_log_loss", lambda logits, _: seen.append(logits) or next(losses))
    scorer = fit_multilayer_perceptron(TINY, training)
    assert len(seen) == 1 + 1 + perceptron.PATIENCE
    Z = scorer.reduction.apply(training.X)
    held_out = np.random.default_rng(3).permutation(120)[:12]
    np.testing.assert_allclose(forward(Z[held_out], scorer.layers), seen[1], atol=1e-5)


@pytest.mark.parametrize("columns", [[1], [0, 1]])
def test_one_genre_and_two_are_learnt(training, columns):
    part = replace(training, Y=training.Y[:, columns], genres=tuple("AB"[column] for column in columns))
    config = classifiers.MultilayerPerceptron(components=30, hidden=20, learning_rate=0.02)
    scores = fit_multilayer_perceptron(config, part).scores(part.X)
    assert ((scores > 0.5) == part.Y).mean() > 0.8


def test_reduction_is_a_truncated_svd_of_unit_mean_square(training):
    Z = fit_reduction(training.X, 6, 3).apply(training.X)
    theirs = TruncatedSVD(6, random_state=3).fit_transform(training.X)
    np.testing.assert_allclose((Z**2).mean(axis=0), 1, rtol=1e-3)
    np.testing.assert_allclose(Z, theirs / np.sqrt((theirs**2).mean(axis=0)), atol=1e-3)


def test_reduction_leaves_no_more_dimensions_than_there_are(training):
    doubled = training.X[:, [0, 1, 0, 1]]
    assert fit_reduction(doubled, 10, 3).matrix.shape == (4, 2)
