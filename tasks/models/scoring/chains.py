"""Classifier chains as they score. Owns scoring and the stored form, not fitting."""

from pathlib import Path
from typing import Final, Self

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.special import expit

FILES: Final = ("weights.npy", "links.npy", "bias.npy", "orders.npy")


class ChainScorer:
    """Score of a genre: the mean over chains of its probability, given the words and the genres before it.

    A chain passes on the probabilities of its genres, as it does not know which of them are true.

    Attributes:
        weights: (chains × features × genres) float32.
        links: (chains × genres × genres) float32; [c, a, b] is what the probability of a adds to the log-odds of b.
        bias: (chains × genres) float32.
        orders: (chains × linked genres) of columns; genres that are in none have no links.
    """

    def __init__(
        self,
        weights: NDArray[np.float32],
        links: NDArray[np.float32],
        bias: NDArray[np.float32],
        orders: NDArray[np.int64],
    ) -> None:
        self.weights, self.links, self.bias, self.orders = weights, links, bias, orders

    def scores(self, X: sparse.csr_array) -> NDArray[np.float32]:
        """Return the (rows × genres) scores in [0, 1]."""
        total = np.zeros((X.shape[0], self.bias.shape[1]), dtype=np.float32)
        for weights, links, bias, order in zip(self.weights, self.links, self.bias, self.orders, strict=True):
            logits = X @ weights + bias
            for column in order:
                logits[:, order] += expit(logits[:, [column]]) * links[column, order]
            total += expit(logits)
        return np.asarray(total / len(self.weights), dtype=np.float32)

    def save(self, folder: Path) -> None:
        """Write the files named in `FILES`."""
        for name in FILES:
            np.save(folder / name, getattr(self, name.removesuffix(".npy")), allow_pickle=False)

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read what `save` wrote."""
        weights, links, bias, orders = (np.load(folder / name, allow_pickle=False) for name in FILES)
        return cls(weights, links, bias, orders)
