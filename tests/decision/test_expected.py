"""The expected metric of a set, and the choice of the best set, against every outcome and every set."""

from itertools import product

import numpy as np
import pytest
from numpy.typing import NDArray

from tasks.decision.calibration import CLIP
from tasks.decision.rules import ROWS_AT_ONCE, ExpectedF1Set, ExpectedJaccardSet, ExpectedSet

RULES = [ExpectedJaccardSet, ExpectedF1Set]


def all_sets(n_genres: int) -> NDArray[np.bool_]:
    return np.array(list(product([False, True], repeat=n_genres)))


def enumerate_outcomes(rule: type[ExpectedSet], probabilities: NDArray[np.float64], chosen: NDArray[np.bool_]) -> float:
    """The sum over all sets of true genres of their probability times Jaccard or F1 with the chosen set."""
    outcomes = all_sets(len(probabilities))
    likelihoods = np.where(outcomes, probabilities, 1 - probabilities).prod(axis=1)
    hits, both = (outcomes & chosen).sum(axis=1), outcomes.sum(axis=1) + chosen.sum()
    metric = hits / np.maximum(both - hits, 1) if rule is ExpectedJaccardSet else 2 * hits / np.maximum(both, 1)
    return float((likelihoods * metric).sum())


def uncalibrated(n_genres: int, rule: type[ExpectedSet] = ExpectedJaccardSet) -> ExpectedSet:
    return rule((1.0,) * n_genres, (0.0,) * n_genres)


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("n_genres", [1, 2, 3, 5, 8])
def test_formula_equals_the_sum_over_all_outcomes(n_genres: int, rule: type[ExpectedSet]) -> None:
    probabilities = -np.sort(-np.random.default_rng(n_genres).random((4, n_genres)), axis=1)
    probabilities[0] = 1.0
    probabilities[1] = 0.0
    found = rule.expected(probabilities)
    for row, k in product(range(4), range(1, n_genres + 1)):
        expected = enumerate_outcomes(rule, probabilities[row], np.arange(n_genres) < k)
        assert found[row, k - 1] == pytest.approx(expected)


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("n_genres", [1, 2, 4, 8])
def test_no_set_is_better_than_the_chosen_one(n_genres: int, rule: type[ExpectedSet]) -> None:
    scores = np.random.default_rng(n_genres).beta(0.4, 1.0, (6, n_genres)).clip(CLIP, 1 - CLIP).astype(np.float32)
    decided = uncalibrated(n_genres, rule).decide(scores)
    for probabilities, found in zip(scores.astype(np.float64), decided, strict=True):
        best = max(enumerate_outcomes(rule, probabilities, chosen) for chosen in all_sets(n_genres))
        assert enumerate_outcomes(rule, probabilities, found) == pytest.approx(best)


def test_the_number_of_genres_adapts_to_the_movie() -> None:
    scores = np.array([[0.9, 0.05, 0.05], [0.9, 0.85, 0.05], [0.9, 0.85, 0.8]], dtype=np.float32)
    assert uncalibrated(3).decide(scores).sum(axis=1).tolist() == [1, 2, 3]


def test_f1_takes_in_more_than_jaccard() -> None:
    scores = np.random.default_rng(4).beta(0.4, 1.0, (200, 6)).astype(np.float32)
    jaccard, f1 = (uncalibrated(6, rule).decide(scores).sum() for rule in RULES)
    assert jaccard < f1


def test_low_scores_still_give_the_leading_genre() -> None:
    scores = np.array([[0.0, 0.02, 0.005]], dtype=np.float32)
    assert uncalibrated(3).decide(scores).tolist() == [[False, True, False]]


def test_calibration_shifts_what_is_decided() -> None:
    scores = np.array([[0.6, 0.3]], dtype=np.float32)
    assert uncalibrated(2).decide(scores).tolist() == [[True, False]]
    assert ExpectedJaccardSet((1.0, 1.0), (-2.0, 2.0)).decide(scores).tolist() == [[False, True]]


@pytest.mark.parametrize("rule", RULES)
def test_a_movie_s_genres_do_not_depend_on_its_neighbours(rule: type[ExpectedSet]) -> None:
    scores = np.random.default_rng(3).random((ROWS_AT_ONCE + 50, 6)).astype(np.float32)
    decide = uncalibrated(6, rule).decide
    together = decide(scores)
    assert (together[::-1] == decide(scores[::-1])).all()
    alone = [decide(scores[row : row + 1])[0] for row in range(ROWS_AT_ONCE - 5, ROWS_AT_ONCE + 5)]
    assert (together[ROWS_AT_ONCE - 5 : ROWS_AT_ONCE + 5] == np.array(alone)).all()
