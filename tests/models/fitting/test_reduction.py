import numpy as np
from sklearn.decomposition import TruncatedSVD

from tasks.models.fitting.reduction import fit_reduction


def test_reduction_is_a_truncated_svd_of_unit_mean_square(training):
    Z = fit_reduction(training.X, 6, 3).apply(training.X)
    theirs = TruncatedSVD(6, random_state=3).fit_transform(training.X)
    np.testing.assert_allclose((Z**2).mean(axis=0), 1, rtol=1e-3)
    np.testing.assert_allclose(Z, theirs / np.sqrt((theirs**2).mean(axis=0)), atol=1e-3)


def test_reduction_leaves_no_more_dimensions_than_there_are(training):
    doubled = training.X[:, [0, 1, 0, 1]]
    assert fit_reduction(doubled, 10, 3).matrix.shape == (4, 2)
