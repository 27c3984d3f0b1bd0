"""The profiles by name. Owns the choice of rules by a config."""

from dataclasses import replace
from typing import Final

from tasks.clean.config import CleanConfig
from tasks.clean.default import default_profile
from tasks.clean.original import original_profile
from tasks.clean.prune import prune_rules
from tasks.clean.rules import Profile
from tasks.errors import ConfigError

_PROFILES: Final = {"default": default_profile, "original": original_profile}


def build_profile(config: CleanConfig) -> Profile:
    """Return the configured profile with the rules of pruning that are asked for, without the disabled ones.

    Raises:
        ConfigError: a disabled rule is not in the profile.
    """
    profile = replace(_PROFILES[config.profile](config.excluded_genres), prune_rules=prune_rules(config.prune))
    known = [rule.name for rule in profile.rules]
    if unknown := sorted(set(config.disable).difference(known)):
        raise ConfigError(
            f"clean.disable: profile '{config.profile}' has no rule {', '.join(unknown)}. "
            f"Choose among {', '.join(known)}."
        )
    return profile.without(config.disable)
