"""Gradient boosting as it scores: an ensemble of trees a genre. Owns scoring and the stored form, not fitting."""

from pathlib import Path
from typing import Final, Self

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.special import expit

from tasks.models.scoring import reduction
from tasks.models.scoring.reduction import Reduction
from tasks.models.scoring.trees import ROWS_AT_ONCE, Trees

FILES: Final = (*reduction.FILES, "trees.npz")


class BoostingScorer:
    """Scores `logistic(bias + the sum of the values of the leaves of the genre's trees)` on reduced vectors.

    Attributes:
        reduction: what the trees read.
        trees: of all genres.
        values: (leaves,) float32 log-odds.
        genre_of_tree: (trees,) int32 columns of the scores.
        bias: (genres,) float32.
    """

    def __init__(
        self,
        reduction: Reduction,
        trees: Trees,
        values: NDArray[np.float32],
        genre_of_tree: NDArray[np.int32],
        bias: NDArray[np.float32],
    ) -> None:
        self.reduction, self.trees = reduction, trees
        self.values, self.genre_of_tree, self.bias = values, genre_of_tree, bias

    def scores(self, X: sparse.csr_array) -> NDArray[np.float32]:
        """Return the (rows × genres) scores in [0, 1]."""
        is_of_genre = (self.genre_of_tree[:, None] == np.arange(len(self.bias))).astype(np.float32)
        logits = np.empty((X.shape[0], len(self.bias)), dtype=np.float32)
        for start in range(0, X.shape[0], ROWS_AT_ONCE):
            leaves = self.trees.leaves(self.reduction.apply(X[start : start + ROWS_AT_ONCE]))
            logits[start : start + ROWS_AT_ONCE] = self.values[leaves] @ is_of_genre + self.bias
        return np.asarray(expit(logits), dtype=np.float32)

    def save(self, folder: Path) -> None:
        """Write the files named in `FILES`."""
        self.reduction.save(folder)
        own = {"values": self.values, "genre_of_tree": self.genre_of_tree, "bias": self.bias}
        np.savez(folder / "trees.npz", **self.trees.arrays(), **own)  # type: ignore[arg-type]

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read what `save` wrote."""
        with np.load(folder / "trees.npz", allow_pickle=False) as stored:
            trees = Trees(*(stored[name] for name in ("roots", "children", "columns", "thresholds")))
            return cls(Reduction.load(folder), trees, stored["values"], stored["genre_of_tree"], stored["bias"])
