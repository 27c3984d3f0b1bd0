"""Rules: what they decide, what they refuse, and their form in JSON."""

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from tasks.core.errors import DataError
from tasks.decision.rules import (
    ExpectedF1Set,
    ExpectedJaccardSet,
    GlobalThreshold,
    PerGenreThresholds,
    Rule,
    TopGenres,
    rules_from_json,
    rules_to_json,
)
from tasks.decision.thresholds import HALF_WEIGHT_POSITIVES, fit_rules, shrink_thresholds

RULES: dict[str, Rule] = {
    "fixed": GlobalThreshold(0.5),
    "fixed-or-majority": GlobalThreshold(0.5, fallback=1),
    "top": TopGenres(2),
    "per-genre": PerGenreThresholds((0.1, 0.9, 1.5)),
    "expected-jaccard": ExpectedJaccardSet((1.0, 0.7, 2.0), (0.0, -1.0, 0.5)),
    "expected-f1": ExpectedF1Set((1.0, 0.7, 2.0), (0.0, -1.0, 0.5)),
}
OR_NONE = {"global-or-none": GlobalThreshold(0.6, "none"), "or-none": PerGenreThresholds((0.3, 0.4, 1.5), "none")}


def as_scores(rows: list[list[float]]) -> NDArray[np.float32]:
    return np.array(rows, dtype=np.float32)


def test_a_score_equal_to_the_threshold_is_decided() -> None:
    assert GlobalThreshold(0.5).decide(as_scores([[0.5, 0.49, 0.51]])).tolist() == [[True, False, True]]


def test_thresholds_are_compared_in_double_precision() -> None:
    score = np.float32(0.1)
    just_above = np.nextafter(np.float64(score), 1)
    scores = as_scores([[0.1, 0.9]])
    assert GlobalThreshold(float(just_above)).decide(scores).tolist() == [[False, True]]
    assert GlobalThreshold(float(score)).decide(scores).tolist() == [[True, True]]


def test_where_nothing_passes_the_highest_score_is_decided_the_first_of_equals() -> None:
    scores = as_scores([[0.1, 0.3, 0.2], [0.2, 0.4, 0.4], [0.0, 0.0, 0.0]])
    expected = [[False, True, False], [False, True, False], [True, False, False]]
    assert GlobalThreshold(0.5).decide(scores).tolist() == expected


def test_the_fallback_can_be_no_genre_or_always_the_same_one() -> None:
    scores = as_scores([[0.1, 0.3, 0.2], [0.1, 0.2, 0.6]])
    for rule in (GlobalThreshold(0.5), PerGenreThresholds((0.5, 0.5, 0.5))):
        assert replace(rule, fallback="none").decide(scores).tolist() == [[False] * 3, [False, False, True]]
        assert replace(rule, fallback=0).decide(scores).tolist() == [[True, False, False], [False, False, True]]
        with pytest.raises(DataError, match="the fallback is genre 3, but the rule is for 3 genres"):
            replace(rule, fallback=3).decide(scores)


@given(hnp.arrays(np.float32, st.tuples(st.integers(0, 6), st.integers(1, 5)), elements=st.floats(0, 1, width=32)))
def test_the_top_genres_are_the_first_in_descending_order(scores: NDArray[np.float32]) -> None:
    for count in range(1, scores.shape[1] + 2):
        for row, decided in zip(scores, TopGenres(count).decide(scores), strict=True):
            expected = sorted(range(len(row)), key=lambda genre: (-row[genre], genre))[:count]
            assert np.flatnonzero(decided).tolist() == sorted(expected)


def test_each_genre_has_its_threshold_and_one_above_1_is_never_reached() -> None:
    scores = as_scores([[0.2, 0.85, 1.0], [0.0, 0.95, 1.0]])
    assert RULES["per-genre"].decide(scores).tolist() == [[True, False, False], [False, True, False]]


@given(hnp.arrays(np.float32, st.tuples(st.integers(0, 8), st.just(3)), elements=st.floats(0, 1, width=32)))
def test_every_rule_gives_every_movie_a_genre(scores: NDArray[np.float32]) -> None:
    for rule in RULES.values():
        decided = rule.decide(scores)
        assert decided.shape == scores.shape
        assert decided.any(axis=1).all()


def test_thresholds_are_told_where_there_are_any() -> None:
    assert RULES["fixed"].genre_thresholds(2) == (0.5, 0.5)
    assert RULES["per-genre"].genre_thresholds(3) == (0.1, 0.9, 1.5)
    assert RULES["expected-jaccard"].genre_thresholds(3) is None


@pytest.mark.parametrize("name", RULES)
@pytest.mark.parametrize("bad", [float("nan"), -0.1, 1.1, float("inf")])
def test_a_score_that_is_not_in_the_unit_range_is_refused(name: str, bad: float) -> None:
    with pytest.raises(DataError, match="row 1, genre 2: the score"):
        RULES[name].decide(as_scores([[0.1, 0.2, 0.3], [0.1, 0.2, bad]]))


@pytest.mark.parametrize("name", ["per-genre", "expected-jaccard", "expected-f1"])
def test_another_number_of_genres_is_refused(name: str) -> None:
    with pytest.raises(DataError, match="3 genres"):
        RULES[name].decide(as_scores([[0.1, 0.2]]))


def test_rules_survive_json_in_their_order() -> None:
    rules = RULES | OR_NONE
    restored = rules_from_json(json.loads(json.dumps(rules_to_json(rules))))
    assert restored == rules
    assert list(restored) == list(rules)


def test_stored_thresholds_without_a_fallback_have_the_highest_score() -> None:
    stored = {"fixed": {"kind": "global-threshold", "threshold": 0.5}}
    assert rules_from_json(stored) == {"fixed": GlobalThreshold(0.5, "highest-score")}


@pytest.mark.parametrize(
    ("stored", "complaint"),
    [
        (None, "expected an object"),
        ({}, "expected an object"),
        ({"a": 1}, "'a': expected an object"),
        ({"a": {}}, "'a': unknown kind None"),
        ({"a": {"kind": "oracle"}}, "'a': unknown kind 'oracle'"),
        ({"a": {"kind": "global-threshold"}}, "'a': threshold: Field required"),
        ({"a": {"kind": "global-threshold", "threshold": "0.5"}}, "'a': threshold: Input should be"),
        ({"a": {"kind": "global-threshold", "threshold": True}}, "'a': threshold: Input should be"),
        ({"a": {"kind": "per-genre-thresholds", "thresholds": []}}, "'a': thresholds: "),
        ({"a": {"kind": "per-genre-thresholds", "thresholds": [0.5, None]}}, "'a': thresholds: "),
        ({"a": {"kind": "per-genre-thresholds", "thresholds": [float("nan")]}}, "'a': thresholds: "),
        ({"a": {"kind": "top-genres"}}, "'a': count: "),
        ({"a": {"kind": "top-genres", "count": 0}}, "'a': count: "),
        ({"a": {"kind": "top-genres", "count": 1.5}}, "'a': count: "),
        ({"a": {"kind": "global-threshold", "threshold": 0.5, "fallback": "dice"}}, "'a': fallback: "),
        ({"a": {"kind": "global-threshold", "threshold": 0.5, "fallback": -1}}, "'a': fallback: "),
        ({"a": {"kind": "expected-jaccard-set", "slopes": [1], "intercepts": [0, 0]}}, "of the same length"),
    ],
)
def test_damaged_json_is_refused_with_the_rule_and_the_field(stored: Any, complaint: str) -> None:
    with pytest.raises(DataError, match=complaint):
        rules_from_json(stored)


def informative(n_movies: int, n_genres: int, seed: int = 0) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    random = np.random.default_rng(seed)
    truth = random.random((n_movies, n_genres)) < np.geomspace(0.5, 0.02, n_genres)
    scores = np.clip(0.15 + 0.3 * truth + random.normal(0, 0.15, truth.shape), 0, 1)
    return scores.astype(np.float32), truth


def test_all_rules_are_fitted_the_simplest_first() -> None:
    scores, truth = informative(400, 5)
    rules = fit_rules(scores, truth)
    assert list(rules) == [
        "fixed", "fixed-or-majority", "fixed-or-none", "fixed-0.425", "top", "global", "per-genre", "per-genre-f1",
        "expected-jaccard", "expected-f1",
    ]  # fmt: skip
    jaccard = {
        name: float(((truth & decided).sum(axis=1) / np.maximum((truth | decided).sum(axis=1), 1)).mean())
        for name, decided in ((name, rule.decide(scores)) for name, rule in rules.items())
    }
    assert jaccard["fixed-or-none"] < jaccard["fixed"] < jaccard["global"] <= jaccard["per-genre"]
    assert jaccard["fixed"] < jaccard["expected-jaccard"]
    assert rules["fixed-or-majority"].decide(np.zeros((1, 5), dtype=np.float32)).tolist() == [[True] + [False] * 4]


def test_a_permutation_of_movies_changes_no_rule() -> None:
    scores, truth = informative(300, 4)
    order = np.random.default_rng(1).permutation(300)
    before, after = rules_to_json(fit_rules(scores, truth)), rules_to_json(fit_rules(scores[order], truth[order]))
    for name, rule in before.items():
        for field, value in rule.items():
            expected = pytest.approx(value) if field in {"slopes", "intercepts", "thresholds"} else value
            assert after[name][field] == expected


def test_a_permutation_of_genres_permutes_every_rule_s_decisions() -> None:
    scores, truth = informative(300, 5)
    order = np.random.default_rng(2).permutation(5)
    permuted = fit_rules(scores[:, order], truth[:, order])
    for name, rule in fit_rules(scores, truth).items():
        assert (permuted[name].decide(scores[:, order]) == rule.decide(scores)[:, order]).all(), name


def test_a_genre_without_a_positive_has_the_global_threshold() -> None:
    scores, truth = informative(300, 4)
    truth[:, 3] = False
    rules = fit_rules(scores, truth)
    assert rules["per-genre"].genre_thresholds(4)[3] == rules["global"].genre_thresholds(4)[3]
    assert np.isfinite(rules_to_json(rules)["expected-jaccard"]["intercepts"]).all()


def test_few_positives_move_a_threshold_less_than_many() -> None:
    own, positives = np.array([0.8, 0.8, 0.8]), np.array([0, HALF_WEIGHT_POSITIVES, 10**9])
    none, some, many = shrink_thresholds(own, np.full(3, 0.2), positives)
    assert none == 0.2
    assert some == pytest.approx(0.5)
    assert many == pytest.approx(0.8)


def test_one_genre_is_always_decided() -> None:
    scores, truth = as_scores([[0.9], [0.1], [0.4]]), np.array([[True], [False], [True]])
    for name, rule in fit_rules(scores, truth).items():
        assert rule.decide(scores).tolist() == [[True], [name != "fixed-or-none"], [name != "fixed-or-none"]]


@pytest.mark.parametrize(("n_scores", "n_truth"), [(0, 0), (2, 3)])
def test_fitting_needs_movies_with_truth(n_scores: int, n_truth: int) -> None:
    with pytest.raises(DataError, match="decision rules need"):
        fit_rules(np.full((n_scores, 2), 0.5, dtype=np.float32), np.ones((n_truth, 2), dtype=np.bool_))
