"""Fitting of two levels of logistic regressions, of which the second knows what the first says of all genres."""

from dataclasses import replace

from tasks.models import classifiers
from tasks.models.fitting.held_out import held_out_logits
from tasks.models.fitting.one_vs_rest import Weights, logistic_weights, one_vs_rest
from tasks.models.fitting.training import NONE, Training, TwoClassProblem
from tasks.models.scoring.stacked import StackedScorer, second_level_vectors


def fit_stacked(config: classifiers.StackedLogisticRegression, training: Training) -> StackedScorer:
    """Fit one logistic regression per genre, and one per genre on the log-odds of all of them.

    The second level learns from log-odds of movies that the first had not seen, because it will meet such ones. Only
    the first treats imbalance, so that the scores stay probabilities in the real proportions.

    Source: Godbole and Sarawagi 2004, Discriminative Methods for Multi-labeled Classification, section 3.1; Montañés et
    al. 2014, Dependent binary relevance models for multi-label classification.
    """

    def first(problem: TwoClassProblem) -> Weights:
        return logistic_weights(problem.resampled(), config.C)

    def second(problem: TwoClassProblem) -> Weights:
        return logistic_weights(problem, config.C2)

    logits = held_out_logits(training, config.folds, first)
    second_training = replace(training, X=second_level_vectors(logits), imbalance=NONE)
    return StackedScorer(one_vs_rest(training, first), one_vs_rest(second_training, second))
