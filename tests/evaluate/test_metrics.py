"""Metrics against scikit-learn, against figures worked out by hand, and where they are undefined."""

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn import metrics as reference

from tasks.core.metrics import (
    CHOICES,
    METRICS,
    MOVIE_METRICS,
    GenreCounts,
    count_genres,
    decision_metrics,
    genre_metrics,
    movie_metrics,
    ranking_metrics,
)

Case = tuple[NDArray[np.bool_], NDArray[np.bool_], NDArray[np.float32]]


def all_metrics(truth, decided, scores) -> dict[str, float]:
    return decision_metrics(truth, decided) | ranking_metrics(truth, scores)


def draw(n_movies: int = 200, n_genres: int = 6, seed: int = 0) -> Case:
    """Every movie and genre has a positive; some movies and one genre have no decision; some scores are equal."""
    random = np.random.default_rng(seed)
    truth = random.random((n_movies, n_genres)) < np.geomspace(0.6, 0.05, n_genres)
    truth[~truth.any(axis=1), 0] = True
    truth[0] = True
    scores = np.round(np.clip(0.3 * truth + random.random(truth.shape) * 0.7, 0, 1), 2).astype(np.float32)
    decided = scores >= 0.5
    decided[:5] = False
    decided[:, -1] = False
    return truth, decided, scores


@pytest.mark.parametrize("seed", [1, 2])
def test_decision_metrics_equal_scikit_learn_s(seed: int) -> None:
    truth, decided, scores = draw(seed=seed)
    found = all_metrics(truth, decided, scores)
    assert found["jaccard"] == pytest.approx(
        reference.jaccard_score(truth, decided, average="samples", zero_division=0)
    )
    assert found["hamming_loss"] == pytest.approx(reference.hamming_loss(truth, decided))
    assert found["exact_match"] == pytest.approx(reference.accuracy_score(truth, decided))
    for average in ("samples", "micro", "macro", "weighted"):
        expected = reference.precision_recall_fscore_support(truth, decided, average=average, zero_division=0)[:3]
        assert [found[f"{name}_{average}"] for name in ("precision", "recall", "f1")] == pytest.approx(expected)
    by_genre = [reference.balanced_accuracy_score(truth[:, genre], decided[:, genre]) for genre in range(6)]
    assert found["balanced_accuracy"] == pytest.approx(np.mean(by_genre))


@pytest.mark.parametrize("seed", [1, 2])
def test_ranking_metrics_equal_scikit_learn_s(seed: int) -> None:
    truth, decided, scores = draw(seed=seed)
    found = all_metrics(truth, decided, scores)
    assert found["mean_average_precision"] == pytest.approx(reference.average_precision_score(truth, scores))
    assert found["coverage_error"] == pytest.approx(reference.coverage_error(truth, scores))
    assert found["label_ranking_loss"] == pytest.approx(reference.label_ranking_loss(truth, scores))


def test_metrics_of_one_movie_by_hand() -> None:
    truth = np.array([[1, 1, 1, 0, 0]], dtype=np.bool_)
    decided = np.array([[1, 1, 0, 1, 0]], dtype=np.bool_)
    found = dict(zip(MOVIE_METRICS, movie_metrics(truth, decided)[0], strict=True))
    assert found == pytest.approx(
        {
            "jaccard": 2 / 4,
            "f1_samples": 4 / 6,
            "precision_samples": 2 / 3,
            "recall_samples": 2 / 3,
            "hamming_loss": 2 / 5,
            "exact_match": 0,
            "at_least_one": 1,
            "at_least_two": 1,
            "signed_overlap": (2 - 1) / 3,
        }
    )


def test_signed_overlap_falls_below_0_with_false_alarms_and_is_1_when_all_is_right() -> None:
    truth = np.array([[1, 0, 0], [1, 1, 0]], dtype=np.bool_)
    decided = np.array([[0, 1, 1], [1, 1, 0]], dtype=np.bool_)
    assert movie_metrics(truth, decided)[:, list(MOVIE_METRICS).index("signed_overlap")].tolist() == [-2, 1]


def test_a_genre_without_a_positive_is_left_out_and_counted() -> None:
    truth, decided, scores = draw()
    truth[:, 2] = False
    truth[~truth.any(axis=1), 0] = True
    rest = [0, 1, 3, 4, 5]
    found = all_metrics(truth, decided, scores)
    without = all_metrics(truth[:, rest], decided[:, rest], scores[:, rest])
    for name in ("precision", "recall", "f1"):
        assert found[f"{name}_macro"] == pytest.approx(without[f"{name}_macro"])
        assert found[f"{name}_weighted"] == pytest.approx(without[f"{name}_weighted"])
    assert found["balanced_accuracy"] == pytest.approx(without["balanced_accuracy"])
    assert found["mean_average_precision"] == pytest.approx(without["mean_average_precision"])
    assert (found["undefined_genres"], without["undefined_genres"]) == (1, 0)


def test_a_genre_that_is_never_decided_earns_0_and_is_counted() -> None:
    truth, decided, scores = draw()
    found = all_metrics(truth, decided, scores)
    assert found["undecided_genres"] == 1
    assert found["undecided_movies"] == (~decided.any(axis=1)).sum() > 5
    decided_genres = all_metrics(truth[:, :5], decided[:, :5], scores[:, :5])
    assert found["precision_macro"] == pytest.approx(decided_genres["precision_macro"] * 5 / 6)


def test_a_movie_without_a_true_genre_is_left_out_of_sample_means_and_counted() -> None:
    truth, decided, scores = draw()
    truth[7] = False
    decided[7] = [True, False, False, False, False, False]
    kept = np.arange(len(truth)) != 7
    found = all_metrics(truth, decided, scores)
    without = all_metrics(truth[kept], decided[kept], scores[kept])
    for name in ("jaccard", "f1_samples", "precision_samples", "recall_samples", "at_least_one", "signed_overlap"):
        assert found[name] == pytest.approx(without[name])
    for name in ("coverage_error", "label_ranking_loss"):
        assert found[name] == pytest.approx(without[name])
    assert found["hamming_loss"] == pytest.approx((without["hamming_loss"] * 199 + 1 / 6) / 200)
    assert found["exact_match"] < without["exact_match"]
    assert (found["movies_without_genre"], without["movies_without_genre"]) == (1, 0)


def test_nothing_true_at_all_is_undefined_not_0() -> None:
    truth = np.zeros((3, 2), dtype=np.bool_)
    found = all_metrics(truth, ~truth, np.ones((3, 2), dtype=np.float32))
    defined = {name: value for name, value in found.items() if np.isfinite(value)}
    assert defined == {
        "hamming_loss": 1,
        "exact_match": 0,
        "undefined_genres": 2,
        "undecided_genres": 0,
        "movies_without_genre": 3,
        "undecided_movies": 0,
    }


def test_one_genre_works() -> None:
    truth = np.array([[True], [True]])
    found = all_metrics(truth, truth, np.array([[0.9], [0.2]], dtype=np.float32))
    assert (found["jaccard"], found["f1_macro"], found["coverage_error"], found["label_ranking_loss"]) == (1, 1, 1, 0)
    assert np.isnan(found["balanced_accuracy"])  # there is no movie without the genre


def test_a_permutation_of_movies_changes_nothing() -> None:
    truth, decided, scores = draw()
    order = np.random.default_rng(1).permutation(len(truth))
    shuffled = all_metrics(truth[order], decided[order], scores[order])
    assert shuffled == pytest.approx(all_metrics(truth, decided, scores))


def test_weighted_sums_give_what_resampled_movies_give() -> None:
    truth, decided, _ = draw()
    drawn = np.random.default_rng(2).integers(0, len(truth), (4, len(truth)))
    weights = np.array([np.bincount(rows, minlength=len(truth)) for rows in drawn], dtype=np.float64)
    means = weights @ movie_metrics(truth, decided) / len(truth)
    tp, predicted, support = (weights @ labels for labels in (truth & decided, decided, truth))
    counts = GenreCounts(tp, predicted - tp, support - tp, len(truth) - predicted - support + tp)
    by_resample = genre_metrics(counts)
    for resample, rows in enumerate(drawn):
        assert means[resample] == pytest.approx(movie_metrics(truth[rows], decided[rows]).mean(axis=0))
        for name, value in genre_metrics(count_genres(truth[rows], decided[rows])).items():
            assert by_resample[name][resample] == pytest.approx(float(value))


def test_only_metrics_of_decisions_can_choose_and_columns_are_told_apart() -> None:
    assert {METRICS[name].of for name in CHOICES} == {"movies", "genres"}  # the bootstrap has these alone
    for names in zip(*((metric.title, metric.short) for metric in METRICS.values()), strict=True):
        assert len(set(names)) == len(names)
