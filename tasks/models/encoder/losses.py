"""The losses on logits. Owns the formulas; their choices and sources are in `tasks.models.losses`."""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits as cross_entropy
from torch.nn.functional import logsigmoid

from tasks.models.losses import Asymmetric, BinaryCrossEntropy, Focal, LogWeighted, Loss

LossFunction = Callable[[Tensor, Tensor], Tensor]


def loss_function(loss: Loss, genre_counts: Tensor, n_movies: int) -> LossFunction:
    """Return a function of logits and labels, both (movies × genres), labels 0 or 1, to one number.

    Args:
        loss: which.
        genre_counts: (genres,) how many train movies have each.
        n_movies: how many train movies there are.
    """
    match loss:
        case BinaryCrossEntropy():
            return cross_entropy
        case LogWeighted():
            weights = log_weights(genre_counts, n_movies)
            return lambda logits, labels: cross_entropy(logits, labels, weight=weights.to(logits.device))
        case Focal():
            return lambda logits, labels: focal(logits, labels, loss.alpha, loss.gamma)
        case Asymmetric():
            return lambda logits, labels: asymmetric(logits, labels, loss)


def log_weights(genre_counts: Tensor, n_movies: int) -> Tensor:
    """Return `log(N / (count + 1))` of each genre, divided by their mean; all 1 where that is not above 0."""
    weights = torch.log(n_movies / (genre_counts.double() + 1)).clamp(min=0)
    mean = weights.mean()
    return (weights / mean if mean > 0 else torch.ones_like(weights)).float()


def focal(logits: Tensor, labels: Tensor, alpha: float, gamma: float) -> Tensor:
    """Return the focal loss, computed from logits: no logarithm of 0, however sure the model is."""
    signed = torch.where(labels > 0.5, logits, -logits)  # of what is true
    factor = torch.where(labels > 0.5, alpha, 1 - alpha)
    return (-factor * fading(signed, gamma) * logsigmoid(signed)).mean()


def fading(logits: Tensor, gamma: float) -> Tensor:
    """Return `(1 - p)^gamma`; unlike that of a power, its gradient is finite where p is 1 and gamma below 1."""
    return torch.exp(gamma * logsigmoid(-logits))


def asymmetric(logits: Tensor, labels: Tensor, loss: Asymmetric) -> Tensor:
    """Return the asymmetric loss."""
    positive = -fading(logits, loss.gamma_positive) * logsigmoid(logits)
    shifted = (torch.sigmoid(logits) - loss.margin).clamp(min=0)  # of a false genre
    negative = -(shifted**loss.gamma_negative) * torch.log1p(-shifted.clamp(max=1 - 1e-7))
    return torch.where(labels > 0.5, positive, negative).mean()
