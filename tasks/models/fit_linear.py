"""Fitting of linear one-vs-rest classifiers. All of them end as one weight matrix and one bias a genre.

A genre that no train movie has, or every one, has nothing to separate: its weights are zero and its score is 0 or 1.
"""

import warnings
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.special import expit, logit
from sklearn import svm
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression as SklearnLogisticRegression
from sklearn.model_selection import StratifiedKFold

from tasks.models import spec
from tasks.models.linear import LinearScorer

Weights = tuple[NDArray[np.float64], float]  # one genre: (features,), bias
FitGenre = Callable[[sparse.csr_array, NDArray[np.bool_]], Weights]

CERTAIN_LOGIT = 200.0  # its logistic is exactly 0 or 1 in float32


def fit_logistic_regression(
    config: spec.LogisticRegression, X: sparse.csr_array, Y: NDArray[np.bool_], seed: int
) -> LinearScorer:
    """Fit one L2-regularised logistic regression per genre with LIBLINEAR (Fan et al. 2008)."""

    def fit_genre(X: sparse.csr_array, y: NDArray[np.bool_]) -> Weights:
        model = SklearnLogisticRegression(C=config.C, solver="liblinear", random_state=seed, max_iter=1000)
        model.fit(X, y)
        return model.coef_[0], float(model.intercept_[0])

    return _one_vs_rest(X, Y, fit_genre)


def fit_linear_svm(config: spec.LinearSVM, X: sparse.csr_array, Y: NDArray[np.bool_], seed: int) -> LinearScorer:
    """Fit one linear SVM per genre and scale its margins to probabilities with the margins of held-out folds.

    A genre with fewer positives than folds keeps its margins as log-odds.

    Source: Platt 1999, Probabilistic outputs for support vector machines, with his smoothed targets.
    """

    def margins(X: sparse.csr_array, y: NDArray[np.bool_]) -> Weights:
        model = svm.LinearSVC(C=config.C, random_state=seed, max_iter=5000).fit(X, y)
        return model.coef_[0], float(model.intercept_[0])

    def fit_genre(X: sparse.csr_array, y: NDArray[np.bool_]) -> Weights:
        weights, bias = margins(X, y)
        if min(y.sum(), (~y).sum()) < config.calibration_folds:
            return weights, bias
        held_out = np.empty(len(y))
        folds = StratifiedKFold(config.calibration_folds, shuffle=True, random_state=seed)
        for inside, outside in folds.split(X, y):
            fold_weights, fold_bias = margins(X[inside], y[inside])
            held_out[outside] = X[outside] @ fold_weights + fold_bias
        slope, offset = _platt(held_out, y)
        return weights * slope, bias * slope + offset

    return _one_vs_rest(X, Y, fit_genre)


def fit_naive_bayes(config: spec.NaiveBayes, X: sparse.csr_array, Y: NDArray[np.bool_], seed: int) -> LinearScorer:
    """Fit one two-class multinomial naive Bayes per genre; its log-odds are linear in the counts.

    Source: Manning, Raghavan and Schütze 2008, Introduction to Information Retrieval, section 13.2.
    """
    del seed  # nothing is drawn

    def fit_genre(X: sparse.csr_array, y: NDArray[np.bool_]) -> Weights:
        log_probabilities = []
        for rows in (y, ~y):
            counts = np.asarray(X[np.flatnonzero(rows)].sum(axis=0), dtype=np.float64).ravel() + config.alpha
            log_probabilities.append(np.log(counts / counts.sum()))
        return log_probabilities[0] - log_probabilities[1], float(logit(y.mean()))

    return _one_vs_rest(X, Y, fit_genre)


def _one_vs_rest(X: sparse.csr_array, Y: NDArray[np.bool_], fit_genre: FitGenre) -> LinearScorer:
    weights = np.zeros((X.shape[1], Y.shape[1]), dtype=np.float32)
    bias = np.empty(Y.shape[1], dtype=np.float32)
    for column, y in enumerate(Y.T):
        if y.all() or not y.any():
            bias[column] = CERTAIN_LOGIT if y.all() else -CERTAIN_LOGIT
            continue
        with warnings.catch_warnings():
            # The limit on iterations is far above what converges; a genre that reaches it must not pass unseen.
            warnings.simplefilter("error", ConvergenceWarning)
            weights[:, column], bias[column] = fit_genre(X, y)
    return LinearScorer(weights, bias)


def _platt(margins: NDArray[np.float64], y: NDArray[np.bool_]) -> tuple[float, float]:
    positives, negatives = int(y.sum()), int((~y).sum())
    targets = np.where(y, (positives + 1) / (positives + 2), 1 / (negatives + 2))
    design = np.column_stack([margins, np.ones_like(margins)])
    slope_and_offset = np.array([1.0, 0.0])
    for _ in range(100):  # Newton's method; the loss is convex
        probabilities = expit(design @ slope_and_offset)
        gradient = design.T @ (probabilities - targets)
        hessian = (design * (probabilities * (1 - probabilities))[:, None]).T @ design + 1e-9 * np.eye(2)
        step = np.linalg.solve(hessian, gradient)
        slope_and_offset -= step
        if np.abs(step).max() < 1e-8:
            break
    return float(slope_and_offset[0]), float(slope_and_offset[1])
