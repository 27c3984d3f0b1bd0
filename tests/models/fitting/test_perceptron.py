from dataclasses import replace

import numpy as np
import pytest
from sklearn.neural_network import MLPClassifier

from tasks.models import classifiers
from tasks.models.fitting import perceptron
from tasks.models.fitting.perceptron import as_scorer, fit_multilayer_perceptron

TINY = classifiers.MultilayerPerceptron(hidden=10, learning_rate=0.02)


def test_scores_equal_scikit_learns(training):
    theirs = MLPClassifier((5,), max_iter=300, tol=1e-2, random_state=0).fit(training.X, training.Y)
    np.testing.assert_allclose(as_scorer(theirs).scores(training.X), theirs.predict_proba(training.X), atol=1e-6)


def test_the_epoch_with_the_best_held_out_loss_is_kept(training, monkeypatch):
    losses = iter([0.5, 0.3, 0.4, 0.31, 0.32, 0.1])
    seen = []
    monkeypatch.setattr(perceptron, "_log_loss", lambda logits, _: seen.append(logits) or next(losses))
    scorer = fit_multilayer_perceptron(TINY, training)
    assert len(seen) == 2 + perceptron.PATIENCE
    held_out = np.random.default_rng(training.seed).permutation(120)[:12]
    np.testing.assert_allclose(scorer.logits(training.X[held_out]), seen[1], atol=1e-5)


@pytest.mark.parametrize("columns", [[1], [0, 1]])
def test_one_genre_and_two_are_learnt(training, columns):
    part = replace(training, Y=training.Y[:, columns], genres=tuple("AB"[column] for column in columns))
    assert ((fit_multilayer_perceptron(TINY, part).scores(part.X) > 0.5) == part.Y).mean() > 0.8
