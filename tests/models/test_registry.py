import pytest

from tasks.errors import ConfigError
from tasks.models.classifiers import LogisticRegression
from tasks.models.registry import MODELS, choose_models


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


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"logreg-counts": {"C": 1}}, "not among the chosen"),
        ({"logreg-tfidf": {"k": 1}}, "has no parameter 'k'"),
        ({"logreg-tfidf": {"C": -1}}, "greater than 0"),
    ],
)
def test_wrong_params_are_refused(params, message):
    with pytest.raises(ConfigError, match=message):
        choose_models(["logreg-tfidf"], params)


def test_no_pattern_is_refused():
    with pytest.raises(ConfigError, match="no model is chosen"):
        choose_models([])
