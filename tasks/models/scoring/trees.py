"""Decision trees as they score: flat arrays of all trees. Owns descent and the stored form, not fitting."""

from pathlib import Path
from typing import Final, Self

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

FILES: Final = ("trees.npz",)
ROWS_AT_ONCE: Final = 256  # bounds the dense columns in memory: 256 × 10,000 columns that any tree asks for are 10 MB


class Trees:
    """Binary trees that send a row to the left where its value is at most the threshold.

    Nodes that split are numbered through all trees, and so are leaves, apart from them. Leaf k is written as ~k where a
    node could stand.

    Attributes:
        roots: (trees,) int32.
        children: (nodes × 2) int32, left and right.
        columns: (nodes,) int32; what each node asks for.
        thresholds: (nodes,) float32.
    """

    def __init__(
        self,
        roots: NDArray[np.int32],
        children: NDArray[np.int32],
        columns: NDArray[np.int32],
        thresholds: NDArray[np.float32],
    ) -> None:
        self.roots, self.children, self.columns, self.thresholds = roots, children, columns, thresholds

    def leaves(self, X: NDArray[np.float32]) -> NDArray[np.int32]:
        """Return in which leaf of each tree each row ends, (rows × trees), one level down all trees at a time."""
        at = np.tile(self.roots, (len(X), 1))
        while (moving := np.nonzero(at >= 0))[0].size:
            nodes = at[moving]
            is_greater = X[moving[0], self.columns[nodes]] > self.thresholds[nodes]
            at[moving] = self.children[nodes, is_greater.astype(np.intp)]
        return ~at

    def arrays(self) -> dict[str, NDArray[np.int32] | NDArray[np.float32]]:
        """Return what the constructor takes."""
        return vars(self)


class ForestScorer:
    """Score of a genre: its share among the train movies of the leaf, averaged over trees.

    Attributes:
        trees: over the columns in `used`, by their place there.
        used: (used columns,) int32; the columns of the vectors that any tree asks for.
        shares: (leaves × genres) float32.
    """

    def __init__(self, trees: Trees, used: NDArray[np.int32], shares: NDArray[np.float32]) -> None:
        self.trees, self.used, self.shares = trees, used, shares

    def scores(self, X: sparse.csr_array) -> NDArray[np.float32]:
        """Return the (rows × genres) scores in [0, 1]."""
        used = X[:, self.used]
        found = np.empty((X.shape[0], self.shares.shape[1]), dtype=np.float32)
        for start in range(0, X.shape[0], ROWS_AT_ONCE):
            leaves = self.trees.leaves(used[start : start + ROWS_AT_ONCE].toarray())
            found[start : start + ROWS_AT_ONCE] = self.shares[leaves].mean(axis=1, dtype=np.float64)
        return found

    def save(self, folder: Path) -> None:
        """Write the files named in `FILES`."""
        np.savez(folder / "trees.npz", **self.trees.arrays(), used=self.used, shares=self.shares)  # type: ignore[arg-type]

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read what `save` wrote."""
        with np.load(folder / "trees.npz", allow_pickle=False) as stored:
            trees = Trees(*(stored[name] for name in ("roots", "children", "columns", "thresholds")))
            return cls(trees, stored["used"], stored["shares"])
