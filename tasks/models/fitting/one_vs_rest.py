"""One linear classifier a genre, fitted each by itself. All of them end as one weight matrix and one bias a genre.

A genre that no train movie has, or every one, has nothing to separate: its weights are zero and its score is 0 or 1.
"""

import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

import numpy as np
from numpy.typing import NDArray
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression

from tasks.errors import ModelError
from tasks.models.fitting.training import Training, TwoClassProblem
from tasks.models.scoring.linear import LinearScorer

Weights = tuple[NDArray[np.float64], float]  # one genre: (features,), bias
FitGenre = Callable[[TwoClassProblem], Weights]

# LIBLINEAR's own for its primal solvers. On 18,257 movies scikit-learn's 1e-4 takes 1.6 to 1.8 times as long, and the
# validation Jaccard is the same to 0.001.
TOLERANCE: Final = 0.01
CERTAIN_LOGIT: Final = 200.0  # its logistic is exactly 0 or 1 in float32


class LiblinearGenerator:
    """LIBLINEAR's generator of random numbers: one a process, which every fit sets to its seed when it begins.

    The dual solver draws from it, so that no other fit may begin meanwhile. Primal solvers draw nothing: they are
    fitted side by side, while no dual one is.
    """

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._n_setting, self._is_drawn_from = 0, False

    @contextmanager
    def set(self) -> Iterator[None]:
        """Wait until no fit draws, then keep those that draw from beginning."""
        with self._changed:
            self._changed.wait_for(lambda: not self._is_drawn_from)
            self._n_setting += 1
        try:
            yield
        finally:
            with self._changed:
                self._n_setting -= 1
                self._changed.notify_all()

    @contextmanager
    def drawn_from(self) -> Iterator[None]:
        """Wait until no other fit goes on, then keep all from beginning."""
        with self._changed:
            self._changed.wait_for(lambda: not self._is_drawn_from and not self._n_setting)
            self._is_drawn_from = True
        try:
            yield
        finally:
            with self._changed:
                self._is_drawn_from = False
                self._changed.notify_all()


LIBLINEAR: Final = LiblinearGenerator()


def one_vs_rest(training: Training, fit_genre: FitGenre) -> LinearScorer:
    """Fit every genre by itself.

    Raises:
        ModelError: a genre did not converge within iterations that are far above what converges.
    """
    weights = np.zeros((training.X.shape[1], training.Y.shape[1]), dtype=np.float32)
    bias = constant_logits(training.Y)
    for column, problem in training.two_class_problems():
        with converging(training.genres[column]):
            weights[:, column], bias[column] = fit_genre(problem)
    return LinearScorer(weights, bias)


@contextmanager
def converging(genre: str) -> Iterator[None]:
    """Make an error, which names the genre, of scikit-learn's warning that a solver did not converge."""
    with warnings.catch_warnings():
        warnings.simplefilter("error", ConvergenceWarning)
        try:
            yield
        except ConvergenceWarning as warning:
            raise ModelError(f"{genre}: {warning}; choose a smaller C") from warning


def constant_logits(Y: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Return the log-odds of each genre that all rows of Y have, or none; those of the others mean nothing."""
    return np.where(Y.all(axis=0), CERTAIN_LOGIT, -CERTAIN_LOGIT).astype(np.float32)


def logistic_weights(problem: TwoClassProblem, C: float) -> Weights:
    """Fit one L2-regularised logistic regression with LIBLINEAR.

    Source: Fan et al. 2008, LIBLINEAR: A Library for Large Linear Classification.
    """
    model = LogisticRegression(
        C=C,
        solver="liblinear",
        tol=TOLERANCE,
        random_state=problem.seed,
        max_iter=1000,
        class_weight=problem.class_weight,
    )
    with LIBLINEAR.set():
        model.fit(problem.X, problem.y)
    return model.coef_[0], float(model.intercept_[0])
