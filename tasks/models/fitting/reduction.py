"""Fitting of the reduction of sparse vectors to a few dense dimensions."""

import numpy as np
from scipy import sparse
from sklearn.decomposition import TruncatedSVD

from tasks.models.scoring.reduction import Reduction


def fit_reduction(X: sparse.csr_array, dimensions: int, seed: int) -> Reduction:
    """Fit a truncated SVD whose dimensions all have a mean square of 1 over the rows of X.

    There are at most as many dimensions as X has rows, columns, or dimensions that are not zero. The signs are those
    that make each dimension's largest component positive.

    Source: Halko, Martinsson and Tropp 2011, Finding structure with randomness; scikit-learn's implementation.
    """
    svd = TruncatedSVD(min(dimensions, *X.shape), random_state=seed).fit(X)
    kept = svd.singular_values_ > 1e-6 * svd.singular_values_[0]
    lengths = svd.singular_values_[kept] / np.sqrt(X.shape[0])
    return Reduction(np.ascontiguousarray((svd.components_[kept].T / lengths).astype(np.float32)))
