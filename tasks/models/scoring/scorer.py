"""What every fitted classifier can do. Owns the protocol only."""

from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from scipy import sparse


class Scorer(Protocol):
    """A fitted classifier over vectors."""

    def scores(self, X: sparse.csr_array) -> NDArray[np.float32]:
        """Return the (rows × genres) scores in [0, 1]."""
        ...

    def save(self, folder: Path) -> None:
        """Write the fitted state into a folder that exists, without pickle."""
        ...
