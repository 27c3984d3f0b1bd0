"""Searches: what they try, that they go on where they stopped, and that they leave neither folders nor test figures."""

import math

import pytest

from tasks.core.errors import ConfigError, DataError
from tasks.core.predictions import read_scores
from tasks.models import linear, spec
from tasks.models.features import build_features
from tasks.models.registry import with_params
from tasks.models.search import open_search, space_of
from tasks.models.spec import features_of
from tasks.models.train import TrainChoices, score_trial

MODEL = spec.ModelSpec(name="logreg", classifier=linear.LogisticRegression(C=1))
TERMS = {"metric": "jaccard", "seed": 1}


def begin(folder, space=None, minimise=False, **terms):
    file = folder / "search" / "study.sqlite"
    return open_search(file, MODEL, space or space_of(MODEL), {**TERMS, **terms}, minimise)


def worth(params):
    """The best is C = 3, one or two words, seen in five movies."""
    return -abs(math.log(params["C"] / 3)) - abs(params["max_n"] - 2) - abs(params["min_movies"] - 5) / 10


def try_some(search, folder, count):
    tried = []
    for _ in range(count):
        trial = search.ask()
        search.claim_features(folder, [spec.name for spec in features_of(trial.model)])
        search.tell(worth(trial.params))
        tried.append((trial.number, trial.params))
    return tried


def test_it_begins_with_the_model_as_it_is_and_finds_better(tmp_path):
    search = begin(tmp_path)
    tried = try_some(search, tmp_path, 21)
    assert tried[0] == (1, {"C": 1.0, "max_n": 1, "min_movies": 2, "sublinear": False})
    assert search.first_value == worth(tried[0][1])
    assert search.best_params == max((params for _, params in tried), key=worth)
    assert search.best_value == max(worth(params) for _, params in tried)
    later, early = ([worth(params) for _, params in part] for part in (tried[11:], tried[1:11]))
    assert sum(later) > sum(early)
    for _, params in tried:
        space_of(with_params(MODEL, params))  # an error if a value is outside its range


def test_an_interrupted_search_tries_what_an_uninterrupted_one_does(tmp_path, caplog):
    whole = try_some(begin(tmp_path / "whole"), tmp_path, 12)
    search = begin(tmp_path)
    search.ask()  # killed in its first trial
    first = try_some(begin(tmp_path), tmp_path, 11)
    search = begin(tmp_path)
    search.ask()  # and in its twelfth
    caplog.set_level("INFO")
    assert first + try_some(begin(tmp_path), tmp_path, 1) == whole
    assert "11 trials found, 1 interrupted" in caplog.text


def test_a_model_that_cannot_be_fitted_is_not_tried_again(tmp_path):
    search = begin(tmp_path)
    search.ask()
    search.tell(0.5)
    failed = search.ask()
    search.tell(None)
    assert search.ask().params != failed.params
    assert (search.n_ended, search.best_value, search.best_params["C"]) == (2, 0.5, 1.0)


def test_small_values_can_be_good(tmp_path):
    search = begin(tmp_path, minimise=True)
    for value in (0.3, 0.1, 0.1, 0.2):
        trial = search.ask()
        search.tell(value)
        if trial.number == 2:
            first_of_equals = trial.params
    assert (search.best_value, search.best_params) == (0.1, first_of_equals)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"metric": "f1_macro"}, "metric: jaccard before, f1_macro now"),
        ({"seed": 2}, "seed: 1 before, 2 now"),
        ({"space": space_of(MODEL, ["C"])}, "space: max_n, min_movies, sublinear"),
    ],
)
def test_other_terms_are_refused(tmp_path, change, said):
    begin(tmp_path)
    with pytest.raises(ConfigError, match=rf"other settings \({said}\); use the same, or remove"):
        begin(tmp_path, **change)


@pytest.mark.parametrize("damage", [lambda _: b"no search" * 200, lambda whole: whole[: len(whole) // 2]])
def test_a_damaged_file_is_told(tmp_path, damage):
    try_some(begin(tmp_path), tmp_path, 1)
    file = tmp_path / "search" / "study.sqlite"
    file.write_bytes(damage(file.read_bytes()))
    with pytest.raises(DataError, match=r"study\.sqlite cannot be read \(.+\); remove the file to start again"):
        begin(tmp_path)


def test_only_the_best_trials_own_features_stay(tmp_path):
    search = begin(tmp_path)
    (tmp_path / "of others").mkdir()
    for name, value in (("of others", 0.1), ("worse", 0.0), ("better", 0.2), ("best", 0.3), ("worst", 0.0)):
        search.ask()
        search.claim_features(tmp_path, [name])
        (tmp_path / name).mkdir(exist_ok=True)
        search.tell(value)
        search.drop_features(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {"search", "of others", "best"}
    search.ask()
    search.claim_features(tmp_path, ["of a killed trial"])
    (tmp_path / "of a killed trial").mkdir()
    begin(tmp_path).drop_features(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {"search", "of others", "best"}


def test_a_trial_scores_validation_and_nothing_else(prepared, movies):
    features = [build_features(prepared, spec, 1) for spec in features_of(MODEL)]
    folder = score_trial(prepared, MODEL, features, TrainChoices(seed=1))
    assert [path.name for path in folder.iterdir()] == ["scores_validation.parquet"]
    assert list(read_scores(folder / "scores_validation.parquet").movie_ids) == movies["movie_id"][240:270].to_list()
