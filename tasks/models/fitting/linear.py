"""Fitting of linear one-vs-rest classifiers. All of them end as one weight matrix and one bias a genre.

A genre that no train movie has, or every one, has nothing to separate: its weights are zero and its score is 0 or 1.
"""

import warnings
from collections.abc import Callable
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, logit
from sklearn import svm
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression as SklearnLogisticRegression
from sklearn.model_selection import StratifiedKFold

from tasks.models import classifiers
from tasks.models.fitting.training import Training, TwoClassProblem
from tasks.models.scoring.linear import LinearScorer

Weights = tuple[NDArray[np.float64], float]  # one genre: (features,), bias
FitGenre = Callable[[TwoClassProblem], Weights]

CERTAIN_LOGIT: Final = 200.0  # its logistic is exactly 0 or 1 in float32


def fit_logistic_regression(config: classifiers.LogisticRegression, training: Training) -> LinearScorer:
    """Fit one L2-regularised logistic regression per genre with LIBLINEAR (Fan et al. 2008)."""
    return one_vs_rest(training, lambda problem: logistic_weights(problem.resampled(), config.C))


def fit_linear_svm(config: classifiers.LinearSVM, training: Training) -> LinearScorer:
    """Fit one linear SVM per genre and scale its margins to probabilities with the margins of held-out folds.

    A genre with fewer positives than folds keeps its margins as log-odds. Synthetic movies are made of the movies
    inside the folds, so that no held-out margin is of one.

    Source: Platt 1999, Probabilistic outputs for support vector machines, with his smoothed targets.
    """

    def margins(problem: TwoClassProblem) -> Weights:
        model = svm.LinearSVC(
            C=config.C, random_state=problem.seed, max_iter=5000, class_weight=problem.class_weight
        ).fit(problem.X, problem.y)
        return model.coef_[0], float(model.intercept_[0])

    def fit_genre(problem: TwoClassProblem) -> Weights:
        weights, bias = margins(problem.resampled())
        y = problem.y
        if min(y.sum(), (~y).sum()) < config.calibration_folds:
            return weights, bias
        held_out = np.empty(len(y))
        folds = StratifiedKFold(config.calibration_folds, shuffle=True, random_state=problem.seed)
        for inside, outside in folds.split(y, y):
            fold_weights, fold_bias = margins(problem.at(inside).resampled())
            held_out[outside] = problem.X[outside] @ fold_weights + fold_bias
        slope, offset = _platt(held_out, y)
        return weights * slope, bias * slope + offset

    return one_vs_rest(training, fit_genre)


def fit_naive_bayes(config: classifiers.NaiveBayes, training: Training) -> LinearScorer:
    """Fit one two-class multinomial naive Bayes per genre; its log-odds are linear in the counts.

    Source: Manning, Raghavan and Schütze 2008, Introduction to Information Retrieval, section 13.2.
    """

    def fit_genre(problem: TwoClassProblem) -> Weights:
        return log_count_ratio(problem, config.alpha), float(logit(problem.y.mean()))

    return one_vs_rest(training, fit_genre)


def log_count_ratio(problem: TwoClassProblem, alpha: float) -> NDArray[np.float64]:
    """Return log P(term | genre) - log P(term | others) of each term, with additive smoothing."""
    log_probabilities = []
    for rows in (problem.y, ~problem.y):
        counts = np.asarray(problem.X[np.flatnonzero(rows)].sum(axis=0), dtype=np.float64).ravel() + alpha
        log_probabilities.append(np.log(counts / counts.sum()))
    return np.asarray(log_probabilities[0] - log_probabilities[1])


def logistic_weights(problem: TwoClassProblem, C: float) -> Weights:
    """Fit one L2-regularised logistic regression."""
    model = SklearnLogisticRegression(
        C=C, solver="liblinear", random_state=problem.seed, max_iter=1000, class_weight=problem.class_weight
    )
    model.fit(problem.X, problem.y)
    return model.coef_[0], float(model.intercept_[0])


def one_vs_rest(training: Training, fit_genre: FitGenre) -> LinearScorer:
    """Fit every genre by itself.

    Raises:
        ConvergenceWarning: a genre did not converge within iterations that are far above what converges.
    """
    n_genres = training.Y.shape[1]
    weights = np.zeros((training.X.shape[1], n_genres), dtype=np.float32)
    bias = np.where(training.Y.all(axis=0), CERTAIN_LOGIT, -CERTAIN_LOGIT).astype(np.float32)
    for column, problem in training.two_class_problems():
        with warnings.catch_warnings():
            warnings.simplefilter("error", ConvergenceWarning)
            weights[:, column], bias[column] = fit_genre(problem)
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
