"""Tuned thresholds against trying every cut."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from tasks.decision.rules import GlobalThreshold, PerGenreThresholds
from tasks.decision.thresholds import ABOVE_ALL, tune_genre_thresholds, tune_global_threshold

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
@settings(max_examples=150, deadline=None)
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
@settings(max_examples=100, deadline=None)
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
