"""Sparse vectors as a few dense dimensions. Owns applying and the stored form of a linear reduction, not fitting."""

from pathlib import Path
from typing import Final, Self

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

FILES: Final = ("reduction.npy",)


class Reduction:
    """Multiplies vectors by a (features × dimensions) float32 matrix; a vector of zeros stays one."""

    def __init__(self, matrix: NDArray[np.float32]) -> None:
        self.matrix = matrix

    def apply(self, X: sparse.csr_array) -> NDArray[np.float32]:
        """Return (rows × dimensions)."""
        return np.asarray(X @ self.matrix, dtype=np.float32)

    def save(self, folder: Path) -> None:
        """Write the files named in `FILES`."""
        np.save(folder / "reduction.npy", self.matrix, allow_pickle=False)

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read what `save` wrote."""
        return cls(np.load(folder / "reduction.npy", allow_pickle=False))
