"""From a classifier's configuration to its fitted form. Owns which function fits which kind."""

from tasks.models import classifiers
from tasks.models.fitting import linear, naive_bayes
from tasks.models.fitting.training import Training
from tasks.models.scoring.neighbours import NeighbourScorer
from tasks.models.scoring.scorer import Scorer


def fit_scorer(classifier: classifiers.Classifier, training: Training) -> Scorer:
    """Fit a classifier on vectors (movies × features) and labels (movies × genres).

    The order of the rows does not matter.

    Raises:
        ModelError: the classifier does not converge.
    """
    training = training.in_order_of_content()
    match classifier:
        case classifiers.LogisticRegression():
            return linear.fit_logistic_regression(classifier, training)
        case classifiers.LinearSVM():
            return linear.fit_linear_svm(classifier, training)
        case classifiers.NaiveBayes():
            return naive_bayes.fit_naive_bayes(classifier, training)
        case classifiers.NaiveBayesSVM():
            return naive_bayes.fit_naive_bayes_svm(classifier, training)
        case classifiers.NearestNeighbours():
            return NeighbourScorer(training.X, training.Y, classifier.k)
