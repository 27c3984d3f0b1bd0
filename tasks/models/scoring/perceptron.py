"""A network with one hidden layer as it scores. Owns scoring and the stored form, not fitting."""

from pathlib import Path
from typing import Final, Self

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.special import expit

from tasks.models.scoring import reduction
from tasks.models.scoring.reduction import Reduction

LAYER_FILES: Final = ("hidden_weights.npy", "hidden_bias.npy", "weights.npy", "bias.npy")
FILES: Final = (*reduction.FILES, *LAYER_FILES)


class PerceptronScorer:
    """Scores `logistic(max(0, Z H + h) W + b)`, Z being the reduced vectors.

    Attributes:
        reduction: what makes them.
        layers: H (dimensions × units), h (units,), W (units × genres) and b (genres,), float32.
    """

    def __init__(self, reduction: Reduction, layers: tuple[NDArray[np.float32], ...]) -> None:
        self.reduction, self.layers = reduction, layers

    def scores(self, X: sparse.csr_array) -> NDArray[np.float32]:
        """Return the (rows × genres) scores in [0, 1]."""
        return np.asarray(expit(forward(self.reduction.apply(X), self.layers)), dtype=np.float32)

    def save(self, folder: Path) -> None:
        """Write the files named in `FILES`."""
        self.reduction.save(folder)
        for name, layer in zip(LAYER_FILES, self.layers, strict=True):
            np.save(folder / name, layer, allow_pickle=False)

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read what `save` wrote."""
        layers = tuple(np.load(folder / name, allow_pickle=False) for name in LAYER_FILES)
        return cls(Reduction.load(folder), layers)


def forward(Z: NDArray[np.float32], layers: tuple[NDArray[np.float32], ...]) -> NDArray[np.float32]:
    """Return the log-odds (rows × genres) of reduced vectors."""
    hidden_weights, hidden_bias, weights, bias = layers
    logits: NDArray[np.float32] = np.maximum(Z @ hidden_weights + hidden_bias, 0) @ weights + bias
    return logits
