"""What a cleaning rule is, and what a profile of rules is. Owns the forms; the rules are in the two profile modules."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

import polars as pl


@dataclass(frozen=True, eq=False)  # expressions have no truth value
class Drop:
    """Drop the rows where `when` is true."""

    name: str
    reason: str
    when: pl.Expr


@dataclass(frozen=True, eq=False)
class DropText:
    """Drop the movies whose description matches a pattern. Neighbours in a profile are searched for together."""

    name: str
    reason: str
    pattern: str


@dataclass(frozen=True, eq=False)
class Change:
    """Set columns to new values; a row counts as changed where one of them differs.

    The new values depend on a row alone, and `where`, if given, is true for every row that changes: of the other rows,
    which are most, no new values are made.
    """

    name: str
    reason: str
    sets: Mapping[str, pl.Expr]
    where: pl.Expr | None = None


Rule = Drop | DropText | Change


@dataclass(frozen=True)
class Profile:
    """One way of cleaning, in four steps with the merging of rows into movies after the first.

    `row_rules` judge raw rows, `movie_rules` each movie by itself, `table_rules` each movie beside those before it, in
    the order of `identity`, and `prune_rules` the movies that are then left.

    Rows with the same `identity` are one movie. Its genres are the sorted union; its description is that of the row
    with the highest `preference` (an integer), the first of equals; any other field is the first that is there.
    """

    row_rules: tuple[Rule, ...]
    identity: tuple[str, ...]
    preference: pl.Expr
    movie_rules: tuple[Rule, ...]
    table_rules: tuple[Rule, ...]
    prune_rules: tuple[Rule, ...] = ()

    @property
    def rules(self) -> tuple[Rule, ...]:
        """All rules in the order in which they apply."""
        return (*self.row_rules, *self.movie_rules, *self.table_rules, *self.prune_rules)

    def without(self, names: Iterable[str]) -> "Profile":
        """Return the profile without the rules of these names."""
        left_out = frozenset(names)

        def keep(rules: tuple[Rule, ...]) -> tuple[Rule, ...]:
            return tuple(rule for rule in rules if rule.name not in left_out)

        return replace(
            self,
            row_rules=keep(self.row_rules),
            movie_rules=keep(self.movie_rules),
            table_rules=keep(self.table_rules),
            prune_rules=keep(self.prune_rules),
        )
