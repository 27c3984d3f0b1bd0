"""Which labels are doubted, and why in words. Owns the doubts; knows no file and no model."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray


def find_doubts(
    truth: NDArray[np.bool_], probabilities: NDArray[np.float64]
) -> tuple[NDArray[np.bool_], NDArray[np.float64]]:
    """Return which labels are taken for errors, (n_movies, n_genres), and the label quality of each movie, 0 to 1.

    For each genre by itself as many labels are doubted as confident learning estimates to be wrong, those with the
    least probability. The quality of a movie weighs the probabilities of its labels (having a genre or not), the lowest
    one by far the most. A genre that every or no movie has is not doubted.

    Args:
        truth: (n_movies, n_genres), as the listings have it.
        probabilities: of the same shape, of movies that the model was not trained on.

    Source:
        Northcutt, Jiang and Chuang 2021, Confident Learning: Estimating Uncertainty in Dataset Labels; Thyagarajan et
        al. 2023, Identifying Incorrect Annotations in Multi-Label Classification Data.
    """
    # Imported here: it takes more than a second, and most of this room's users do without.
    from cleanlab.multilabel_classification import get_label_quality_scores  # noqa: PLC0415
    from cleanlab.multilabel_classification.filter import find_multilabel_issues_per_class  # noqa: PLC0415

    doubted = np.zeros_like(truth)
    varying = np.flatnonzero(truth.any(axis=0) & ~truth.all(axis=0))
    if not len(varying):
        return doubted, np.ones(len(truth))
    labels = [np.flatnonzero(row).tolist() for row in truth[:, varying]]
    shown = np.clip(probabilities[:, varying], 1e-9, 1 - 1e-9)
    doubted[:, varying] = find_multilabel_issues_per_class(labels, shown, n_jobs=1)
    return doubted, np.asarray(get_label_quality_scores(labels, shown), dtype=np.float64)


def explain_doubt(genre: str, is_given: bool, probabilities: Mapping[str, float]) -> str:
    """Return in words why a genre is doubted.

    Args:
        genre: the doubted one.
        is_given: whether the listing has it.
        probabilities: of the genre, by model.

    >>> explain_doubt("Horror", False, {"a": 0.93, "b": 0.8, "c": 0.2})
    '2 of 3 models give Horror at least 0.80, and the listing lacks it'
    >>> explain_doubt("Drama", True, {"a": 0.02})
    'a gives Drama 0.02, and the listing has it'
    """
    agreeing = [value for value in probabilities.values() if (value < 0.5) == is_given]
    listing = f"the listing {'has' if is_given else 'lacks'} it"
    if len(probabilities) == 1:
        model, value = next(iter(probabilities.items()))
        return f"{model} gives {genre} {value:.2f}, and {listing}"
    count = "all" if len(agreeing) == len(probabilities) else f"{len(agreeing)} of"
    bound = f"at most {max(agreeing):.2f}" if is_given else f"at least {min(agreeing):.2f}"
    verb = "give" if len(agreeing) > 1 else "gives"
    return f"{count} {len(probabilities)} models {verb} {genre} {bound}, and {listing}"
