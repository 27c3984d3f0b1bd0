"""The expected Jaccard and F1 of the most probable genres. Owns the formulas; knows no rule and no calibration.

With genres independent of each other, p_1 >= p_2 >= ... their probabilities, S the first k of them, H the number of
true genres in S and M the number outside, both are Poisson-binomial and independent of each other. Exchanging a genre
of S for a less probable one outside lowers H and raises M, so no other set of k genres has a greater expected Jaccard
or F1, and the best k gives the best of all sets.

Both functions rest on E[1 / (l + M)]. Taking the genres from outside into S one by one, from the least probable on,

    E[1 / (l + M_(k-1))] = p_k E[1 / (l + 1 + M_k)] + (1 - p_k) E[1 / (l + M_k)],  with M_g = 0.

No matrix product is used: its last digits would depend on which movies are scored together.

Source:
    Lewis 1995, Evaluating and Optimizing Autonomous Text Classification Systems; Dembczynski et al. 2011, An Exact
    Algorithm for F-Measure Maximization; Ye et al. 2012, Optimizing F-measure: A Tale of Two Approaches, section 4
    (the recurrence).
"""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

Matrix = NDArray[np.float64]


def expected_jaccard(probabilities: Matrix) -> Matrix:
    """Return, for each movie and each k, the expected Jaccard of its k most probable genres.

    It is H / (k + M), and so E[H] E[1 / (k + M)], E[H] being p_1 + ... + p_k.

    Args:
        probabilities: (n_movies, n_genres), each row in descending order.

    Returns:
        (n_movies, n_genres), column k - 1 for the k most probable genres. Cost: n_movies * n_genres².
    """
    result = probabilities.cumsum(axis=1)
    for k, inverse in _mean_inverses(probabilities):
        result[:, k - 1] *= inverse[k - 1]
    return np.asarray(result)


def expected_f1(probabilities: Matrix) -> Matrix:
    """Return, for each movie and each k, the expected F1 of its k most probable genres.

    It is 2 H / (k + H + M), and so the sum over h of P(H = h) 2 h E[1 / (k + h + M)].

    Args and Returns:
        As `expected_jaccard`.
    """
    n_movies, n_genres = probabilities.shape
    hits = np.zeros((n_genres + 1, n_genres + 1, n_movies))  # [k, h]: P(H = h), for the k most probable genres
    hits[0, 0] = 1
    for k, p in enumerate(probabilities.T, start=1):
        hits[k] = hits[k - 1] * (1 - p)
        hits[k, 1:] += hits[k - 1, :-1] * p
    result = np.zeros((n_movies, n_genres))
    for k, inverse in _mean_inverses(probabilities):
        for h in range(1, k + 1):
            result[:, k - 1] += 2 * h * hits[k, h] * inverse[k + h - 1]
    return result


def _mean_inverses(probabilities: Matrix) -> Iterator[tuple[int, Matrix]]:
    """Yield k = n_genres ... 1, with E[1 / (l + M)] for l = 1 ... 2 k (rows) and each movie (columns)."""
    n_movies, n_genres = probabilities.shape
    inverse = np.repeat(1 / np.arange(1.0, 2 * n_genres + 1)[:, None], n_movies, axis=1)
    for k in range(n_genres, 0, -1):
        yield k, inverse
        p = probabilities[:, k - 1]
        inverse = p * inverse[1 : 2 * k - 1] + (1 - p) * inverse[: 2 * k - 2]
