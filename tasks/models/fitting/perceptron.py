"""Fitting of a network with one hidden layer and one logistic output a genre."""

from typing import Final

import numpy as np
from numpy.typing import NDArray
from sklearn.neural_network import MLPClassifier

from tasks.models import classifiers
from tasks.models.fitting.one_vs_rest import constant_logits
from tasks.models.fitting.reduction import fit_reduction
from tasks.models.fitting.training import Training
from tasks.models.scoring.perceptron import PerceptronScorer, forward

Layers = tuple[NDArray[np.float32], ...]

HELD_OUT_SHARE: Final = 0.1
PATIENCE: Final = 3  # epochs without a better held-out loss, after which fitting stops


def fit_multilayer_perceptron(config: classifiers.MultilayerPerceptron, training: Training) -> PerceptronScorer:
    """Fit a network with Adam on vectors reduced by a truncated SVD, and keep the epoch with the best held-out loss.

    The genres are told apart by their names, so that their order does not matter. scikit-learn's own early stopping
    would watch how many movies have all genres right at 0.5, which is hardly any.

    Source: Kingma and Ba 2015, Adam: A Method for Stochastic Optimization; Prechelt 1998, Early Stopping - But When?
    """
    reduction = fit_reduction(training.X, config.components, training.seed)
    varying = sorted((column for column, _ in training.two_class_problems()), key=training.genres.__getitem__)
    bias = constant_logits(training.Y)
    weights = np.zeros((config.hidden, len(bias)), dtype=np.float32)
    hidden_weights = np.zeros((reduction.matrix.shape[1], config.hidden), dtype=np.float32)
    hidden_bias = np.zeros(config.hidden, dtype=np.float32)
    if varying:
        Z = reduction.apply(training.X)
        hidden_weights, hidden_bias, weights[:, varying], bias[varying] = _best_layers(
            config, Z, training.Y[:, varying], training.seed
        )
    return PerceptronScorer(reduction, (hidden_weights, hidden_bias, weights, bias))


def _best_layers(
    config: classifiers.MultilayerPerceptron, Z: NDArray[np.float32], Y: NDArray[np.bool_], seed: int
) -> Layers:
    rows = np.random.default_rng(seed).permutation(len(Z))
    held_out, inside = np.split(rows, [round(HELD_OUT_SHARE * len(rows))])
    model = MLPClassifier(
        (config.hidden,), alpha=config.alpha, learning_rate_init=config.learning_rate, random_state=seed
    )
    targets, classes = (Y, range(Y.shape[1])) if Y.shape[1] > 1 else (Y[:, 0], (False, True))
    best: Layers = ()
    best_loss, best_epoch = np.inf, 0
    for epoch in range(config.max_epochs):
        model.partial_fit(Z[inside], targets[inside], classes=np.array(classes))
        layers = _layers(model)
        loss = _log_loss(forward(Z[held_out], layers), Y[held_out])
        if loss < best_loss:
            best, best_loss, best_epoch = layers, loss, epoch
        if epoch - best_epoch >= PATIENCE:
            break
    return best


def _layers(model: MLPClassifier) -> Layers:
    pairs = zip(model.coefs_, model.intercepts_, strict=True)
    return tuple(array.astype(np.float32) for pair in pairs for array in pair)


def _log_loss(logits: NDArray[np.float32], Y: NDArray[np.bool_]) -> float:
    """Return the mean of -log P(y) over movies and genres."""
    return float(np.logaddexp(0, np.where(Y, -logits, logits)).mean())
