"""Scores of train movies by models that have not seen them, for a second level to learn from."""

import numpy as np
from numpy.typing import NDArray
from sklearn.model_selection import KFold

from tasks.models.fitting.one_vs_rest import FitGenre, one_vs_rest
from tasks.models.fitting.training import Training


def held_out_logits(training: Training, folds: int, fit_genre: FitGenre) -> NDArray[np.float32]:
    """Return the log-odds (movies × genres) of each movie by one-vs-rest models of the other folds.

    The folds are the same for all genres. With fewer movies than folds each movie is a fold.
    """
    logits = np.empty(training.Y.shape, dtype=np.float32)
    splits = KFold(min(folds, len(training.Y)), shuffle=True, random_state=training.seed)
    for inside, outside in splits.split(training.Y):
        logits[outside] = one_vs_rest(training.at(inside), fit_genre).logits(training.X[outside])
    return logits
