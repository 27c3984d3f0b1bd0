"""Average precision a genre, equal scores, and tables longer than a chunk."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score

from tasks.core import metrics
from tasks.core.metrics import average_precision, ranking_metrics


@given(n_movies=st.integers(1, 30), seed=st.integers(0, 10_000), levels=st.sampled_from([1, 3, 100]))
@settings(max_examples=100)
def test_average_precision_equals_scikit_learn_s(n_movies: int, seed: int, levels: int) -> None:
    random = np.random.default_rng(seed)
    truth = random.random((n_movies, 3)) < 0.3
    scores = (random.integers(0, levels + 1, truth.shape) / levels).astype(np.float32)
    found = average_precision(truth, scores)
    for genre in range(3):
        if truth[:, genre].any():
            assert found[genre] == pytest.approx(average_precision_score(truth[:, genre], scores[:, genre]))
        else:
            assert np.isnan(found[genre])


def test_equal_scores_count_as_wrongly_ordered() -> None:
    truth = np.array([[True, False, False]])
    assert ranking_metrics(truth, np.array([[0.5, 0.5, 0.1]], dtype=np.float32))["label_ranking_loss"] == 0.5


def test_perfect_scores_are_perfect() -> None:
    truth = np.array([[1, 0, 0], [0, 1, 1]], dtype=np.bool_)
    assert ranking_metrics(truth, truth.astype(np.float32)) == {
        "mean_average_precision": 1,
        "coverage_error": 1.5,
        "label_ranking_loss": 0,
    }


def test_chunks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    random = np.random.default_rng(1)
    truth, scores = random.random((25, 4)) < 0.5, random.random((25, 4)).astype(np.float32)
    whole = ranking_metrics(truth, scores)
    monkeypatch.setattr(metrics, "ROWS_AT_ONCE", 10)
    assert ranking_metrics(truth, scores) == whole
