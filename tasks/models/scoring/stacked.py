"""Two levels of linear models as they score. Owns scoring and the stored form, not fitting."""

from pathlib import Path
from typing import Final, Self

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from tasks.models.scoring import linear
from tasks.models.scoring.linear import LinearScorer

LEVELS: Final = ("first", "second")
FILES: Final = tuple(f"{level}/{name}" for level in LEVELS for name in linear.FILES)
MAX_LOGIT: Final = 10.0  # bounds what the first level says of a genre that one of its folds lacks


class StackedScorer:
    """A linear model that reads the log-odds of all genres by another one."""

    def __init__(self, first: LinearScorer, second: LinearScorer) -> None:
        self.first, self.second = first, second

    def scores(self, X: sparse.csr_array) -> NDArray[np.float32]:
        """Return the (rows × genres) scores in [0, 1]."""
        return self.second.scores(second_level_vectors(self.first.logits(X)))

    def save(self, folder: Path) -> None:
        """Write the files named in `FILES`."""
        for level, scorer in zip(LEVELS, (self.first, self.second), strict=True):
            (folder / level).mkdir()
            scorer.save(folder / level)

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read what `save` wrote."""
        first, second = (LinearScorer.load(folder / level) for level in LEVELS)
        return cls(first, second)


def second_level_vectors(logits: NDArray[np.float32]) -> sparse.csr_array:
    """Return what the second level reads of the first level's log-odds (rows × genres)."""
    return sparse.csr_array(np.clip(logits, -MAX_LOGIT, MAX_LOGIT))
