"""Counts of thirty words in 120 movies, and three genres: one noisy, one certain, one rare."""

import numpy as np
import pytest
from scipy import sparse

from tasks.models.fitting.training import Training


@pytest.fixture
def training() -> Training:
    """What a classifier is fitted on."""
    rng = np.random.default_rng(7)
    X = rng.poisson(0.4, size=(120, 30)).astype(np.float32)
    Y = np.column_stack([X[:, 0] + rng.normal(size=120) > 0.5, X[:, 1] + X[:, 2] > 0, rng.random(120) < 0.02])
    Y[:2, 2] = True
    return Training(sparse.csr_array(X), Y, ("A", "B", "C"), seed=3)
