"""Multi-label classifiers as scikit-learn estimators; the linear ones are in `tasks.models.linear`.

`fit(X, Y)` takes X (rows × columns), dense or sparse, and Y (rows × genres) of 0 and 1; `predict_proba(X)` returns
(rows × genres) float32 in [0, 1]. They also take one column of classes, as scikit-learn's own classifiers do. A genre
is constant if every train row has it, or none: its score is 1 or 0.
"""

from dataclasses import dataclass
from typing import Annotated, Any, Final, Self, TypeAlias

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, PositiveFloat, PositiveInt
from scipy import sparse
from scipy.special import expit
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.decomposition import TruncatedSVD
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.model_selection import KFold
from sklearn.neural_network import MLPClassifier
from sklearn.utils import get_tags
from sklearn.utils.multiclass import type_of_target
from sklearn.utils.validation import check_is_fitted, column_or_1d, validate_data

from tasks.core.errors import ModelError
from tasks.core.schema import DEFAULT_SEED
from tasks.decision.calibration import fit_line, logistic

HELD_OUT_SHARE: Final = 0.1
PATIENCE: Final = 3  # epochs without a lower held-out loss after which fitting stops
ROWS_AT_ONCE: Final = 256  # bounds the dense similarities in memory: 256 × 240,000 train movies are 250 MB
CALIBRATION_FOLDS: Final = 3

AS_ROWS: Final = {"accept_sparse": "csr", "accept_large_sparse": False, "dtype": (np.float32, np.float64)}

Matrix: TypeAlias = sparse.csr_array
Labels: TypeAlias = NDArray[np.bool_]  # (rows × genres)
Scores: TypeAlias = NDArray[np.float32]  # (rows × genres)


class MultilabelClassifier(ClassifierMixin, BaseEstimator):  # type: ignore[misc]  # scikit-learn has no types
    """Base class: subclasses implement `_fit` and `_scores` on sparse rows.

    Rows and genres are sorted by content before fitting, so that random draws by position (folds, bootstrap samples,
    batches) do not depend on their order.

    """

    random_state: int
    classes_: NDArray[Any]  # the classes of a single column, or the names of the columns of Y (else 0, 1, ...)
    constant_: NDArray[np.bool_]  # (genres,) for constant genres whether all train rows have them; else meaningless
    varying_: NDArray[np.int64]  # columns of the genres that are not constant

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        tags.classifier_tags.multi_label = True
        return tags

    def fit(self, X: Any, y: Any) -> Self:
        """Fit on X and y, (rows × genres) or one column of classes; a ModelError if it does not converge."""
        names = getattr(y, "columns", None)
        X, y = validate_data(self, X, y, multi_output=True, **AS_ROWS)
        Y = self._labels(np.asarray(y.toarray() if sparse.issparse(y) else y))
        if self.is_multilabel_ and names is not None:
            self.classes_ = np.array(names, dtype=np.str_)
        X = sparse.csr_array(X)
        order = np.lexsort((*Y.T, X @ np.random.default_rng(0).standard_normal(X.shape[1])))
        varying = np.flatnonzero(Y.any(axis=0) & ~Y.all(axis=0))
        self.varying_ = varying[np.argsort(self.classes_[varying])] if self.is_multilabel_ else varying
        self.constant_ = np.asarray(Y.all(axis=0))
        self._fit(X[order], Y[order])
        return self

    def predict_proba(self, X: Any) -> Scores:
        """Return (rows × genres) float32 in [0, 1]; for one column of classes, (rows × classes) that sum to 1."""
        scores = self._scores(self._validated(X))
        if self.is_multilabel_:
            return scores
        if scores.shape[1] == 1:
            return np.column_stack([1 - scores, scores])[:, -len(self.classes_) :]
        totals = scores.sum(axis=1, keepdims=True)
        return np.where(totals > 0, scores / np.where(totals > 0, totals, 1), np.float32(1 / scores.shape[1]))

    def predict(self, X: Any) -> NDArray[Any]:
        """Return (rows × genres), 1 where the score is above 0.5; for one column of classes, the likeliest class."""
        scores = self.predict_proba(X)
        return (scores > 0.5).astype(np.int64) if self.is_multilabel_ else self.classes_[scores.argmax(axis=1)]

    def _fit(self, X: Matrix, Y: Labels) -> None:
        raise NotImplementedError

    def _scores(self, X: Matrix) -> Scores:
        raise NotImplementedError

    def _validated(self, X: Any) -> Matrix:
        check_is_fitted(self)
        return sparse.csr_array(validate_data(self, X, reset=False, ensure_min_samples=0, **AS_ROWS))

    def _labels(self, y: NDArray[Any]) -> Labels:
        kind = type_of_target(y, raise_unknown=True)
        self.is_multilabel_ = y.ndim == 2 and (y.shape[1] > 1 or set(np.unique(y)) <= {0, 1})
        if self.is_multilabel_:
            self.classes_ = np.arange(y.shape[1])
            return np.asarray(y, dtype=np.bool_)
        if kind not in ("binary", "multiclass"):
            raise ValueError(f"Unknown label type: {kind}; expected rows of 0 and 1, or one column of classes")
        y = column_or_1d(y, warn=True)
        self.classes_ = np.unique(y)
        if len(self.classes_) <= 2:
            return np.asarray(y == self.classes_[-1])[:, None]
        return np.asarray(y[:, None] == self.classes_)

    def _with_constants(self, scores: Scores) -> Scores:
        """Return the scores of all genres, given those of the varying ones."""
        completed = np.tile(self.constant_.astype(np.float32), (len(scores), 1))
        if scores.size:
            completed[:, self.varying_] = scores
        return completed


@dataclass(eq=False, repr=False)
class AnyClassifier(MultilabelClassifier):
    """Adapts any scikit-learn classifier to several labels.

    A multi-label classifier is fitted once, any other once per label. If it has no `predict_proba`, its margins on
    held-out folds are scaled to probabilities (Platt scaling).

    `estimators_` are fitted on the varying labels: one for all of them, or one each. `lines_` (varying genres × 2) are
    slope and intercept from margin to log-odds; None with `predict_proba`.
    """

    estimator: Any = None
    random_state: int = DEFAULT_SEED

    def _fit(self, X: Matrix, Y: Labels) -> None:
        self.lines_ = None
        self.estimators_ = self._fitted(X, Y[:, self.varying_]) if len(self.varying_) else []
        if not self.estimators_ or hasattr(self.estimators_[0], "predict_proba"):
            return
        Y = Y[:, self.varying_]
        held_out = np.empty(Y.shape)
        folds = KFold(min(CALIBRATION_FOLDS, len(Y)), shuffle=True, random_state=self.random_state)
        for inside, outside in folds.split(Y):
            held_out[outside] = _margins(self._fitted(X[inside], Y[inside]), X[outside])
        self.lines_ = np.array([fit_line(held_out[:, column], Y[:, column]) for column in range(Y.shape[1])])

    def _fitted(self, X: Matrix, Y: Labels) -> list[Any]:
        """Return fitted estimators, or True or False for a label that every row has, or none."""
        estimator = with_random_state(clone(self.estimator), self.random_state)
        tags = get_tags(estimator)
        if tags.classifier_tags.multi_label or tags.target_tags.multi_output:
            takes_one = tags.classifier_tags.multi_label and Y.shape[1] == 1
            return [estimator.fit(X, (Y[:, 0] if takes_one else Y).astype(np.int64))]
        fitted = []
        for column, y in zip(self.varying_, Y.T, strict=True):
            if y.all() or not y.any():
                fitted.append(bool(y[0]))
                continue
            try:
                fitted.append(clone(estimator).fit(X, y.astype(np.int64)))
            except ValueError as error:
                if not self.is_multilabel_:
                    raise
                label = f"{self.classes_[column]}, which {y.sum()} of {len(y)} train movies have"
                remedy = "Change the estimator's parameters, or leave the genre out"
                raise ModelError(f"{label}: {error} {remedy}") from error
        return fitted

    def _scores(self, X: Matrix) -> Scores:
        if not self.estimators_ or not X.shape[0]:  # most estimators refuse an empty table
            return self._with_constants(np.empty((X.shape[0], 0), dtype=np.float32))
        if self.lines_ is not None:
            scores = logistic(_margins(self.estimators_, X) * self.lines_[:, 0] + self.lines_[:, 1])
        else:
            given = [estimator.predict_proba(X) for estimator in self.estimators_]
            if isinstance(given[0], list):  # one estimator that gives an array for each label
                given = given[0]
            is_each = len(given) == len(self.varying_)
            scores = np.column_stack([each[:, 1:] if is_each and each.shape[1] == 2 else each for each in given])
        return self._with_constants(np.asarray(scores, dtype=np.float32))


def _margins(fitted: list[Any], X: Matrix) -> NDArray[np.float64]:
    """Return (rows × labels) margins; 1 or -1 for a constant label."""
    columns = []
    for each in fitted:
        if isinstance(each, bool):
            columns.append(np.full((X.shape[0], 1), 1.0 if each else -1.0))
        else:
            margin = each.decision_function if hasattr(each, "decision_function") else each.predict
            columns.append(np.asarray(margin(X), dtype=np.float64).reshape(X.shape[0], -1))
    return np.hstack(columns)


def with_random_state(estimator: Any, random_state: int) -> Any:
    """Set the seed of an estimator and of its nested estimators; return it."""
    names = [name for name in estimator.get_params() if name.split("__")[-1] == "random_state"]
    return estimator.set_params(**dict.fromkeys(names, random_state))


@dataclass(eq=False, repr=False)
class NearestNeighbours(MultilabelClassifier):
    """Vote of the k most similar train movies, weighted by cosine; the genres' shares in train if none is similar."""

    k: PositiveInt = 200  # neighbours that vote

    def _fit(self, X: Matrix, Y: Labels) -> None:
        self.X_, self.Y_ = X, Y

    def _scores(self, X: Matrix) -> Scores:
        k = min(self.k, self.X_.shape[0])
        train, queries = _unit_rows(self.X_).T.tocsr(), _unit_rows(X)
        labels, shares = self.Y_.astype(np.float32), self.Y_.mean(axis=0, dtype=np.float32)
        found = np.empty((X.shape[0], self.Y_.shape[1]), dtype=np.float32)
        for start in range(0, X.shape[0], ROWS_AT_ONCE):
            similar = (queries[start : start + ROWS_AT_ONCE] @ train).toarray()
            nearest = np.argpartition(-similar, k - 1, axis=1)[:, :k]
            weights = np.take_along_axis(similar, nearest, axis=1)
            totals = weights.sum(axis=1, keepdims=True)
            votes = np.einsum("rk,rkg->rg", weights, labels[nearest])
            voted = votes / np.where(totals > 0, totals, 1)
            found[start : start + len(similar)] = np.where(totals > 0, voted, shares)
        return np.clip(found, 0, 1)


def _unit_rows(X: Matrix) -> Matrix:
    lengths = np.sqrt(np.asarray(X.multiply(X).sum(axis=1)).ravel())
    lengths[lengths == 0] = 1
    unit = X.copy()
    unit.data = X.data / np.repeat(lengths, np.diff(X.indptr)).astype(X.dtype)
    return unit


@dataclass(eq=False, repr=False)
class GradientBoosting(MultilabelClassifier):
    """Histogram gradient boosting, one ensemble of trees per genre, on vectors reduced by a truncated SVD.

    The reduced vectors have at most as many dimensions as there are train rows or columns.

    Source: Friedman 2001, Greedy Function Approximation: A Gradient Boosting Machine; Ke et al. 2017, LightGBM
    (histograms); Halko, Martinsson and Tropp 2011, Finding structure with randomness (the reduction).
    """

    components: PositiveInt = 100  # dimensions after the SVD
    n_trees: PositiveInt = 80  # boosting rounds
    learning_rate: PositiveFloat = 0.1  # shrinkage of each round
    max_leaves: Annotated[int, Field(ge=2)] = 15  # per tree
    random_state: int = DEFAULT_SEED

    def _fit(self, X: Matrix, Y: Labels) -> None:
        svd = TruncatedSVD(min(self.components, *X.shape), random_state=self.random_state).fit(X)
        kept = svd.singular_values_ > 1e-6 * svd.singular_values_[0]
        lengths = svd.singular_values_[kept] / np.sqrt(X.shape[0])  # scaled up, or small dimensions vanish in float32
        self.reduction_ = np.ascontiguousarray((svd.components_[kept].T / lengths).astype(np.float32))
        Z = np.asarray(X @ self.reduction_, dtype=np.float32)
        options: dict[str, Any] = {"max_iter": self.n_trees, "max_leaf_nodes": self.max_leaves, "early_stopping": False}
        options |= {"learning_rate": self.learning_rate, "random_state": self.random_state}
        unfitted = HistGradientBoostingClassifier(**options)
        self.estimators_ = [clone(unfitted).fit(Z, Y[:, column]) for column in self.varying_]

    def _scores(self, X: Matrix) -> Scores:
        Z = np.asarray(X @ self.reduction_, dtype=np.float32)
        scores = [estimator.predict_proba(Z)[:, 1].astype(np.float32) for estimator in self.estimators_]
        return self._with_constants(np.array(scores, dtype=np.float32).reshape(len(scores), X.shape[0]).T)


@dataclass(eq=False, repr=False)
class MultilayerPerceptron(MultilabelClassifier):
    """A network with one hidden layer and a logistic output per genre; the epoch with the lowest held-out loss is kept.

    scikit-learn's own early stopping would use exact match at 0.5, which few movies reach.

    `layers_` are hidden weights (columns × units), hidden bias, weights (units × varying genres) and bias, float32.

    Source: Kingma and Ba 2015, Adam: A Method for Stochastic Optimization; Prechelt 1998, Early Stopping - But When?
    """

    hidden: PositiveInt = 128  # units of the hidden layer
    alpha: PositiveFloat = 1e-3  # strength of the L2 penalty
    learning_rate: PositiveFloat = 1e-3  # step size of Adam
    max_epochs: PositiveInt = 40  # maximum passes over train; stops early on the loss of a held-out tenth
    random_state: int = DEFAULT_SEED

    def _fit(self, X: Matrix, Y: Labels) -> None:
        if not len(self.varying_):
            self.layers_ = [np.zeros(shape, np.float32) for shape in ((X.shape[1], 1), 1, (1, 0), 0)]
            return
        rows = np.random.default_rng(self.random_state).permutation(len(Y))
        held_out, inside = np.split(rows, [max(1, round(HELD_OUT_SHARE * len(rows)))])
        options = {"learning_rate_init": self.learning_rate, "random_state": self.random_state}
        network = MLPClassifier((self.hidden,), alpha=self.alpha, **options)
        Y = Y[:, self.varying_]
        targets, classes = (Y, np.arange(Y.shape[1])) if Y.shape[1] > 1 else (Y[:, 0], np.array([False, True]))
        best_loss, best_epoch = np.inf, 0
        for epoch in range(self.max_epochs):
            network.partial_fit(X[inside], targets[inside], classes=classes)
            (hidden, weights), (hidden_bias, bias) = network.coefs_, network.intercepts_
            layers = [layer.astype(np.float32) for layer in (hidden, hidden_bias, weights, bias)]
            logits = _logits(layers, X[held_out])
            loss = float(np.logaddexp(0, np.where(Y[held_out], -logits, logits)).mean())
            if epoch == 0 or loss < best_loss:
                self.layers_, best_loss, best_epoch = layers, loss, epoch
            if epoch - best_epoch >= PATIENCE:
                break

    def _scores(self, X: Matrix) -> Scores:
        return self._with_constants(expit(_logits(self.layers_, X)))


def _logits(layers: list[Scores], X: Matrix) -> Scores:
    """Return `max(0, X H + h) W + b` of the layers H, h, W and b."""
    hidden_weights, hidden_bias, weights, bias = layers
    return np.asarray(np.maximum(X @ hidden_weights + hidden_bias, 0) @ weights + bias, dtype=np.float32)


def hstack(matrices: list[Matrix]) -> Matrix:
    """Stack matrices horizontally, with the 32-bit indices that LIBLINEAR needs."""
    if len(matrices) == 1:
        return matrices[0]
    stacked = sparse.csr_array(sparse.hstack(matrices, format="csr"))
    stacked.indices, stacked.indptr = stacked.indices.astype(np.int32, copy=False), stacked.indptr.astype(np.int32)
    return stacked
