import inspect

import pytest
from optuna.distributions import CategoricalDistribution

from tasks.core.errors import ConfigError
from tasks.models.estimators import SHORT_NAMES, class_named
from tasks.models.registry import built_in_models, choose_models, with_params
from tasks.models.search import current_values, known_ranges, space_of
from tasks.models.spec import ModelSpec

SINGLE = [model for model in built_in_models() if isinstance(model, ModelSpec)]


def edges(range_):
    return range_.choices if isinstance(range_, CategoricalDistribution) else (range_.low, range_.high)


def test_every_kind_is_in_the_table_with_fields_that_it_has():
    assert set(SHORT_NAMES) <= set(known_ranges())
    for kind, space in known_ranges().items():
        assert set(space) <= set(inspect.signature(class_named(kind)).parameters)


@pytest.mark.parametrize("model", SINGLE, ids=lambda model: model.name)
def test_ranges_hold_every_default_and_their_ends_make_models_that_have_them(model):
    space = space_of(model)
    assert space
    for end in (0, -1):
        params = {name: edges(range_)[end] for name, range_ in space.items()}
        assert current_values(with_params(model, params), space) == params


def test_a_kind_tells_equal_names_apart():
    (model,) = choose_models(["svm-all"])
    assert {"C", "bag-of-words.max_n", "character-ngrams.max_n", "side-fields.weight"} <= set(space_of(model))


def test_a_lone_representation_keeps_its_weight():
    (alone, beside) = choose_models(["svm-title", "svm-fields"])
    assert "weight" not in space_of(alone)
    assert "weight" in space_of(beside)


def test_vary_narrows_and_refuses():
    (model,) = choose_models(["logreg-tfidf"])
    assert list(space_of(model, ["C"])) == ["C"]
    with pytest.raises(ConfigError, match="cannot vary k; it can: C, max_n, min_movies, sublinear"):
        space_of(model, ["k"])
    (far,) = choose_models(["logreg-tfidf"], {"logreg-tfidf": {"C": 1000}})
    with pytest.raises(ConfigError, match=r"C of logreg-tfidf is 1000.0; a search tries 0\.1 to 30"):
        space_of(far)
    assert "C" not in space_of(far, ["max_n"])
