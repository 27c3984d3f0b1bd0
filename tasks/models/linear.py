"""Classifiers made of one linear model per genre, each fitted against the rest with LIBLINEAR.

`class_weight` and `smote_ratio` treat rare genres: all of them, or the columns in `treated`.
"""

import logging
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Annotated, Any, Final, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, PositiveFloat, PositiveInt
from scipy import sparse
from scipy.optimize import brentq
from scipy.special import expit, logit
from sklearn import linear_model, svm
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import KFold, StratifiedKFold
from sklearn.utils.validation import check_non_negative

from tasks.core.errors import ModelError
from tasks.core.schema import DEFAULT_SEED
from tasks.decision.calibration import fit_line
from tasks.models.multilabel import Labels, Matrix, MultilabelClassifier, Scores, hstack

logger = logging.getLogger(__name__)

# LIBLINEAR's default for its primal solvers. On 18,257 movies scikit-learn's 1e-4 takes 1.6 to 1.8 times as long, for
# the same validation Jaccard to 0.001.
TOLERANCE: Final = 0.01
CERTAIN_LOGIT: Final = 200.0  # its logistic is exactly 0 or 1 in float32
STRENGTHS: Final = (0.25, 1.0, 4.0, 16.0)  # candidates for a genre's own C
STRENGTH_FOLDS: Final = 3
USUAL_STRENGTH: Final = 4.0
NO_PRIOR: Final = 1e-9  # a penalty that only keeps the fit of a line from diverging
# Value of a probability next to tf-idf vectors, which have length 1: smaller values penalise the links more. On 2,282
# validation movies Jaccard and log loss are the same for 1 and 0.3, and fitting takes half the time.
LINK_SCALE: Final = 0.3
MAX_LOGIT: Final = 10.0  # bounds first-level log-odds, which are extreme for a genre that one of the folds lacks

Weights = tuple[NDArray[np.float64], float]  # one genre: (columns,), bias
Folds = Annotated[int, Field(ge=2)]


@dataclass(frozen=True)
class TwoClassProblem:
    """One genre against the rest."""

    X: Matrix
    y: NDArray[np.bool_]  # (rows,)
    label: str
    random_state: int
    class_weight: Literal["balanced"] | None = None
    smote_ratio: float | None = None

    @property
    def smaller_class(self) -> int:
        """The number of rows of the smaller class."""
        return int(min(self.y.sum(), (~self.y).sum()))

    def folds(self, n_folds: int) -> Iterator[tuple["TwoClassProblem", Matrix, NDArray[np.int64]]]:
        """Yield for each fold the resampled problem outside it, and the vectors and rows inside."""
        splits = StratifiedKFold(n_folds, shuffle=True, random_state=self.random_state)
        for inside, outside in splits.split(self.y, self.y):
            yield replace(self, X=self.X[inside], y=self.y[inside]).resampled(), self.X[outside], outside

    def resampled(self) -> "TwoClassProblem":
        """Return the problem with synthetic movies of the genre (SMOTE), or unchanged if none are needed.

        On 18,257 movies with 66,209 columns a ratio of 0.5 for all 21 genres takes 3.5 s in total.

        Source: Chawla et al. 2002, SMOTE: Synthetic Minority Over-sampling Technique, with at most five neighbours.
        """
        ratio, positives = self.smote_ratio, int(self.y.sum())
        if ratio is None or ratio * (len(self.y) - positives) - positives < 1:  # SMOTE refuses to make none
            return self
        if positives < 2:
            logger.warning("%s: only one train movie has it; SMOTE needs at least two and adds none", self.label)
            return self
        from imblearn.over_sampling import SMOTE  # noqa: PLC0415 - takes seconds to import

        sampler = SMOTE(sampling_strategy=ratio, random_state=self.random_state, k_neighbors=min(5, positives - 1))
        X, y = sampler.fit_resample(self.X, self.y)
        return replace(self, X=sparse.csr_array(X), y=np.asarray(y, dtype=np.bool_))


FitGenre = Callable[[TwoClassProblem], Weights]


class FitLock:
    """Lets fits that draw from a process-wide random generator run alone, and others in parallel."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._n_shared = 0

    @contextmanager
    def shared(self) -> Iterator[None]:
        """Wait for a running exclusive fit, then block new ones."""
        with self._changed:
            self._n_shared += 1
        try:
            yield
        finally:
            with self._changed:
                self._n_shared -= 1
                self._changed.notify_all()

    @contextmanager
    def exclusive(self) -> Iterator[None]:
        """Wait for all running fits, then block new ones."""
        with self._changed:
            self._changed.wait_for(lambda: not self._n_shared)
            yield


LIBLINEAR: Final = FitLock()  # every fit seeds its generator, which dual solvers draw from, and primal ones do not


class OneVsRestLinear(MultilabelClassifier):
    """A linear classifier fitted one genre at a time; it scores `logistic(X coef_.T + intercept_)`."""

    coef_: Scores  # (genres × columns)
    intercept_: Scores  # (genres,); ±`CERTAIN_LOGIT` for constant genres, which have zero weights

    def decision_function(self, X: Any) -> Scores:
        """Return the (rows × genres) log-odds; for two classes (rows,), those of the second."""
        logits = self._logits(self._validated(X))
        return logits[:, 0] if not self.is_multilabel_ and logits.shape[1] == 1 else logits

    def _fit(self, X: Matrix, Y: Labels) -> None:
        self.coef_, self.intercept_ = self._one_vs_rest(X, Y)

    def _fit_genre(self, problem: TwoClassProblem) -> Weights:
        raise NotImplementedError

    def _logits(self, X: Matrix) -> Scores:
        return _linear(X, self.coef_, self.intercept_)

    def _scores(self, X: Matrix) -> Scores:
        return np.asarray(expit(self._logits(X)), dtype=np.float32)

    def _problem(self, X: Matrix, Y: Labels, column: int) -> TwoClassProblem:
        return TwoClassProblem(X, Y[:, column], str(self.classes_[column]), DEFAULT_SEED)

    def _one_vs_rest(self, X: Matrix, Y: Labels, fit_genre: FitGenre | None = None) -> tuple[Scores, Scores]:
        """Fit each genre, by default with `_fit_genre`; return `coef_` and `intercept_`."""
        weights = np.zeros((X.shape[1], Y.shape[1]), dtype=np.float32)
        bias = _constant_logits(Y)
        for column in np.flatnonzero(Y.any(axis=0) & ~Y.all(axis=0)).tolist():
            weights[:, column], bias[column] = self._fit_column(X, Y, column, fit_genre or self._fit_genre)
        return weights.T, bias

    def _fit_column(self, X: Matrix, Y: Labels, column: int, fit_genre: FitGenre) -> Weights:
        """Fit one genre; a ModelError names it if scikit-learn warns that a solver did not converge."""
        problem = self._problem(X, Y, column)
        with warnings.catch_warnings():
            warnings.simplefilter("error", ConvergenceWarning)
            try:
                return fit_genre(problem)
            except ConvergenceWarning as warning:
                raise ModelError(f"{problem.label}: {warning}; choose a smaller C") from warning


@dataclass(eq=False, repr=False, kw_only=True)
class ImbalanceAware(OneVsRestLinear):
    """Adds the parameters that treat rare genres, and the random seed; fits logistic regressions."""

    class_weight: Literal["balanced"] | None = None
    smote_ratio: float | None = None
    treated: tuple[int, ...] | None = None  # columns of the genres; None: all
    random_state: int = DEFAULT_SEED
    C: Any = 1.0  # inverse strength of the L2 penalty

    def _fit_genre(self, problem: TwoClassProblem) -> Weights:
        return logistic_weights(problem.resampled(), self.C)

    def _problem(self, X: Matrix, Y: Labels, column: int) -> TwoClassProblem:
        problem = replace(super()._problem(X, Y, column), random_state=self.random_state)
        if self.treated is not None and column not in self.treated:
            return problem
        return replace(problem, class_weight=self.class_weight, smote_ratio=self.smote_ratio)

    def _held_out_logits(self, X: Matrix, Y: Labels, folds: int) -> Scores:
        """Return the log-odds (rows × genres) of each row by one-vs-rest models of the other folds.

        The folds are the same for all genres. With fewer rows than folds each row is a fold.
        """
        if len(Y) < 2:
            raise ValueError("cross-validation needs more rows than n_samples=1")
        logits = np.empty(Y.shape, dtype=np.float32)
        splits = KFold(min(folds, len(Y)), shuffle=True, random_state=self.random_state)
        for inside, outside in splits.split(Y):
            logits[outside] = _linear(X[outside], *self._one_vs_rest(X[inside], Y[inside]))
        return logits


@dataclass(eq=False, repr=False)
class LogisticRegression(ImbalanceAware):
    """One L2-regularised logistic regression per genre; with `C="per-genre"` each C is chosen by cross-validation.

    Source: Fan et al. 2008, LIBLINEAR: A Library for Large Linear Classification.
    """

    C: PositiveFloat | Literal["per-genre"] = 1.0

    def _fit_genre(self, problem: TwoClassProblem) -> Weights:
        C = best_strength(problem) if self.C == "per-genre" else self.C
        return logistic_weights(problem.resampled(), C)


@dataclass(eq=False, repr=False)
class LinearSVM(ImbalanceAware):
    """One linear SVM per genre (squared hinge), with margins scaled to probabilities (Platt scaling).

    The scaling is fitted on margins of held-out folds. A genre with fewer positives than folds keeps its margins as
    log-odds, shifted so that its mean score is its share of train. Synthetic movies are made inside the folds, so no
    held-out margin is of one. Balanced weights and synthetic movies change the margins; the scores remain probabilities
    at the real frequencies.

    Source: Platt 1999, Probabilistic outputs for support vector machines, with his smoothed targets.
    """

    C: PositiveFloat = 0.2
    calibration_folds: Folds = 3  # for held-out margins, to fit their scaling

    def _fit_genre(self, problem: TwoClassProblem) -> Weights:
        weights, bias = self._margin(problem.resampled())
        y = problem.y
        positives, negatives = int(y.sum()), int((~y).sum())
        if problem.smaller_class < self.calibration_folds:
            margins = problem.X @ weights + bias
            share = (positives + 1) / (len(y) + 2)
            return weights, float(bias + brentq(lambda offset: expit(margins + offset).mean() - share, -100, 100))
        held_out = np.empty(len(y))
        for others, X, rows in problem.folds(self.calibration_folds):
            fold_weights, fold_bias = self._margin(others)
            held_out[rows] = X @ fold_weights + fold_bias
        targets = np.where(y, (positives + 1) / (positives + 2), 1 / (negatives + 2))
        slope, offset = fit_line(held_out, targets, strength=NO_PRIOR)
        return weights * slope, float(bias * slope + offset)

    def _margin(self, problem: TwoClassProblem) -> Weights:
        options = {"tol": TOLERANCE, "max_iter": 5000, "class_weight": problem.class_weight}
        model = svm.LinearSVC(C=self.C, random_state=problem.random_state, **options)
        with LIBLINEAR.exclusive():  # its primal solver takes three times as long on wide vectors
            model.fit(problem.X, problem.y)
        return model.coef_[0], float(model.intercept_[0])


@dataclass(eq=False, repr=False)
class NaiveBayes(OneVsRestLinear):
    """One multinomial naive Bayes per genre: movies with the genre against movies without; linear in the counts.

    The complement variant divides the log-probabilities of each class by their sum, so that the smaller class does not
    get larger weights. They are then multiplied by the mean of both sums, so that differences stay log-odds, and the
    genre's share in train counts as in the multinomial variant (in the source both classes are equally likely).

    Source: Manning, Raghavan and Schütze 2008, Introduction to Information Retrieval, section 13.2; Rennie et al. 2003,
    Tackling the Poor Assumptions of Naive Bayes Text Classifiers, table 4.
    """

    variant: Literal["multinomial", "complement"] = "multinomial"
    alpha: PositiveFloat = 0.3  # additive smoothing of the word counts

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.positive_only = True
        tags.classifier_tags.poor_score = True  # on features that are not counts
        return tags

    def _fit(self, X: Matrix, Y: Labels) -> None:
        check_non_negative(X, "NaiveBayes, which reads counts")
        super()._fit(X, Y)

    def _fit_genre(self, problem: TwoClassProblem) -> Weights:
        with_genre, without = _log_probabilities(problem.X, problem.y, self.alpha)
        if self.variant == "complement":
            sums = with_genre.sum(), without.sum()
            with_genre, without = np.mean(sums) * with_genre / sums[0], np.mean(sums) * without / sums[1]
        return with_genre - without, float(logit(problem.y.mean()))


@dataclass(eq=False, repr=False)
class NaiveBayesSVM(ImbalanceAware):
    """One logistic regression per genre on words scaled by their naive Bayes log-count ratio (NB-SVM).

    The ratio counts the movies with a word, as in the source, and ignores the vectors' weights. It is folded into the
    regression's weights, so scoring needs no extra step.

    Source: Wang and Manning 2012, Baselines and Bigrams: Simple, Good Sentiment and Topic Classification, section 2.3.
    """

    C: PositiveFloat = 1.0
    alpha: PositiveFloat = 1.0  # additive smoothing of the word counts

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.classifier_tags.poor_score = True  # on columns that are in every row
        return tags

    def _fit_genre(self, problem: TwoClassProblem) -> Weights:
        presence = problem.X.astype(bool).astype(np.float32)
        with_genre, without = _log_probabilities(presence, problem.y, self.alpha)
        ratio = with_genre - without
        resampled = problem.resampled()
        X = resampled.X.copy()
        X.data = X.data * ratio[X.indices].astype(X.dtype)
        weights, bias = logistic_weights(replace(resampled, X=X), self.C)
        return weights * ratio, bias


@dataclass(eq=False, repr=False)
class ClassifierChains(ImbalanceAware):
    """Chains of logistic regressions, in which each genre reads the genres before it; the mean over random orders.

    A genre learns from held-out probabilities of the genres before it, not from the truth, because it gets
    probabilities when it scores. On 2,282 validation movies the Jaccard is the same (0.477 with three chains), the log
    loss is better (0.2140 against 0.2164), and so is the Jaccard at a threshold of 0.5 (0.422 against 0.413).

    Source: Read et al. 2011, Classifier chains for multi-label classification; Senge, del Coz and Hüllermeier 2013,
    Rectifying classifier chains for multi-label classification (held-out inputs).

    `coef_` is (chains × genres × columns), `intercept_` (chains × genres), `orders_` (chains × varying genres) and
    `links_` (chains × genres × genres): [c, a, b] is what the probability of a adds to b's log-odds.
    """

    C: PositiveFloat = 4.0
    n_chains: PositiveInt = 3  # random orders
    folds: Folds = 3  # for held-out probabilities to learn from

    def _fit(self, X: Matrix, Y: Labels) -> None:
        held_out = expit(self._held_out_logits(X, Y, self.folds)) * np.float32(LINK_SCALE)
        n_columns, n_genres = X.shape[1], Y.shape[1]
        weights = np.zeros((self.n_chains, n_columns, n_genres), dtype=np.float32)
        self.links_ = np.zeros((self.n_chains, n_genres, n_genres), dtype=np.float32)
        self.intercept_ = np.tile(_constant_logits(Y), (self.n_chains, 1))
        rng = np.random.default_rng(self.random_state)
        self.orders_ = np.stack([rng.permutation(self.varying_) for _ in range(self.n_chains)])
        for chain, order in enumerate(self.orders_):
            for position, column in enumerate(order):
                before = order[:position]
                both = hstack([X, sparse.csr_array(held_out[:, before])])
                found, self.intercept_[chain, column] = self._fit_column(both, Y, column, self._fit_genre)
                weights[chain, :, column] = found[:n_columns]
                self.links_[chain, before, column] = found[n_columns:] * LINK_SCALE
        self.coef_ = weights.transpose(0, 2, 1)

    def _scores(self, X: Matrix) -> Scores:
        total = np.zeros((X.shape[0], self.intercept_.shape[1]), dtype=np.float32)
        for coef, links, bias, order in zip(self.coef_, self.links_, self.intercept_, self.orders_, strict=True):
            logits = X @ coef.T + bias
            for column in order:
                logits[:, order] += expit(logits[:, [column]]) * links[column, order]
            total += expit(logits)
        return np.asarray(total / len(self.coef_), dtype=np.float32)

    def _logits(self, X: Matrix) -> Scores:
        return np.asarray(logit(self._scores(X)), dtype=np.float32)


@dataclass(eq=False, repr=False)
class StackedLogisticRegression(ImbalanceAware):
    """Two levels of logistic regressions: the second reads the out-of-fold log-odds of all genres from the first.

    The second level learns from movies that the first had not seen, because it will score such movies. Only the first
    treats imbalance, so that the scores remain probabilities at the real frequencies.

    Source: Godbole and Sarawagi 2004, Discriminative Methods for Multi-labeled Classification, section 3.1; Montañés et
    al. 2014, Dependent binary relevance models for multi-label classification.

    `coef_` and `intercept_` are the first level; `second_coef_` (genres × genres) and `second_intercept_` act on its
    log-odds within ±`MAX_LOGIT`.
    """

    C: PositiveFloat = 4.0
    C2: PositiveFloat = 0.3  # of the second level
    folds: Folds = 5  # for held-out log-odds to learn from

    def _fit(self, X: Matrix, Y: Labels) -> None:
        logits = self._held_out_logits(X, Y, self.folds)
        super()._fit(X, Y)
        self.second_coef_, self.second_intercept_ = self._one_vs_rest(
            _bounded(logits), Y, lambda problem: logistic_weights(replace(problem, class_weight=None), self.C2)
        )

    def _logits(self, X: Matrix) -> Scores:
        return _linear(_bounded(super()._logits(X)), self.second_coef_, self.second_intercept_)


def _linear(X: Matrix, coef: Scores, intercept: Scores) -> Scores:
    return np.asarray(X @ coef.T + intercept, dtype=np.float32)


def _bounded(logits: Scores) -> Matrix:
    return sparse.csr_array(np.clip(logits, -MAX_LOGIT, MAX_LOGIT))


def _constant_logits(Y: Labels) -> Scores:
    """Return the log-odds of genres that all rows or none have; for other genres the value is meaningless."""
    return np.where(Y.all(axis=0), CERTAIN_LOGIT, -CERTAIN_LOGIT).astype(np.float32)


def logistic_weights(problem: TwoClassProblem, C: float) -> Weights:
    """Fit one L2-regularised logistic regression with LIBLINEAR."""
    options = {"solver": "liblinear", "tol": TOLERANCE, "max_iter": 1000, "class_weight": problem.class_weight}
    model = linear_model.LogisticRegression(C=C, random_state=problem.random_state, **options)
    with LIBLINEAR.shared():
        model.fit(problem.X, problem.y)
    return model.coef_[0], float(model.intercept_[0])


def best_strength(problem: TwoClassProblem) -> float:
    """Return the C in `STRENGTHS` with the lowest log loss on held-out movies of three folds; the smallest on ties.

    A genre with fewer positives than folds gets `USUAL_STRENGTH`. Synthetic movies are made inside the folds.
    """
    if problem.smaller_class < STRENGTH_FOLDS:
        logger.warning("%s: too few train movies have it to choose its C; using %g", problem.label, USUAL_STRENGTH)
        return USUAL_STRENGTH
    losses = np.zeros(len(STRENGTHS))
    for others, X, rows in problem.folds(STRENGTH_FOLDS):
        for number, C in enumerate(STRENGTHS):
            weights, bias = logistic_weights(others, C)
            margins = X @ weights + bias
            losses[number] += np.logaddexp(0, np.where(problem.y[rows], -margins, margins)).sum()
    best = STRENGTHS[int(losses.argmin())]
    logger.info("%s: C is %g", problem.label, best)
    return best


def _log_probabilities(
    X: Matrix, y: NDArray[np.bool_], alpha: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return log P(column | y) and log P(column | not y), each (columns,), with additive smoothing."""
    counts = (np.asarray(X[np.flatnonzero(rows)].sum(axis=0), dtype=np.float64) + alpha for rows in (y, ~y))
    with_genre, without = (np.log(count / count.sum()) for count in counts)
    return with_genre, without
