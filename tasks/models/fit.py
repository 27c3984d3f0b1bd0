"""From a classifier's configuration to its fitted form. Owns which function fits which kind."""

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from tasks.models import fit_linear, neighbours, spec
from tasks.models.scorer import Scorer


def fit_scorer(classifier: spec.Classifier, X: sparse.csr_array, Y: NDArray[np.bool_], seed: int) -> Scorer:
    """Fit a classifier on vectors (rows × terms) and labels (rows × genres)."""
    match classifier:
        case spec.LogisticRegression():
            return fit_linear.fit_logistic_regression(classifier, X, Y, seed)
        case spec.LinearSVM():
            return fit_linear.fit_linear_svm(classifier, X, Y, seed)
        case spec.NaiveBayes():
            return fit_linear.fit_naive_bayes(classifier, X, Y, seed)
        case spec.NearestNeighbours():
            return neighbours.fit_nearest_neighbours(classifier, X, Y, seed)
