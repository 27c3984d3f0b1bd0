"""scikit-learn's own checks of this project's estimators.

Of those that read texts or movies it runs the checks of the interface alone, and warns that it cannot fit them.
"""

import warnings

import pytest
from sklearn.exceptions import SkipTestWarning
from sklearn.linear_model import RidgeClassifier
from sklearn.tree import DecisionTreeClassifier
from sklearn.utils.estimator_checks import parametrize_with_checks

from tasks.models import inputs, linear, multilabel, vectorizers, word_vectors
from tasks.models.encoder.frozen import FrozenEncoder

ESTIMATORS = [
    linear.LogisticRegression(),
    linear.LogisticRegression(C="per-genre"),
    linear.LinearSVM(),
    linear.NaiveBayes(),
    linear.NaiveBayes(variant="complement"),
    linear.NaiveBayesSVM(),
    linear.ClassifierChains(n_chains=1),
    linear.StackedLogisticRegression(),
    multilabel.NearestNeighbours(k=5),
    multilabel.GradientBoosting(components=5, n_trees=20),
    multilabel.MultilayerPerceptron(hidden=20, learning_rate=0.03, max_epochs=100),
    multilabel.AnyClassifier(RidgeClassifier()),
    multilabel.AnyClassifier(DecisionTreeClassifier()),
    inputs.MovieText(),
    vectorizers.BagOfWords(),
    vectorizers.CharacterNgrams(),
    vectorizers.SideFields(),
    word_vectors.WordVectors(),
    word_vectors.PretrainedVectors(),
    FrozenEncoder(),
]

pytestmark = pytest.mark.filterwarnings("ignore")  # of what the checks do on purpose


def expected_to_fail(estimator: object) -> dict[str, str]:
    """Return the checks that do not apply, each with the reason."""
    failing = {}
    if hasattr(estimator, "class_weight") and not isinstance(estimator, linear.NaiveBayesSVM):
        failing["check_class_weight_classifiers"] = "class_weight is of a label against the rest: balanced, or none"
    if isinstance(estimator, linear.NaiveBayes):
        failing["check_decision_proba_consistency"] = "it reads counts, and is given negative numbers"
    if isinstance(estimator, multilabel.NearestNeighbours) or "DecisionTree" in repr(estimator):
        failing["check_classifiers_multilabel_output_format_predict_proba"] = "shares of movies may be 0 and 1"
    return failing


with warnings.catch_warnings():
    warnings.simplefilter("ignore", SkipTestWarning)
    checked = parametrize_with_checks(ESTIMATORS, expected_failed_checks=expected_to_fail)


@checked
def test_estimator(estimator, check):
    check(estimator)
