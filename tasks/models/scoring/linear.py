"""A linear model as it scores: one weight matrix, one bias a genre. Owns scoring and the stored form, not fitting."""

from pathlib import Path
from typing import Final, Self

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.special import expit

FILES: Final = ("weights.npy", "bias.npy")


class LinearScorer:
    """Scores `logistic(X W + b)`.

    Attributes:
        weights: (features × genres) float32.
        bias: (genres,) float32.
    """

    def __init__(self, weights: NDArray[np.float32], bias: NDArray[np.float32]) -> None:
        self.weights, self.bias = weights, bias

    def scores(self, X: sparse.csr_array) -> NDArray[np.float32]:
        """Return the (rows × genres) scores in [0, 1]."""
        return np.asarray(expit(self.logits(X)), dtype=np.float32)

    def logits(self, X: sparse.csr_array) -> NDArray[np.float32]:
        """Return the (rows × genres) log-odds."""
        return np.asarray(X @ self.weights + self.bias, dtype=np.float32)

    def save(self, folder: Path) -> None:
        """Write the files named in `FILES`."""
        np.save(folder / "weights.npy", self.weights, allow_pickle=False)
        np.save(folder / "bias.npy", self.bias, allow_pickle=False)

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read what `save` wrote."""
        return cls(
            np.load(folder / "weights.npy", allow_pickle=False), np.load(folder / "bias.npy", allow_pickle=False)
        )
