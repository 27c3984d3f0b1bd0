import pytest

from tasks.errors import ConfigError
from tasks.models.choose import choose_models
from tasks.models.classifiers import LogisticRegression
from tasks.models.registry import MODELS
from tasks.models.spec import EnsembleSpec, ModelSpec


def test_names_are_unique():
    names = [model.name for model in MODELS]
    assert sorted(set(names)) == sorted(names)


def test_globs_choose_in_the_order_of_the_registry():
    chosen = [model.name for model in choose_models(["svm-*", "logreg-*"])]
    assert chosen == [m.name for m in MODELS if m.name.startswith(("svm-", "logreg-"))]
    assert len(chosen) >= 4


def test_unknown_name_is_refused_with_the_nearest_ones():
    with pytest.raises(ConfigError, match=r"no model is named 'logreg-tfdif'; did you mean logreg-tfidf"):
        choose_models(["logreg-tfdif"])


def test_params_replace_defaults_of_classifier_and_representation():
    (model,) = choose_models(["logreg-tfidf"], {"logreg-tfidf": {"C": 2.5, "max_n": 3}})
    assert model.classifier == LogisticRegression(C=2.5)
    assert model.representations[0].max_n == 3


def test_a_kind_before_the_name_tells_the_parts_of_a_model_apart():
    (model,) = choose_models(["svm-all"], {"svm-all": {"bag-of-words.max_n": 3, "linear-svm.C": 2}})
    assert [part.max_n for part in model.representations[:2]] == [3, 5]
    assert model.classifier.C == 2


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"logreg-counts": {"C": 1}}, "not among the chosen"),
        ({"logreg-tfidf": {"k": 1}}, "has no parameter 'k'"),
        ({"logreg-tfidf": {"linear-svm.C": 1}}, "has no parameter 'linear-svm.C'"),
        ({"logreg-tfidf": {"C": -1}}, "greater than 0"),
    ],
)
def test_wrong_params_are_refused(params, message):
    with pytest.raises(ConfigError, match=message):
        choose_models(["logreg-tfidf"], params)


def test_no_pattern_is_refused():
    with pytest.raises(ConfigError, match="no model is chosen"):
        choose_models([])


def test_an_ensemble_brings_its_members_under_their_new_names():
    chosen = choose_models(["blend"], {"svm-all": {"balanced": True}})
    (ensemble,) = [model for model in chosen if isinstance(model, EnsembleSpec)]
    assert "svm-all-balanced" in ensemble.members
    assert {model.name for model in chosen} == {"blend", *ensemble.members}


def test_treating_imbalance_shows_in_the_name():
    params = {"logreg-tfidf": {"smote_ratio": 0.75, "balanced": True}}
    (model,) = choose_models(["logreg-tfidf"], params)
    assert model.name == "logreg-tfidf-smote75-balanced"
    assert model.imbalance.smote_ratio == 0.75


def test_own_models_stand_beside_those_of_the_registry():
    own = ModelSpec(name="mine", classifier=LogisticRegression(C=3))
    both = EnsembleSpec(name="both", members=("mine", "nb-counts"))
    assert [model.name for model in choose_models(["both"], own_models=[own, both])] == ["nb-counts", "mine", "both"]


@pytest.mark.parametrize(
    ("own", "message"),
    [
        (ModelSpec(name="nb-counts", classifier=LogisticRegression()), "the name nb-counts is taken"),
        (EnsembleSpec(name="mine", members=("nb-counts", "nowhere")), "no single model named nowhere"),
        (EnsembleSpec(name="mine", members=("nb-counts", "blend")), "no single model named blend"),
    ],
)
def test_own_models_that_cannot_be_are_refused(own, message):
    with pytest.raises(ConfigError, match=message):
        choose_models(["mine"], own_models=[own])


def test_every_model_that_treats_imbalance_says_so_in_its_name():
    single = [model for model in MODELS if isinstance(model, ModelSpec)]
    assert all(model.name.endswith(model.imbalance.suffix) for model in single)
