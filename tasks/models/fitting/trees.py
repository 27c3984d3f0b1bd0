"""Fitting of a decision tree and of a random forest: each tree tells all genres at once."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.ensemble import RandomForestClassifier
from sklearn.tree import DecisionTreeClassifier

from tasks.models import classifiers
from tasks.models.fitting.training import Training
from tasks.models.scoring.trees import ForestScorer, Trees


@dataclass(frozen=True)
class GrownTree:
    """One tree as scikit-learn grew it, node by node, the root first; of leaves only `values` mean something."""

    is_leaf: NDArray[np.bool_]
    children: NDArray[np.int64]  # (nodes × 2)
    columns: NDArray[np.int64]
    thresholds: NDArray[np.float64]
    values: NDArray[np.float64]  # (nodes,) or (nodes × genres)


def fit_decision_tree(config: classifiers.DecisionTree, training: Training) -> ForestScorer:
    """Fit one tree; it minimises the mean Gini impurity over genres.

    Source: Breiman et al. 1984, Classification and Regression Trees; Blockeel, De Raedt and Ramon 1998, Top-down
    induction of clustering trees, on one tree for all labels.
    """
    tree = DecisionTreeClassifier(
        max_depth=config.max_depth, min_samples_leaf=config.min_leaf, random_state=training.seed
    )
    return _fit_forest(tree, training)


def fit_random_forest(config: classifiers.RandomForest, training: Training) -> ForestScorer:
    """Fit trees on bootstrap samples, each split chosen among some of the columns.

    Source: Breiman 2001, Random Forests.
    """
    forest = RandomForestClassifier(
        config.n_trees,
        max_depth=config.max_depth,
        min_samples_leaf=config.min_leaf,
        random_state=training.seed,
    )
    return _fit_forest(forest, training)


def flat_trees(grown: Sequence[GrownTree]) -> tuple[Trees, NDArray[np.float32]]:
    """Return trees in their flat form, and the values of their leaves."""
    roots, children, n_nodes, n_leaves = [], [], 0, 0
    for tree in grown:
        number = np.where(
            tree.is_leaf, ~(n_leaves + np.cumsum(tree.is_leaf) - 1), n_nodes + np.cumsum(~tree.is_leaf) - 1
        )
        roots.append(number[0])
        children.append(number[tree.children[~tree.is_leaf]])
        n_nodes, n_leaves = n_nodes + int((~tree.is_leaf).sum()), n_leaves + int(tree.is_leaf.sum())
    flat = Trees(
        np.array(roots, dtype=np.int32),
        np.concatenate(children).astype(np.int32),
        np.concatenate([tree.columns[~tree.is_leaf] for tree in grown]).astype(np.int32),
        _round_down(np.concatenate([tree.thresholds[~tree.is_leaf] for tree in grown])),
    )
    return flat, np.concatenate([tree.values[tree.is_leaf] for tree in grown]).astype(np.float32)


def single_leaf(values: NDArray[np.float64]) -> GrownTree:
    """Return a tree that gives every row the same values, (1,) or (1 × genres)."""
    nowhere = np.zeros((1, 2), dtype=np.int64)
    return GrownTree(np.ones(1, dtype=np.bool_), nowhere, nowhere[:, 0], np.zeros(1), values)


def _fit_forest(model: DecisionTreeClassifier | RandomForestClassifier, training: Training) -> ForestScorer:
    varying = training.varying_genres()
    if not varying:
        grown = [single_leaf(training.Y[:1].astype(np.float64))]
    else:
        Y = training.Y[:, varying]
        model.fit(training.X, Y if len(varying) > 1 else Y[:, 0])
        trees = model.estimators_ if isinstance(model, RandomForestClassifier) else [model]
        grown = [_grown_tree(tree.tree_, varying, training.Y[0]) for tree in trees]
    flat, shares = flat_trees(grown)
    used, flat.columns = _renumber(flat.columns)
    return ForestScorer(flat, used, shares)


def _grown_tree(tree: Any, varying: list[int], constant: NDArray[np.bool_]) -> GrownTree:
    shares = np.tile(constant.astype(np.float64), (tree.node_count, 1))
    shares[:, varying] = tree.value[:, :, 1]
    children = np.column_stack([tree.children_left, tree.children_right])
    return GrownTree(tree.children_left < 0, children, tree.feature, tree.threshold, shares)


def _renumber(columns: NDArray[np.int32]) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Return the distinct columns, and the place of each column among them."""
    used, places = np.unique(columns, return_inverse=True)
    return used, places.astype(np.int32)


def _round_down(thresholds: NDArray[np.float64]) -> NDArray[np.float32]:
    """Return the greatest float32 that is not above: a float32 value is at most the one just if at most the other."""
    rounded = thresholds.astype(np.float32)
    return np.where(rounded > thresholds, np.nextafter(rounded, np.float32(-np.inf)), rounded)
