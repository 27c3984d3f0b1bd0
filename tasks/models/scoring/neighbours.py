"""Nearest neighbours for all genres at once. Owns the vote and the stored form: the train vectors."""

from pathlib import Path
from typing import Final, Self

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

FILES: Final = ("train_vectors.npz", "train_labels.npz")
ROWS_AT_ONCE: Final = 256  # bounds the dense similarities in memory: 256 × 240,000 train movies are 250 MB


class NeighbourScorer:
    """Score of a genre: the share of the k most similar train movies that have it, weighted by cosine similarity.

    A movie that shares no word with any train movie gets the genres' shares in train.
    """

    def __init__(self, X: sparse.csr_array, Y: NDArray[np.bool_], k: int) -> None:
        self.X, self.Y, self.k = X, Y, min(k, X.shape[0])

    def scores(self, X: sparse.csr_array) -> NDArray[np.float32]:
        """Return the (rows × genres) scores in [0, 1]."""
        train, queries = _unit_rows(self.X).T.tocsr(), _unit_rows(X)
        labels, shares = self.Y.astype(np.float32), self.Y.mean(axis=0, dtype=np.float32)
        found = np.empty((X.shape[0], self.Y.shape[1]), dtype=np.float32)
        for start in range(0, X.shape[0], ROWS_AT_ONCE):
            similar = (queries[start : start + ROWS_AT_ONCE] @ train).toarray()
            nearest = np.argpartition(-similar, self.k - 1, axis=1)[:, : self.k]
            weights = np.take_along_axis(similar, nearest, axis=1)
            totals = weights.sum(axis=1, keepdims=True)
            votes = np.einsum("rk,rkg->rg", weights, labels[nearest])
            voted = votes / np.where(totals > 0, totals, 1)
            found[start : start + len(similar)] = np.where(totals > 0, voted, shares)
        return np.clip(found, 0, 1)

    def save(self, folder: Path) -> None:
        """Write the files named in `FILES`."""
        sparse.save_npz(folder / "train_vectors.npz", self.X, compressed=False)
        np.savez(folder / "train_labels.npz", Y=np.packbits(self.Y, axis=1), genres=self.Y.shape[1], k=self.k)

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read what `save` wrote."""
        with np.load(folder / "train_labels.npz", allow_pickle=False) as stored:
            Y = np.unpackbits(stored["Y"], axis=1, count=int(stored["genres"])).astype(bool)
            return cls(sparse.csr_array(sparse.load_npz(folder / "train_vectors.npz")), Y, int(stored["k"]))


def _unit_rows(X: sparse.csr_array) -> sparse.csr_array:
    lengths = np.sqrt(np.asarray(X.multiply(X).sum(axis=1)).ravel())
    lengths[lengths == 0] = 1
    unit = X.copy()
    unit.data = X.data / np.repeat(lengths, np.diff(X.indptr)).astype(np.float32)
    return unit
