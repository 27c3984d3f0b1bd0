import re

import pytest

from tasks.clean.profiles import CleanConfig, build_profile
from tasks.core import schema
from tasks.core.errors import ConfigError

PROFILES = ("default", "original")
PRUNE = {"min_words": 1, "max_words": 9, "production_phrases": True, "gibberish": True, "not_english": True}


@pytest.mark.parametrize("name", PROFILES)
def test_rules_can_be_told_apart_and_say_why(name: str) -> None:
    rules = build_profile(CleanConfig.model_validate({"profile": name, "prune": PRUNE})).rules
    assert len({rule.name for rule in rules}) == len(rules) > 15
    assert all(re.fullmatch("[a-z_]+", rule.name) and rule.reason.endswith(".") for rule in rules)


@pytest.mark.parametrize("name", PROFILES)
def test_every_rule_has_a_switch(name: str) -> None:
    names = [rule.name for rule in build_profile(CleanConfig.model_validate({"profile": name, "prune": PRUNE})).rules]
    for left_out in names:
        config = CleanConfig.model_validate({"profile": name, "prune": PRUNE, "disable": (left_out,)})
        assert [rule.name for rule in build_profile(config).rules] == [other for other in names if other != left_out]


def test_an_unknown_rule_is_refused_with_the_known_ones() -> None:
    with pytest.raises(ConfigError, match=r"no rule nonsense, short_row\. Choose among missing_value, excluded_genre"):
        build_profile(CleanConfig(profile="original", disable=("nonsense", "short_row")))


def test_the_excluded_genres_are_the_schemas() -> None:
    assert CleanConfig().excluded_genres == schema.EXCLUDED_GENRES
