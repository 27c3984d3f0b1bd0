"""Tuned thresholds against trying every cut."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from tasks.decision.rules import GlobalThreshold, PerGenreThresholds, TopGenres
from tasks.decision.thresholds import (
    ABOVE_ALL,
    tune_count,
    tune_f1_thresholds,
    tune_genre_thresholds,
    tune_global_threshold,
)

Pair = tuple[NDArray[np.float32], NDArray[np.bool_]]


def draw(n_movies: int, n_genres: int, seed: int, levels: int = 0) -> Pair:
    """Scores that know something about the truth; with `levels`, few distinct ones, 0 and 1 among them."""
    random = np.random.default_rng(seed)
    truth = random.random((n_movies, n_genres)) < 0.4
    scores = np.clip(0.25 + 0.3 * truth + random.normal(0, 0.2, truth.shape), 0, 1)
    if levels:
        scores = np.round(scores * levels) / levels
    return scores.astype(np.float32), truth


def jaccard(truth: NDArray[np.bool_], decided: NDArray[np.bool_]) -> float:
    return float(((truth & decided).sum(axis=1) / (truth | decided).sum(axis=1)).mean())


def cuts(scores: NDArray[np.float32]) -> list[float]:
    distinct = np.unique(scores.astype(np.float64))
    return [0.0, *((distinct[1:] + distinct[:-1]) / 2).tolist(), ABOVE_ALL]


@given(
    n_movies=st.integers(1, 12),
    n_genres=st.integers(1, 5),
    seed=st.integers(0, 1000),
    levels=st.sampled_from([0, 1, 4]),
)
@settings(max_examples=150)
def test_no_global_threshold_is_better(n_movies: int, n_genres: int, seed: int, levels: int) -> None:
    scores, truth = draw(n_movies, n_genres, seed, levels)
    found = jaccard(truth, GlobalThreshold(tune_global_threshold(scores, truth)).decide(scores))
    best = max(jaccard(truth, GlobalThreshold(cut).decide(scores)) for cut in cuts(scores))
    assert found == pytest.approx(best)


@given(
    n_movies=st.integers(1, 12),
    n_genres=st.integers(1, 4),
    seed=st.integers(0, 1000),
    levels=st.sampled_from([0, 1, 4]),
)
@settings(max_examples=100)
def test_no_change_of_one_genre_s_threshold_is_better(n_movies: int, n_genres: int, seed: int, levels: int) -> None:
    scores, truth = draw(n_movies, n_genres, seed, levels)
    start = tune_global_threshold(scores, truth)
    thresholds = tune_genre_thresholds(scores, truth, start)
    found = jaccard(truth, PerGenreThresholds(tuple(thresholds)).decide(scores))
    assert found >= jaccard(truth, GlobalThreshold(start).decide(scores)) - 1e-9
    for genre in range(n_genres):
        for cut in cuts(scores[:, genre]):
            changed = thresholds.copy()
            changed[genre] = cut
            assert jaccard(truth, PerGenreThresholds(tuple(changed)).decide(scores)) <= found + 1e-6


@given(n_movies=st.integers(1, 12), n_genres=st.integers(1, 5), seed=st.integers(0, 1000))
@settings(max_examples=100)
def test_no_other_number_of_genres_is_better(n_movies: int, n_genres: int, seed: int) -> None:
    scores, truth = draw(n_movies, n_genres, seed)
    by_count = [jaccard(truth, TopGenres(count).decide(scores)) for count in range(1, n_genres + 1)]
    found = tune_count(scores, truth)
    assert by_count[found - 1] == pytest.approx(max(by_count))
    assert max(by_count[: found - 1], default=-1) < by_count[found - 1]


def f1(weights: NDArray[np.float64], decided: NDArray[np.bool_]) -> float:
    return float(2 * weights[decided].sum() / max(decided.sum() + weights.sum(), 1e-9))


@given(
    n_movies=st.integers(1, 12),
    seed=st.integers(0, 1000),
    levels=st.sampled_from([0, 1, 4]),
    by_probabilities=st.booleans(),
)
@settings(max_examples=150)
def test_no_threshold_gives_a_genre_a_better_f1(n_movies: int, seed: int, levels: int, by_probabilities: bool) -> None:
    scores, truth = draw(n_movies, 3, seed, levels)
    weights = scores.astype(np.float64) ** 2 if by_probabilities else truth.astype(np.float64)
    for genre, threshold in enumerate(tune_f1_thresholds(scores, weights)):
        found = f1(weights[:, genre], scores[:, genre] >= threshold)
        best = max(f1(weights[:, genre], scores[:, genre] >= cut) for cut in cuts(scores[:, genre]))
        assert found == pytest.approx(best)


def test_the_best_f1_threshold_of_true_probabilities_is_half_the_best_f1() -> None:
    probabilities = np.random.default_rng(5).beta(0.5, 2, (50_000, 1))
    threshold = float(tune_f1_thresholds(probabilities.astype(np.float32), probabilities)[0])
    assert threshold == pytest.approx(f1(probabilities[:, 0], probabilities[:, 0] >= threshold) / 2, abs=1e-3)


def test_a_genre_without_a_positive_is_never_decided_for_its_f1() -> None:
    scores = np.array([[1.0], [0.2]], dtype=np.float32)
    assert tune_f1_thresholds(scores, np.zeros((2, 1), dtype=np.bool_))[0] > 1


def test_the_threshold_lies_between_the_scores_it_separates() -> None:
    scores = np.array([[0.9, 0.7], [0.8, 0.2], [0.9, 0.7], [0.8, 0.2]], dtype=np.float32)
    truth = np.array([[1, 1], [1, 0], [1, 1], [1, 0]], dtype=np.bool_)
    assert tune_global_threshold(scores, truth) == pytest.approx(0.45)


def test_a_genre_whose_score_misleads_is_never_decided_beside_others() -> None:
    scores = np.array([[0.9, 0.5]] * 4, dtype=np.float32)
    truth = np.array([[1, 0]] * 4, dtype=np.bool_)
    thresholds = tune_genre_thresholds(scores, truth, 0.3)
    assert thresholds[1] > 0.5
    assert PerGenreThresholds(tuple(thresholds)).decide(scores).tolist() == truth.tolist()


def test_a_genre_that_changes_nothing_keeps_the_start() -> None:
    scores = np.array([[0.9, 0.1], [0.8, 0.1]], dtype=np.float32)
    truth = np.array([[1, 0], [1, 0]], dtype=np.bool_)
    assert tune_genre_thresholds(scores, truth, 0.4).tolist() == [0.4, 0.4]
