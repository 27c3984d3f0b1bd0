import numpy as np
import pytest

from tasks.evaluate.label_audit import LabelIssue, explain_issues, find_label_issues


def test_planted_errors_are_doubted_and_come_first() -> None:
    random = np.random.default_rng(1)
    true = random.random((3000, 6)) < np.array([0.5, 0.4, 0.3, 0.2, 0.1, 0.05])
    probabilities = 1 / (1 + np.exp(-(6 * true - 3 + 1.2 * random.standard_normal(true.shape))))
    flipped = np.zeros(3000, dtype=bool)
    flipped[random.choice(3000, 90, replace=False)] = True
    given = true.copy()
    at = (np.flatnonzero(flipped), random.integers(0, 6, 90))
    given[at] = ~given[at]
    doubted, quality = find_label_issues(given, probabilities)
    first = np.argsort(quality, kind="stable")[:90]
    assert flipped[first].mean() > 0.8  # by chance: 0.03
    assert doubted[at].mean() > 0.7
    assert flipped[doubted.any(axis=1)].mean() > 0.5


def test_the_order_of_movies_and_genres_changes_nothing() -> None:
    random = np.random.default_rng(2)
    given, probabilities = random.random((200, 4)) < 0.4, random.random((200, 4))
    rows, columns = random.permutation(200), random.permutation(4)
    doubted, quality = find_label_issues(given, probabilities)
    again, quality_again = find_label_issues(given[rows][:, columns], probabilities[rows][:, columns])
    np.testing.assert_array_equal(again, doubted[rows][:, columns])
    np.testing.assert_allclose(quality_again, quality[rows])


@pytest.mark.parametrize("given", [np.zeros((8, 2), bool), np.ones((8, 2), bool)], ids=["no movie", "every movie"])
def test_a_genre_of_no_or_every_movie_is_not_doubted(given: np.ndarray) -> None:
    varying = np.arange(8) % 2 == 0
    probabilities = np.column_stack([np.full((8, 2), 0.5), np.where(varying, 0.9, 0.1)])
    doubted, quality = find_label_issues(np.column_stack([given, varying]), probabilities)
    assert not doubted.any()
    assert (quality > 0.8).all()
    assert find_label_issues(given, probabilities[:, :2])[1].tolist() == [1.0] * 8


def test_a_genre_of_one_movie_warns_nobody_but_is_told(caplog: pytest.LogCaptureFixture) -> None:
    random = np.random.default_rng(1)
    given = random.random((40, 2)) < 0.5
    rare = (np.arange(40) == 3)[:, None]
    with caplog.at_level("INFO"):
        doubted, _ = find_label_issues(np.hstack([given, rare]), random.random((40, 3)))
    assert doubted.shape == (40, 3)
    assert "to find all label errors: 1" in caplog.text


def test_scores_that_are_all_the_same_can_be_audited() -> None:
    given = np.arange(20).reshape(10, 2) % 3 == 0
    doubted, quality = find_label_issues(given, np.full((10, 2), 0.5))
    assert np.isfinite(quality).all()
    for row, column in np.argwhere(doubted):
        assert explain_issues([LabelIssue("War", bool(given[row, column]), {"a": 0.5})])


def test_reasons_say_how_many_models_agree_and_what_the_most_hesitant_says() -> None:
    war = LabelIssue("War", True, {"a": 0.1, "b": 0.04, "c": 0.2})
    drama = LabelIssue("Drama", True, {"a": 0.3, "b": 0.7, "c": 0.6})
    horror = LabelIssue("Horror", False, {"a": 0.9, "b": 0.8, "c": 0.95})
    assert explain_issues([war, horror, drama]) == (
        "all 3 models give War at most 0.20, which the listing has; all 3 models give Horror at least 0.80, which the "
        "listing lacks; 1 of 3 models gives Drama 0.30, which the listing has"
    )
