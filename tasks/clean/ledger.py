"""Applying rules and writing down what they did. Owns counting and examples; knows no particular rule."""

import itertools
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Final

import polars as pl

from tasks.clean.careful import Damage
from tasks.clean.rules import Change, Drop, DropText, Rule

EXAMPLE_CHARS: Final = 160


@dataclass
class Ledger:
    """Counts by reason (`dropped/<rule>`, `changed/<rule>`, ...), one example of each rule's catch, damage by file."""

    counts: Counter[str] = field(default_factory=Counter)
    examples: dict[str, dict[str, str | None]] = field(default_factory=dict)
    damage: dict[str, dict[str, Any]] = field(default_factory=dict)

    def note(self, rule: Rule, caught: pl.DataFrame) -> None:
        """Count the rows that a rule caught, as they were before it, and keep the first as its example."""
        self.counts[_key(rule)] += caught.height
        if caught.height and rule.name not in self.examples:
            first = caught.head(1)
            example = first.select("movie_id", pl.col("movie_name").str.head(EXAMPLE_CHARS)).row(0, named=True)
            self.examples[rule.name] = {**example, "description": _excerpt(rule, first)}

    def note_damage(self, file_name: str, damage: Damage, prefix: str = "") -> None:
        """Add what was wrong with a file to the counts, under `<prefix><kind>`."""
        for kind, count in sorted(damage.counts.items()):
            self.counts[prefix + kind] += count
        if damage.counts:
            self.damage[file_name] = {"counts": dict(damage.counts), "first_lines": damage.first_lines}

    def report(self, rules: Iterable[Rule]) -> dict[str, Any]:
        """Return all of it as JSON values, the rules in their order with their reasons."""
        return {
            "counts": dict(self.counts),
            "rules": [
                {
                    "name": rule.name,
                    "reason": rule.reason,
                    "count": self.counts[_key(rule)],
                    "example": self.examples.get(rule.name),
                }
                for rule in rules
            ],
            "damage": self.damage,
        }


def apply_rules(frame: pl.DataFrame, rules: Iterable[Rule], ledger: Ledger) -> pl.DataFrame:
    """Apply rules in their order and note what each did; the order of the rows stays."""
    for kind, batch in itertools.groupby(rules, key=type):
        if kind is DropText:
            frame = _drop_texts(frame, [rule for rule in batch if isinstance(rule, DropText)], ledger)
            continue
        for rule in batch:
            if isinstance(rule, Change):
                frame = _change(frame, rule, ledger)
            elif isinstance(rule, Drop):
                frame = _drop(frame, rule, ledger)
    return frame


def _key(rule: Rule) -> str:
    return f"{'changed' if isinstance(rule, Change) else 'dropped'}/{rule.name}"


def _excerpt(rule: Rule, row: pl.DataFrame) -> str | None:
    """Return what a rule saw of a description: its beginning, or what is around the place that matches or changes."""
    text: str | None = row["description"][0]
    if text is None or len(text) <= EXAMPLE_CHARS:
        return text
    place = 0
    if isinstance(rule, DropText):
        match = row["description"].str.extract(f"({rule.pattern})")[0]
        place = text.find(match)
    elif isinstance(rule, Change) and "description" in rule.sets:
        changed = row.select(rule.sets["description"]).item() or ""
        pairs = zip(text, changed, strict=False)
        place = next((number for number, (old, new) in enumerate(pairs) if old != new), len(changed))
    start = max(0, min(place - EXAMPLE_CHARS // 2, len(text) - EXAMPLE_CHARS))
    return text[start : start + EXAMPLE_CHARS]


def _drop(frame: pl.DataFrame, rule: Drop, ledger: Ledger) -> pl.DataFrame:
    caught = frame.with_columns(_caught=rule.when.fill_null(value=False))["_caught"]
    ledger.note(rule, frame.filter(caught))
    return frame.filter(~caught) if caught.any() else frame


def _drop_texts(frame: pl.DataFrame, rules: list[DropText], ledger: Ledger) -> pl.DataFrame:
    """Search all descriptions once for all patterns together, then the hits for each; the first rule has them."""
    together = "|".join(f"(?:{rule.pattern})" for rule in rules)
    caught = frame.select(pl.col("description").str.contains(together)).to_series()
    hits = frame.filter(caught)
    for rule in rules:
        is_hit = hits.select(pl.col("description").str.contains(rule.pattern)).to_series()
        ledger.note(rule, hits.filter(is_hit))
        hits = hits.filter(~is_hit)
    return frame.filter(~caught) if caught.any() else frame


def _change(frame: pl.DataFrame, rule: Change, ledger: Ledger) -> pl.DataFrame:
    places = None if rule.where is None else frame.select(rule.where.arg_true()).to_series()
    some = frame if places is None else frame[places]
    new = some.select(**rule.sets)
    caught = pl.Series([False]).new_from_index(0, some.height)
    for name in new.columns:
        caught |= some[name].ne_missing(new[name])
    ledger.note(rule, some.filter(caught))
    if not caught.any():
        return frame
    if places is None:
        return frame.with_columns(new.get_columns())
    return frame.with_columns(frame[name].clone().scatter(places, new[name]) for name in new.columns)
