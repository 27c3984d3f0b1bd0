"""Fitting of gradient boosting: an ensemble of trees a genre, all on the same reduced vectors."""

import numpy as np
from sklearn.ensemble import HistGradientBoostingClassifier

from tasks.models import classifiers
from tasks.models.fitting.one_vs_rest import constant_logits
from tasks.models.fitting.reduction import fit_reduction
from tasks.models.fitting.training import Training
from tasks.models.fitting.trees import GrownTree, flat_trees, single_leaf
from tasks.models.scoring.boosting import BoostingScorer


def fit_gradient_boosting(config: classifiers.GradientBoosting, training: Training) -> BoostingScorer:
    """Fit one histogram gradient boosting per genre on vectors reduced by a truncated SVD.

    Source: Friedman 2001, Greedy Function Approximation: A Gradient Boosting Machine; Ke et al. 2017, LightGBM, on
    histograms.
    """
    reduction = fit_reduction(training.X, config.components, training.seed)
    Z = reduction.apply(training.X)
    bias = constant_logits(training.Y)
    grown, genre_of_tree = [], []
    for column, problem in training.two_class_problems():
        model = HistGradientBoostingClassifier(
            max_iter=config.n_trees,
            learning_rate=config.learning_rate,
            max_leaf_nodes=config.max_leaves,
            early_stopping=False,
            random_state=problem.seed,
        ).fit(Z, problem.y)
        trees, bias[column] = _grown_trees(model)
        grown += trees
        genre_of_tree += [column] * len(trees)
    if not grown:
        grown, genre_of_tree = [single_leaf(np.zeros(1))], [0]
    flat, values = flat_trees(grown)
    return BoostingScorer(reduction, flat, values, np.array(genre_of_tree, dtype=np.int32), bias)


def _grown_trees(model: HistGradientBoostingClassifier) -> tuple[list[GrownTree], float]:
    """Return a fitted model's trees, and the log-odds that their values add up to.

    scikit-learn shows them nowhere in public; a test compares the scores with its own.
    """
    grown = []
    for (predictor,) in model._predictors:  # noqa: SLF001
        nodes = predictor.nodes
        children = np.column_stack([nodes["left"], nodes["right"]]).astype(np.int64)
        is_leaf = nodes["is_leaf"].astype(np.bool_)
        grown.append(GrownTree(is_leaf, children, nodes["feature_idx"], nodes["num_threshold"], nodes["value"]))
    return grown, float(model._baseline_prediction.item())  # noqa: SLF001
