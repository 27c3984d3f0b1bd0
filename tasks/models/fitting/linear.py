"""Linear classifiers that are fitted one genre at a time: logistic regression and the linear SVM."""

import logging
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit
from sklearn import svm
from sklearn.model_selection import StratifiedKFold

from tasks.models import classifiers
from tasks.models.fitting.one_vs_rest import LIBLINEAR, TOLERANCE, Weights, logistic_weights, one_vs_rest
from tasks.models.fitting.training import Training, TwoClassProblem
from tasks.models.scoring.linear import LinearScorer

logger = logging.getLogger(__name__)

STRENGTHS: Final = (0.25, 1.0, 4.0, 16.0)  # of the penalty, inverse: what each genre may choose its C among
STRENGTH_FOLDS: Final = 3
USUAL_STRENGTH: Final = 4.0


def fit_logistic_regression(config: classifiers.LogisticRegression, training: Training) -> LinearScorer:
    """Fit one L2-regularised logistic regression per genre."""

    def fit_genre(problem: TwoClassProblem) -> Weights:
        C = best_strength(problem) if config.C == "per-genre" else config.C
        return logistic_weights(problem.resampled(), C)

    return one_vs_rest(training, fit_genre)


def best_strength(problem: TwoClassProblem) -> float:
    """Return the C of a grid with the least log loss on held-out movies of three folds; of equals the smallest.

    A genre with fewer positives than folds gets the usual one. Synthetic movies are made inside the folds.
    """
    if min(problem.y.sum(), (~problem.y).sum()) < STRENGTH_FOLDS:
        logger.warning("%s: too few train movies have it to choose its C; it is %g", problem.genre, USUAL_STRENGTH)
        return USUAL_STRENGTH
    folds = StratifiedKFold(STRENGTH_FOLDS, shuffle=True, random_state=problem.seed)
    losses = np.zeros(len(STRENGTHS))
    for inside, outside in folds.split(problem.y, problem.y):
        resampled, y = problem.at(inside).resampled(), problem.y[outside]
        for number, C in enumerate(STRENGTHS):
            weights, bias = logistic_weights(resampled, C)
            margins = problem.X[outside] @ weights + bias
            losses[number] += np.logaddexp(0, np.where(y, -margins, margins)).sum()
    best = STRENGTHS[int(losses.argmin())]
    logger.info("%s: C is %g", problem.genre, best)
    return best


def fit_linear_svm(config: classifiers.LinearSVM, training: Training) -> LinearScorer:
    """Fit one linear SVM per genre and scale its margins to probabilities with the margins of held-out folds.

    A genre with fewer positives than folds keeps its margins as log-odds. Synthetic movies are made of the movies
    inside the folds, so that no held-out margin is of one. Balanced weights and synthetic movies change the margins;
    the scores stay probabilities in the real proportions.

    Source: Platt 1999, Probabilistic outputs for support vector machines, with his smoothed targets.
    """

    def margins(problem: TwoClassProblem) -> Weights:
        model = svm.LinearSVC(
            C=config.C, tol=TOLERANCE, random_state=problem.seed, max_iter=5000, class_weight=problem.class_weight
        )
        with LIBLINEAR.drawn_from():  # its primal solver takes three times as long on wide vectors
            model.fit(problem.X, problem.y)
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
