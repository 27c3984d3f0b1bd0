"""The per-genre table: counts, its agreement with the macro figures, and what is null."""

import numpy as np
import pytest

from tasks.core.metrics import decision_metrics, ranking_metrics
from tasks.evaluate.evaluation import per_genre_table

TRUTH = np.array([[1, 0, 0, 1], [1, 1, 0, 0], [0, 1, 0, 0], [1, 0, 0, 0]], dtype=np.bool_)
DECIDED = np.array([[1, 1, 0, 0], [1, 1, 1, 0], [1, 0, 0, 0], [0, 0, 0, 0]], dtype=np.bool_)
SCORES = (0.2 + 0.6 * DECIDED).astype(np.float32)
GENRES = ("Comedy", "Drama", "War", "Western")


def test_counts_and_metrics_of_a_genre() -> None:
    row = per_genre_table(TRUTH, DECIDED, SCORES, GENRES, (0.5, 0.4, 0.3, 0.2)).row(0, named=True)
    assert row == pytest.approx(
        {
            "genre": "Comedy",
            "support": 3,
            "predicted": 3,
            "tp": 2,
            "fp": 1,
            "fn": 1,
            "tn": 0,
            "precision": 2 / 3,
            "recall": 2 / 3,
            "f1": 2 / 3,
            "jaccard": 2 / 4,
            "average_precision": 2 / 3 * 2 / 3 + 1 / 3 * 3 / 4,
            "threshold": 0.5,
        }
    )


def test_a_genre_without_a_positive_has_null_metrics_and_a_never_decided_one_0() -> None:
    table = per_genre_table(TRUTH, DECIDED, SCORES, GENRES)
    war, western = (table.filter(genre=genre).row(0, named=True) for genre in ("War", "Western"))
    metrics = ("precision", "recall", "f1", "jaccard", "average_precision")
    assert [war[name] for name in metrics] == [None] * 5
    assert (war["support"], war["predicted"]) == (0, 1)
    assert [western[name] for name in metrics] == [0, 0, 0, 0, 0.25]
    assert table["threshold"].to_list() == [None] * 4


def test_means_over_genres_are_the_macro_figures() -> None:
    table = per_genre_table(TRUTH, DECIDED, SCORES, GENRES)
    found = decision_metrics(TRUTH, DECIDED) | ranking_metrics(TRUTH, SCORES)
    for name in ("precision", "recall", "f1"):
        assert table[name].mean() == pytest.approx(found[f"{name}_macro"])
    assert table["average_precision"].mean() == pytest.approx(found["mean_average_precision"])
