import pytest

from tasks.core.errors import ConfigError
from tasks.models.linear import LogisticRegression
from tasks.models.registry import (
    built_in_models,
    choose_models,
    describe_choice,
    encoder_dependent,
    within_budget,
)
from tasks.models.spec import EnsembleSpec, ModelSpec, TransformerSpec


def test_names_are_unique():
    names = [model.name for model in built_in_models()]
    assert sorted(set(names)) == sorted(names)


def test_globs_choose_in_the_order_of_the_registry():
    chosen = [model.name for model in choose_models(["svm-*", "logreg-*"])]
    assert chosen == [m.name for m in built_in_models() if m.name.startswith(("svm-", "logreg-"))]
    assert len(chosen) >= 4


def test_unknown_name_is_refused_with_the_nearest_ones():
    with pytest.raises(ConfigError, match=r"no model is named 'logreg-tfdif'; did you mean logreg-tfidf"):
        choose_models(["logreg-tfdif"])


def test_params_replace_defaults_of_classifier_and_representation():
    (model,) = choose_models(["logreg-tfidf"], {"logreg-tfidf": {"C": 2.5, "max_n": 3}})
    assert model.classifier.params == {"C": 2.5}
    assert model.representations[0].params["max_n"] == 3


def test_a_kind_before_the_name_tells_the_parts_of_a_model_apart():
    (model,) = choose_models(["svm-all"], {"svm-all": {"bag-of-words.max_n": 3, "linear-svm.C": 2}})
    assert [part.params["max_n"] for part in model.representations[:2]] == [3, 5]
    assert model.classifier.params["C"] == 2


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


def test_members_that_nobody_asked_for_are_told():
    own = [EnsembleSpec(name="both", members=("nb-counts", "svm-title"))]
    assert describe_choice(choose_models(["both", "nb-counts"], None, own), ["both", "nb-counts"]) == (
        "3 models, including svm-title as members of an ensemble"
    )
    assert describe_choice(choose_models(["nb-counts"]), ["nb-counts"]) == "1 model"


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


def test_a_model_that_a_treatment_gives_the_name_of_another_one_is_refused():
    params = {"logreg-fields": {"balanced": True}}
    with pytest.raises(ConfigError, match="two chosen models are called logreg-fields-balanced; exclude one"):
        choose_models(["logreg-fields*"], params)
    assert [model.name for model in choose_models(["logreg-fields"], params)] == ["logreg-fields-balanced"]


def test_own_models_stand_beside_those_of_the_registry():
    own = ModelSpec(name="mine", classifier=LogisticRegression(C=3))
    both = EnsembleSpec(name="both", members=("mine", "nb-counts"))
    assert [model.name for model in choose_models(["both"], own_models=[own, both])] == ["nb-counts", "mine", "both"]


@pytest.mark.parametrize(
    ("own", "message"),
    [
        (ModelSpec(name="nb-counts", classifier=LogisticRegression()), "the name nb-counts is taken"),
        (EnsembleSpec(name="mine", members=("nb-counts", "nowhere")), "not single models: nowhere"),
        (EnsembleSpec(name="mine", members=("nb-counts", "blend")), "not single models: blend"),
    ],
)
def test_own_models_that_cannot_be_are_refused(own, message):
    with pytest.raises(ConfigError, match=message):
        choose_models(["mine"], own_models=[own])


def test_every_model_that_treats_imbalance_says_so_in_its_name():
    single = [model for model in built_in_models() if isinstance(model, ModelSpec)]
    assert all(model.name.endswith(model.imbalance.suffix) for model in single)


def test_what_a_pattern_with_an_exclamation_mark_matches_is_left_out():
    chosen = [model.name for model in choose_models(["logreg-*", "!*-balanced", "!logreg-tf*"])]
    assert "logreg-counts" in chosen
    assert not {"logreg-fields-balanced", "logreg-tfidf"} & set(chosen)


def test_an_ensembles_members_are_brought_though_left_out_by_name():
    assert "svm-all" in [model.name for model in choose_models(["blend", "!svm-*"])]


def test_leaving_out_what_there_is_not_is_refused():
    with pytest.raises(ConfigError, match="no model is named 'no-such'"):
        choose_models(["nb-counts", "!no-such"])


def test_params_reach_every_part_of_a_fine_tuned_model():
    params = {"learning_rate": 1e-3, "max_tokens": 64, "template": "{title}", "lowercase": True}
    (model,) = choose_models(["minilm-tuned"], {"minilm-tuned": params})
    assert model.training.learning_rate == 1e-3
    assert (model.max_tokens, model.template, model.input.lowercase) == (64, "{title}", True)
    with pytest.raises(ConfigError, match="has no parameter 'C'"):
        choose_models(["minilm-tuned"], {"minilm-tuned": {"C": 1}})
    with pytest.raises(ConfigError, match="unknown placeholder 'plot'"):
        choose_models(["minilm-tuned"], {"minilm-tuned": {"template": "{plot}"}})


def test_a_budget_is_divided_among_what_is_fine_tuned():
    models = choose_models(["minilm-tuned*", "nb-counts"])
    assert within_budget(models, None) == models
    shared = {model.name: model for model in within_budget(models, 30)}
    tuned = [model for model in shared.values() if isinstance(model, TransformerSpec)]
    assert [model.training.budget_minutes for model in tuned] == [30 / len(tuned)] * len(tuned)
    assert len(tuned) >= 2
    assert shared["nb-counts"] in models
    assert within_budget(choose_models(["nb-counts"]), 30) == choose_models(["nb-counts"])


def test_patterns_that_only_leave_out_are_of_all_models_and_none_left_is_an_error():
    names = {model.name for model in built_in_models()}
    left = {model.name for model in choose_models(["!blend*", "!*-tuned*"])}
    assert left == {name for name in names if "blend" not in name and "-tuned" not in name}
    with pytest.raises(ConfigError, match=r"nb-\*, !\*: no model is left"):
        choose_models(["nb-*", "!*"])


def test_late_are_encoders_what_reads_them_and_ensembles_with_such_a_member():
    own = (EnsembleSpec(name="first", members=("minilm-title", "nb-counts")),)
    chosen = choose_models(("first", "blend", "minilm-tuned", "svm-fields"), {}, own)
    assert encoder_dependent(chosen) == {"first", "minilm-title", "minilm-tuned"}
