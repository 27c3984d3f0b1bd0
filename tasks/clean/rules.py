"""Cleaning rules: text patterns, how rules are applied, and the ledger that counts what they did.

Patterns are in the syntax of Rust's regex crate, which polars uses: no look-around. More are in `tasks.core.schema`.
"""

import functools
import html
import html.entities
import itertools
import operator
import re
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

import polars as pl

from tasks.clean.read import Damage
from tasks.core.errors import ConfigError
from tasks.core.schema import CLOSING, SPACE

# What `str.strip` strips in Python, and what `\s` matches there.
SPACES: Final = "".join(chr(code) for code in range(0x3001) if chr(code).isspace())

# The earlier system's signature: everything from the first em dash after the last line break.
FROM_LAST_EM_DASH: Final = r"—[^\n]*\z"
# An author: an em dash at the beginning, after a line break or after the end of a sentence, then only a nickname or up
# to eight words of a name, and perhaps an address in brackets. Words of a name begin with a capital, a digit or a
# letter of a script without case, or are particles; it does not end like a sentence.
_NAME_WORD: Final = (
    r"(?:(?:\p{Lu}\.)+|(?:Jr|Sr|St|Dr|Mr|Ms|Mrs)\.|d[aeiu]|de[lnr]|el|la|le|v[ao]n|of|the|and|&|y|e"
    r"|[\p{Lu}\p{Lt}\p{Lo}\p{N}][\p{L}\p{M}\p{N}'\x{2019}_-]*(?:\.[\p{L}\p{N}]+)*)"
)
_NAME: Final = rf"{_NAME_WORD}(?:,?{SPACE}+{_NAME_WORD}){{0,7}}"
_NICKNAME: Final = r"[^\s—,;:!?…]{0,39}[^\s—,;:.!?…]"
_ADDRESS: Final = r"[<({\[][^\s<>(){}\[\]]{1,60}[>)}\]]"
SIGNATURE: Final = (
    rf"(^|\n|[.!?…]{CLOSING}){SPACE}*—{SPACE}*"
    rf"(?:(?:{_NAME}|{_NICKNAME})(?:{SPACE}*{_ADDRESS})?|{_ADDRESS}){SPACE}*\z"
)

ODD_SPACE: Final = rf"{SPACE}{{2,}}|[^\S ]|[\x1c-\x1f]"
UNTIDY_SPACE: Final = rf"{ODD_SPACE}|^ | \z"  # what `tidy_spaces` changes
ENTITY: Final = r"&(?:amp;)*(?:#[0-9]{1,7}|#[xX][0-9a-fA-F]{1,6}|[A-Za-z][A-Za-z0-9]{1,31});"


def tidy_spaces(text: pl.Expr) -> pl.Expr:
    """Make every run of spaces and line breaks one space and strip the ends."""
    return text.str.replace_all(ODD_SPACE, " ").str.strip_chars(" ")


def unescape_entities(texts: pl.Series) -> pl.Series:
    """Replace HTML entities by their characters, also those escaped twice, such as `&amp;quot;`; unknown names stay."""
    with_ampersand = texts.filter(texts.str.contains("&", literal=True))
    found = with_ampersand.str.extract_all(ENTITY).explode().drop_nulls().unique()
    characters = {}
    for entity in sorted(found, key=lambda entity: (-len(entity), entity)):  # `&amp;quot;` before the `&amp;` in it
        once = re.sub("^&(?:amp;)+", "&", entity)
        characters[entity] = html.unescape(once) if once.startswith("&#") else html.entities.html5.get(once[1:], once)
    if not characters:
        return texts
    return texts.to_frame("text").select(pl.col("text").str.replace_many(characters, leftmost=True)).to_series()


@dataclass(frozen=True, eq=False)  # expressions have no truth value
class Rule:
    """A step of cleaning, with its reason for the report."""

    name: str
    reason: str

    @property
    def key(self) -> str:
        """What the rows that it affects are counted under."""
        return f"{'changed' if isinstance(self, Change) else 'dropped'}/{self.name}"


@dataclass(frozen=True, eq=False)
class Drop(Rule):
    """Drop the rows where `when` is true."""

    when: pl.Expr


@dataclass(frozen=True, eq=False)
class DropText(Rule):
    """Drop the movies with a description that matches a pattern. Consecutive ones are searched together."""

    pattern: str


@dataclass(frozen=True, eq=False)
class Change(Rule):
    """Set columns to new values, which depend on the row only; a row counts as changed if one of them differs.

    `where`, if given, is true for every row that changes: for the others, which are most, no new values are computed.
    """

    sets: Mapping[str, pl.Expr]
    where: pl.Expr | None = None


@dataclass(frozen=True)
class Profile:
    """The rules of cleaning, in four steps: after the first, rows are merged into movies.

    `row_rules` look at raw rows, `movie_rules` at single movies, `table_rules` at a movie and those before it, in the
    order of `identity`, and `prune_rules` at the movies that are then left.

    Rows with the same `identity` are one movie. Its genres are the sorted union; its description is that of the row
    with the highest `preference` (an integer), the first on ties; any other field is the first that is not null.
    """

    row_rules: tuple[Rule, ...]
    identity: tuple[str, ...]
    preference: pl.Expr
    movie_rules: tuple[Rule, ...]
    table_rules: tuple[Rule, ...]
    prune_rules: tuple[Rule, ...] = ()

    @property
    def rules(self) -> tuple[Rule, ...]:
        """All rules in the order of application."""
        return (*self.row_rules, *self.movie_rules, *self.table_rules, *self.prune_rules)

    def without(self, names: Collection[str]) -> "Profile":
        """Return the profile without these rules; a `ConfigError` if one does not exist."""
        known = [rule.name for rule in self.rules]
        if unknown := sorted(set(names).difference(known)):
            raise ConfigError(f"clean.disable: no rule {', '.join(unknown)}. Choose among {', '.join(known)}.")
        steps = ("row_rules", "movie_rules", "table_rules", "prune_rules")
        kept: Any = {step: tuple(rule for rule in getattr(self, step) if rule.name not in names) for step in steps}
        return replace(self, **kept)


EXAMPLE_CHARS: Final = 160


@dataclass
class Ledger:
    """Counts by reason (`dropped/<rule>`, `changed/<rule>`, ...), one example for each rule, damage by file."""

    counts: Counter[str] = field(default_factory=Counter)
    examples: dict[str, dict[str, str | None]] = field(default_factory=dict)
    damage: dict[str, dict[str, Any]] = field(default_factory=dict)

    def note(self, rule: Rule, caught: pl.DataFrame) -> None:
        """Count the rows that a rule affected, as before it, and keep the first as its example."""
        self.counts[rule.key] += caught.height
        if caught.height and rule.name not in self.examples:
            names = caught.select("movie_id", pl.col("movie_name").str.head(EXAMPLE_CHARS)).row(0, named=True)
            self.examples[rule.name] = {**names, "description": _excerpt(rule, caught.head(1))}

    def note_damage(self, file_name: str, damage: Damage, prefix: str = "") -> None:
        """Count the damage of a file under `<prefix><kind>`."""
        for kind, count in sorted(damage.counts.items()):
            self.counts[prefix + kind] += count
        if damage.counts:
            self.damage[file_name] = {"counts": dict(damage.counts), "first_lines": damage.first_lines}

    def explain_loss(self) -> str:
        """Return the number of rows read and why rows and movies were dropped, as text."""
        dropped = {key: count for key, count in self.counts.items() if key.startswith("dropped/") and count}
        reasons = ", ".join(f"{key} {count}" for key, count in dropped.items()) or "nothing below the header"
        return f"{self.counts['rows_read']} rows ({reasons})"

    def report(self, rules: Iterable[Rule]) -> dict[str, Any]:
        """Return everything as JSON values, the rules in their order with their reasons."""
        described = [
            {"name": rule.name, "reason": rule.reason, "count": self.counts[rule.key], "example": example}
            for rule, example in ((rule, self.examples.get(rule.name)) for rule in rules)
        ]
        return {"counts": dict(self.counts), "rules": described, "damage": self.damage}


def apply_rules(frame: pl.DataFrame, rules: Iterable[Rule], ledger: Ledger) -> pl.DataFrame:
    """Apply rules in their order and record the effect of each; keeps the order of rows."""
    for _, group in itertools.groupby(rules, key=type):
        batch = list(group)
        if patterns := [rule for rule in batch if isinstance(rule, DropText)]:
            frame = _drop_texts(frame, patterns, ledger)
        for rule in batch:
            if isinstance(rule, Change):
                frame = _change(frame, rule, ledger)
            elif isinstance(rule, Drop):
                caught = frame.with_columns(_caught=rule.when.fill_null(value=False))["_caught"]
                ledger.note(rule, frame.filter(caught))
                frame = frame.filter(~caught) if caught.any() else frame
    return frame


def _excerpt(rule: Rule, row: pl.DataFrame) -> str | None:
    """Return the beginning of a description, or the surroundings of what matches or changes."""
    text: str | None = row["description"][0]
    if text is None or len(text) <= EXAMPLE_CHARS:
        return text
    place = 0
    if isinstance(rule, DropText):
        place = text.find(row["description"].str.extract(f"({rule.pattern})")[0])
    elif isinstance(rule, Change) and "description" in rule.sets:
        changed = row.select(rule.sets["description"]).item() or ""
        pairs = zip(text, changed, strict=False)
        place = next((number for number, (old, new) in enumerate(pairs) if old != new), len(changed))
    start = max(0, min(place - EXAMPLE_CHARS // 2, len(text) - EXAMPLE_CHARS))
    return text[start : start + EXAMPLE_CHARS]


def _drop_texts(frame: pl.DataFrame, rules: list[DropText], ledger: Ledger) -> pl.DataFrame:
    """Search all descriptions once for all patterns together, then the hits for each; the first rule gets them."""
    caught = frame["description"].str.contains("|".join(f"(?:{rule.pattern})" for rule in rules))
    hits = frame.filter(caught)
    for rule in rules:
        is_hit = hits["description"].str.contains(rule.pattern)
        ledger.note(rule, hits.filter(is_hit))
        hits = hits.filter(~is_hit)
    return frame.filter(~caught) if caught.any() else frame


def _change(frame: pl.DataFrame, rule: Change, ledger: Ledger) -> pl.DataFrame:
    places = None if rule.where is None else frame.select(rule.where.arg_true()).to_series()
    some = frame if places is None else frame[places]
    new = some.select(**rule.sets)
    caught = functools.reduce(operator.or_, (some[name].ne_missing(new[name]) for name in new.columns))
    ledger.note(rule, some.filter(caught))
    if not caught.any():
        return frame
    if places is None:
        return frame.with_columns(new.get_columns())
    return frame.with_columns(frame[name].clone().scatter(places, new[name]) for name in new.columns)
