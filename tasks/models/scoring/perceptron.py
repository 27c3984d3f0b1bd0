"""A network with one hidden layer as it scores. Owns scoring and the stored form, not fitting."""

from pathlib import Path
from typing import Final, Self

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.special import expit

FILES: Final = ("hidden_weights.npy", "hidden_bias.npy", "weights.npy", "bias.npy")


class PerceptronScorer:
    """Scores `logistic(max(0, X H + h) W + b)`.

    Attributes:
        layers: H (features × units), h (units,), W (units × genres) and b (genres,), float32.
    """

    def __init__(self, *layers: NDArray[np.float32]) -> None:
        self.layers = layers

    def scores(self, X: sparse.csr_array) -> NDArray[np.float32]:
        """Return the (rows × genres) scores in [0, 1]."""
        return np.asarray(expit(self.logits(X)), dtype=np.float32)

    def logits(self, X: sparse.csr_array) -> NDArray[np.float32]:
        """Return the (rows × genres) log-odds."""
        hidden_weights, hidden_bias, weights, bias = self.layers
        hidden = np.maximum(X @ hidden_weights + hidden_bias, 0)
        return np.asarray(hidden @ weights + bias, dtype=np.float32)

    def save(self, folder: Path) -> None:
        """Write the files named in `FILES`."""
        for name, layer in zip(FILES, self.layers, strict=True):
            np.save(folder / name, layer, allow_pickle=False)

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read what `save` wrote."""
        return cls(*(np.load(folder / name, allow_pickle=False) for name in FILES))
