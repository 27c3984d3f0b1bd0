"""The expected Jaccard of the most probable genres. Owns the formula; knows no rule and no calibration."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

ROWS_AT_ONCE: Final = 10_000  # bounds the memory for any number of movies


def expected_jaccard(probabilities: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return, for each movie and each k, the expected Jaccard of its k most probable genres.

    With genres independent of each other, p_1 >= p_2 >= ... their probabilities, S the first k of them, H the number of
    true genres in S and M the number outside, Jaccard is H / (k + M), and H and M are independent. So

        E[J(S)] = E[H] * E[1 / (k + M)] = (p_1 + ... + p_k) * sum over m of P(M = m) / (k + m),

    M being Poisson-binomial in p_(k+1), ..., p_g. Exchanging a genre of S for a less probable one outside lowers E[H]
    and raises M, so no other set of k genres is better, and the best k gives the best of all sets.

    Args:
        probabilities: (n_movies, n_genres), each row in descending order.

    Returns:
        (n_movies, n_genres), column k - 1 for the k most probable genres. Cost: n_movies * n_genres².
    """
    n_movies, n_genres = probabilities.shape
    inverse = np.empty((n_movies, n_genres))
    outside = np.zeros((n_movies, n_genres))  # P(M = m), m = 0 ... n_genres - 1
    outside[:, 0] = 1
    for k in range(n_genres, 0, -1):
        # No matrix product: its last digits would depend on which movies are scored together.
        inverse[:, k - 1] = (outside[:, : n_genres - k + 1] / np.arange(k, n_genres + 1)).sum(axis=1)
        p = probabilities[:, k - 1, None]
        moved = outside[:, : n_genres - 1] * p
        outside *= 1 - p
        outside[:, 1:] += moved
    return np.asarray(probabilities.cumsum(axis=1) * inverse)
