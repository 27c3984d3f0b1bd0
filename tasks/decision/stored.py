"""Decision rules in JSON. Owns their form there; knows no file."""

import math
from collections.abc import Callable, Mapping
from dataclasses import MISSING, fields
from typing import Any, Final

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
from tasks.errors import DataError

_CLASSES: Final[Mapping[str, type[Rule]]] = {
    rule_class.kind: rule_class
    for rule_class in (GlobalThreshold, PerGenreThresholds, TopGenres, ExpectedJaccardSet, ExpectedF1Set)
}


def rules_to_json(rules: Mapping[str, Rule]) -> dict[str, Any]:
    """Return named rules as plain JSON values, in their order."""
    return {name: {"kind": rule.kind, **_plain_fields(rule)} for name, rule in rules.items()}


def rules_from_json(stored: object) -> dict[str, Rule]:
    """Return the named rules that `rules_to_json` made these values of.

    Raises:
        DataError: the values are not what it makes; the message names the rule and the field.
    """
    if not isinstance(stored, dict) or not stored:
        raise DataError(f"decision rules: expected an object with a field for each rule, not {stored!r}; {REMEDY}")
    return {str(name): _read_rule(f"decision rule {name!r}", values) for name, values in stored.items()}


def _plain_fields(rule: Rule) -> dict[str, Any]:
    values = {field.name: getattr(rule, field.name) for field in fields(rule)}
    return {name: list(value) if isinstance(value, tuple) else value for name, value in values.items()}


def _read_rule(where: str, values: object) -> Rule:
    if not isinstance(values, dict):
        raise DataError(f"{where}: expected an object, not {values!r}; {REMEDY}")
    rule_class = _CLASSES.get(str(values.get("kind")))
    if rule_class is None:
        raise DataError(f"{where}: unknown kind {values.get('kind')!r}; {REMEDY}")
    found: dict[str, Any] = {}
    for field in fields(rule_class):
        if field.name in values or field.default is MISSING:
            found[field.name] = _READERS[field.type](f"{where}: {field.name}", values.get(field.name))
    if len({len(value) for value in found.values() if isinstance(value, tuple)}) > 1:
        raise DataError(f"{where}: {' and '.join(found)} must be of the same length; {REMEDY}")
    return rule_class(**found)


def _read_number(where: str, value: object) -> float:
    return _read_numbers(where, [value])[0]


def _read_numbers(where: str, values: object) -> tuple[float, ...]:
    if not isinstance(values, list) or not values or not all(_is_finite_number(value) for value in values):
        raise DataError(f"{where} must be finite numbers, not {values!r}; {REMEDY}")
    return tuple(float(value) for value in values)


def _read_count(where: str, value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise DataError(f"{where} must be a whole number of at least 1, not {value!r}; {REMEDY}")
    return value


def _read_fallback(where: str, value: object) -> Fallback:
    if value == "highest-score":
        return "highest-score"
    if value == "none":
        return "none"
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise DataError(f'{where} must be "highest-score", "none" or the column of a genre, not {value!r}; {REMEDY}')
    return value


def _is_finite_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


_READERS: Final[Mapping[Any, Callable[[str, object], Any]]] = {
    float: _read_number,
    tuple[float, ...]: _read_numbers,
    int: _read_count,
    Fallback: _read_fallback,
}
