"""Fitting of a network with one hidden layer and one logistic output a genre."""

from typing import Final

import numpy as np
from numpy.typing import NDArray
from sklearn.neural_network import MLPClassifier

from tasks.models import classifiers
from tasks.models.fitting.one_vs_rest import constant_logits
from tasks.models.fitting.training import Training
from tasks.models.scoring.perceptron import PerceptronScorer

HELD_OUT_SHARE: Final = 0.1
PATIENCE: Final = 3  # epochs without a better held-out loss, after which fitting stops


def fit_multilayer_perceptron(config: classifiers.MultilayerPerceptron, training: Training) -> PerceptronScorer:
    """Fit a network with Adam on the vectors, and keep the epoch with the best loss on held-out movies.

    scikit-learn's own early stopping would watch how many movies have all their genres right at 0.5, which is few.

    Source: Kingma and Ba 2015, Adam: A Method for Stochastic Optimization; Prechelt 1998, Early Stopping - But When?
    """
    varying = training.varying_genres()
    bias = constant_logits(training.Y)
    weights = np.zeros((config.hidden, len(bias)), dtype=np.float32)
    if not varying:
        hidden_weights = np.zeros((training.X.shape[1], config.hidden), dtype=np.float32)
        return PerceptronScorer(hidden_weights, weights[:, 0], weights, bias)
    best = _best_epoch(config, training, varying)
    hidden_weights, hidden_bias, weights[:, varying], bias[varying] = best.layers
    return PerceptronScorer(hidden_weights, hidden_bias, weights, bias)


def _best_epoch(config: classifiers.MultilayerPerceptron, training: Training, columns: list[int]) -> PerceptronScorer:
    rows = np.random.default_rng(training.seed).permutation(len(training.Y))
    held_out, inside = (training.at(part) for part in np.split(rows, [max(1, round(HELD_OUT_SHARE * len(rows)))]))
    model = MLPClassifier(
        (config.hidden,), alpha=config.alpha, learning_rate_init=config.learning_rate, random_state=training.seed
    )
    Y = inside.Y[:, columns]
    targets, classes = (Y, range(len(columns))) if len(columns) > 1 else (Y[:, 0], (False, True))
    best_loss, best_epoch = np.inf, 0
    for epoch in range(config.max_epochs):
        model.partial_fit(inside.X, targets, classes=np.array(classes))
        scorer = as_scorer(model)
        loss = _log_loss(scorer.logits(held_out.X), held_out.Y[:, columns])
        if epoch == 0 or loss < best_loss:
            best, best_loss, best_epoch = scorer, loss, epoch
        if epoch - best_epoch >= PATIENCE:
            break
    return best


def as_scorer(model: MLPClassifier) -> PerceptronScorer:
    """Return a copy of what a network with one hidden layer has learnt so far."""
    pairs = zip(model.coefs_, model.intercepts_, strict=True)
    return PerceptronScorer(*(array.astype(np.float32) for pair in pairs for array in pair))


def _log_loss(logits: NDArray[np.float32], Y: NDArray[np.bool_]) -> float:
    """Return the mean of -log P(y) over movies and genres."""
    return float(np.logaddexp(0, np.where(Y, -logits, logits)).mean())
