"""Decision rules as users write them and as JSON."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from difflib import get_close_matches
from typing import Any, Final

from pydantic import TypeAdapter, ValidationError

from tasks.core.errors import ConfigError, DataError
from tasks.decision.rules import (
    REMEDY,
    ExpectedF1Set,
    ExpectedJaccardSet,
    Fallback,
    GlobalThreshold,
    PerGenreThresholds,
    Rule,
    TopGenres,
)

Thresholds = GlobalThreshold | PerGenreThresholds

DEFAULT_BASE: Final = "per-genre"


def parse_rule(text: str, stored: Mapping[str, Rule], genres: Sequence[str]) -> Rule:
    """Return the rule that a text names or describes.

    - `per-genre`: the stored rule of this name.
    - `threshold=0.3`: one threshold for all genres.
    - `top=2`: the two highest scores.
    - `Drama=0.6,Horror=0.3`: these thresholds; the other genres keep those of the stored rule `per-genre`, or of what
      comes before: `per-genre-f1,Drama=0.6`, `threshold=0.5,Drama=0.6`.
    - `fallback=none` after any of these that have thresholds: what a movie gets if no score reaches its threshold;
      `highest-score`, `none` or the name of a genre.

    Thresholds are in [0, 1]. Spaces around names and numbers are ignored, and so is the case of genres, unless two
    genres differ only in case. `genres` are in the order of the scores' columns.

    Raises:
        ConfigError: it is none of these; the message lists what is available.
    """
    items = [item.strip() for item in text.split(",")]
    if len(items) == 1 and items[0] in stored:
        return stored[items[0]]
    named = None if "=" in items[0] else items.pop(0)
    given = _read_settings(items, genres)
    count, threshold = given.pop("top", None), given.pop("threshold", None)
    if sum(base is not None for base in (named, count, threshold)) > 1 or (count is not None and given):
        raise ConfigError(
            f"rule {text!r}: give only one of a rule's name, threshold and top, and nothing else with top"
        )
    if count is not None:
        return TopGenres(_read_count(count, len(genres)))
    if threshold is not None:
        return _changed(GlobalThreshold(_read_threshold("threshold", threshold)), given, genres)
    return _changed(_stored_thresholds(DEFAULT_BASE if named is None else named, stored, genres), given, genres)


def _read_settings(items: Sequence[str], genres: Sequence[str]) -> dict[str, str]:
    """Return the values by `threshold`, `top`, `fallback` or genre, each given once."""
    known = ("threshold", "top", "fallback", *genres)
    names = {name.casefold(): name for name in known} | {name: name for name in known}
    settings: dict[str, str] = {}
    for item in items:
        key, equals, value = (part.strip() for part in item.partition("="))
        if not equals:
            raise ConfigError(f"rule: {item!r} is not NAME=VALUE; give {_forms(genres)}")
        name = names.get(key, names.get(key.casefold()))
        if name is None:
            raise ConfigError(f"rule: {_no_genre(key, genres)}; threshold, top and fallback are allowed, too")
        if name in settings:
            raise ConfigError(f"rule: {name} is given twice")
        settings[name] = value
    return settings


def _stored_thresholds(name: str, stored: Mapping[str, Rule], genres: Sequence[str]) -> Thresholds:
    rule = stored.get(name)
    if rule is None:
        near = get_close_matches(name, stored, n=1)
        hint = f", did you mean {near[0]}?" if near else ";"
        raise ConfigError(f"no rule is named {name!r}{hint} there are: {', '.join(stored)}; or give {_forms(genres)}")
    if not isinstance(rule, Thresholds):
        having = [name for name, each in stored.items() if isinstance(each, Thresholds)]
        raise ConfigError(f"the rule {name!r} has no thresholds to change; there are: {', '.join(having)}")
    return rule


def _changed(rule: Thresholds, given: Mapping[str, str], genres: Sequence[str]) -> Thresholds:
    """Return the rule with some genres' thresholds and perhaps the fallback replaced."""
    fallback = _read_fallback(given["fallback"], genres) if "fallback" in given else rule.fallback
    changed = {genre: _read_threshold(genre, value) for genre, value in given.items() if genre != "fallback"}
    if not changed:
        return replace(rule, fallback=fallback)
    before = zip(genres, rule.genre_thresholds(len(genres)), strict=True)
    return PerGenreThresholds(tuple(changed.get(genre, threshold) for genre, threshold in before), fallback)


def _read_threshold(name: str, text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 <= value <= 1:
        raise ConfigError(f"rule: {name} must be a number from 0 to 1, not {text!r}")
    return value


def _read_count(text: str, n_genres: int) -> int:
    if text not in {str(count) for count in range(1, n_genres + 1)}:
        raise ConfigError(f"rule: top must be a whole number from 1 to {n_genres}, not {text!r}")
    return int(text)


def _read_fallback(text: str, genres: Sequence[str]) -> Fallback:
    fallbacks: dict[str, Fallback] = {genre.casefold(): column for column, genre in enumerate(genres)}
    fallbacks |= {genre: column for column, genre in enumerate(genres)}
    fallbacks |= {"highest-score": "highest-score", "none": "none"}
    fallback = fallbacks.get(text, fallbacks.get(text.casefold()))
    if fallback is None:
        raise ConfigError(f"rule: fallback must be highest-score, none or a genre; {_no_genre(text, genres)}")
    return fallback


def _no_genre(name: str, genres: Sequence[str]) -> str:
    near = get_close_matches(name.capitalize(), genres, n=1)
    return f"no genre is named {name!r}{f', did you mean {near[0]}?' if near else ';'} there are: {', '.join(genres)}"


def _forms(genres: Sequence[str]) -> str:
    return f"threshold=0.3, top=2, or thresholds by genre, such as {genres[0]}=0.6"


_CLASSES: Final[Mapping[str, type[Rule]]] = {
    rule_class.kind: rule_class
    for rule_class in (GlobalThreshold, PerGenreThresholds, TopGenres, ExpectedJaccardSet, ExpectedF1Set)
}


def rules_to_json(rules: Mapping[str, Rule]) -> dict[str, Any]:
    """Return named rules as plain JSON values, in their order."""
    return {name: {"kind": rule.kind, **json.loads(json.dumps(asdict(rule)))} for name, rule in rules.items()}


def rules_from_json(stored: object) -> dict[str, Rule]:
    """Return named rules from the output of `rules_to_json`.

    Raises:
        DataError: the values are something else; the message names the rule and the field.
    """
    if not isinstance(stored, dict) or not stored:
        raise DataError(f"decision rules: expected an object with a field for each rule, not {stored!r}; {REMEDY}")
    return {str(name): _read_rule(f"decision rule {name!r}", values) for name, values in stored.items()}


def _read_rule(where: str, values: object) -> Rule:
    if not isinstance(values, dict):
        raise DataError(f"{where}: expected an object, not {values!r}; {REMEDY}")
    rule_class = _CLASSES.get(str(values.get("kind")))
    if rule_class is None:
        raise DataError(f"{where}: unknown kind {values.get('kind')!r}; {REMEDY}")
    try:
        return TypeAdapter(rule_class).validate_json(json.dumps(values), strict=True)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        field = f"{first['loc'][0]}: " if first["loc"] else ""
        raise DataError(f"{where}: {field}{first['msg']}; {REMEDY}") from error
