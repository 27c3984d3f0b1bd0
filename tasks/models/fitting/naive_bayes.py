"""Naive Bayes, and the linear classifier that it helps. Both compare how often words occur with a genre and without."""

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.special import logit

from tasks.models import classifiers
from tasks.models.fitting.one_vs_rest import Weights, logistic_weights, one_vs_rest
from tasks.models.fitting.training import Training, TwoClassProblem
from tasks.models.scoring.linear import LinearScorer


def fit_naive_bayes(config: classifiers.NaiveBayes, training: Training) -> LinearScorer:
    """Fit one two-class naive Bayes per genre; its log-odds are linear in the counts.

    The complement variant divides the log-probabilities of each class by their sum, lest the class with fewer movies
    have the larger weights. They are then multiplied by the mean of both sums, so that differences stay log-odds, and
    the genre's share in train counts as it does in the multinomial one (in the source both classes are equally likely).

    Source: Manning, Raghavan and Schütze 2008, Introduction to Information Retrieval, section 13.2; Rennie et al. 2003,
    Tackling the Poor Assumptions of Naive Bayes Text Classifiers, table 4.
    """

    def fit_genre(problem: TwoClassProblem) -> Weights:
        with_genre, without = log_probabilities(problem.X, problem.y, config.alpha)
        if config.variant == "complement":
            sums = with_genre.sum(), without.sum()
            with_genre, without = (
                np.mean(sums) * logs / s for logs, s in zip((with_genre, without), sums, strict=True)
            )
        return with_genre - without, float(logit(problem.y.mean()))

    return one_vs_rest(training, fit_genre)


def fit_naive_bayes_svm(config: classifiers.NaiveBayesSVM, training: Training) -> LinearScorer:
    """Fit one logistic regression per genre on vectors whose columns are multiplied by their log-count ratio.

    The ratio counts in how many movies a word is, as in the source, whatever the vectors' weights. It ends up in the
    regression's weights, so that scoring needs no step of its own.

    Source: Wang and Manning 2012, Baselines and Bigrams: Simple, Good Sentiment and Topic Classification, section 2.3.
    """

    def fit_genre(problem: TwoClassProblem) -> Weights:
        presence = problem.X.astype(bool).astype(np.float32)
        with_genre, without = log_probabilities(presence, problem.y, config.alpha)
        ratio = with_genre - without
        weights, bias = logistic_weights(problem.resampled().with_columns_scaled(ratio), config.C)
        return weights * ratio, bias

    return one_vs_rest(training, fit_genre)


def log_probabilities(
    X: sparse.csr_array, y: NDArray[np.bool_], alpha: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return log P(column | y) and log P(column | not y), each (features,), with additive smoothing."""
    counts = (np.asarray(X[np.flatnonzero(rows)].sum(axis=0), dtype=np.float64) + alpha for rows in (y, ~y))
    with_genre, without = (np.log(count / count.sum()) for count in counts)
    return with_genre, without
