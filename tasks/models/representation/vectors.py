"""What every fitted representation can do. Owns the protocol only."""

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol, Self

import numpy as np
from numpy.typing import NDArray
from scipy import sparse


class Vectors(Protocol):
    """A representation of documents as float32 rows; a row depends on no other row."""

    def fit(self, documents: Sequence[str], Y: NDArray[np.bool_], seed: int) -> Self:
        """Learn from the train documents and which of the genres each has, (documents × genres)."""
        ...

    def transform(self, documents: Sequence[str]) -> sparse.csr_array:
        """Return (documents × features)."""
        ...

    @property
    def feature_names(self) -> Sequence[str]:
        """What each column stands for."""
        ...

    def save(self, folder: Path) -> None:
        """Write the fitted state into a folder that exists, without pickle."""
        ...
