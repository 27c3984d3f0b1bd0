"""From a classifier's configuration to its fitted form. Owns which function fits which kind."""

import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from tasks.models.classifiers import Classifier, NearestNeighbours
from tasks.models.fitting.boosting import fit_gradient_boosting
from tasks.models.fitting.chains import fit_classifier_chains
from tasks.models.fitting.linear import fit_linear_svm, fit_logistic_regression
from tasks.models.fitting.naive_bayes import fit_naive_bayes, fit_naive_bayes_svm
from tasks.models.fitting.perceptron import fit_multilayer_perceptron
from tasks.models.fitting.stacked import fit_stacked
from tasks.models.fitting.training import Training
from tasks.models.fitting.trees import fit_decision_tree, fit_random_forest
from tasks.models.scoring.neighbours import NeighbourScorer
from tasks.models.scoring.scorer import Scorer


def fit_scorer(classifier: Classifier, training: Training) -> Scorer:
    """Fit a classifier on vectors (movies × features) and labels (movies × genres).

    The order of the rows does not matter.

    Raises:
        ModelError: the classifier does not converge.
    """
    return _FIT[classifier.kind](classifier, training.in_order_of_content())


def code_file(classifier: Classifier) -> Path:
    """Return the module that fits a classifier."""
    return Path(inspect.getfile(_FIT[classifier.kind]))


def _keep_neighbours(config: NearestNeighbours, training: Training) -> NeighbourScorer:
    return NeighbourScorer(training.X, training.Y, config.k)


IS_A_TABLE: Final = True  # see tasks.source_code
# Each takes the configuration of its kind.
_FIT: Final[dict[str, Callable[[Any, Training], Scorer]]] = {
    "logistic-regression": fit_logistic_regression,
    "linear-svm": fit_linear_svm,
    "naive-bayes": fit_naive_bayes,
    "naive-bayes-svm": fit_naive_bayes_svm,
    "nearest-neighbours": _keep_neighbours,
    "decision-tree": fit_decision_tree,
    "random-forest": fit_random_forest,
    "gradient-boosting": fit_gradient_boosting,
    "multilayer-perceptron": fit_multilayer_perceptron,
    "classifier-chains": fit_classifier_chains,
    "stacked-logistic-regression": fit_stacked,
}
