"""Iterative stratification of multi-label rows."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

Integers = NDArray[np.int64]

# How many rows of each label set the smallest part receives one by one. Without this reserve too few rows are left to
# balance the rare label sets: on 22,821 movies the worst genre share is then off by 0.95 percentage points, with it by
# 0.09.
RESERVED_ROWS: Final = 30


@dataclass(frozen=True)
class _Parts:
    """The target rows of each part, and those still missing, below 0 if it has too many."""

    target: NDArray[np.float64]  # (n_parts, n_labels + 1), the last column for rows
    missing: NDArray[np.float64]  # the same shape; lowered by every assignment

    def neediest(self, counts: Integers, random: np.random.Generator) -> int:
        """Return the part that a unit brings nearest to its target; on ties the one that needs most rows.

        Nearest: the largest decrease of the sum of missing² / target over labels and rows.
        """
        fall = (counts * (2 * self.missing - counts) / self.target).sum(axis=1)
        fall[self.missing[:, -1] <= 0] = -np.inf
        best = np.flatnonzero(fall == fall.max())
        best = best[self.missing[best, -1] == self.missing[best, -1].max()]
        return int(best[0] if len(best) == 1 else random.choice(best))


def stratify(
    Y: NDArray[np.bool_],
    shares: Sequence[float],
    seed: int,
    groups: Integers | None = None,
    kept: NDArray[np.int8] | None = None,
) -> NDArray[np.int8]:
    """Assign every row to a part so that each part has its share of each label's rows, as nearly as counts allow.

    The label with the fewest unassigned rows goes first, its rows one by one, in random order. This is the paper's
    algorithm with these changes:

    - The paper gives a row to the part that needs most rows of the current label. The largest part then gets the
      first seven tenths, and the row's other labels do not count. Here the row goes to the part that it brings
      nearest to its target over all labels. Ties as in the paper: the part that needs most rows, then a random one.
    - Rows with the same labels are interchangeable, so those of frequent label sets are assigned at once, except a
      reserve, in proportion to the rows that the parts need. This makes it fast.
    - A full part is closed. No part's size is off by more than a row (or a group), and none is empty if there are at
      least as many rows as parts.
    - A label with as many rows as there are parts has a target of at least one row in each, unless such labels alone
      would fill a part.

    Args:
        Y: labels, (n_rows, n_labels). Rows without a label are assigned last.
        shares: one share above 0 for each part; they sum to 1.
        seed: of the order of rows and of random choices. Same arguments, same parts.
        groups: (n_rows,) rows with the same number stay together; the largest group of a label goes first.
        kept: (n_rows,) the part in which a row stays, -1 to assign it to the part of most kept rows of its group,
            on ties the lowest, or by the algorithm if its group has none.

    Returns:
        (n_rows,) the index of each row's part.

    Source: Sechidis, Tsoumakas and Vlahavas 2011, On the Stratification of Multi-Label Data, ECML PKDD, algorithm 1.
    """
    if min(shares) <= 0 or abs(sum(shares) - 1) > 1e-9:
        raise ValueError(f"shares must be above 0 and sum to 1, not {list(shares)}")
    groups = np.arange(len(Y)) if groups is None else groups
    kept = np.full(len(Y), -1, dtype=np.int8) if kept is None else kept
    # The other rows of a group go to the part of most of its kept rows.
    members, of_row = np.unique(groups, return_inverse=True)
    votes = np.zeros((len(members), len(shares)), dtype=np.int64)
    np.add.at(votes, (of_row[kept >= 0], kept[kept >= 0]), 1)
    side = np.where(votes.any(axis=1), votes.argmax(axis=1), -1)
    result = np.where(kept >= 0, kept, side[of_row]).astype(np.int8)
    free = result < 0
    parts = _targets(Y, shares)
    rows = np.column_stack([Y, np.ones(len(Y), dtype=np.bool_)]).astype(np.int64)
    for part in range(len(shares)):
        parts.missing[part] -= rows[result == part].sum(axis=0)
    members, of_row = np.unique(groups[free], return_inverse=True)
    counts = np.zeros((len(members), rows.shape[1]), dtype=np.int64)
    np.add.at(counts, of_row, rows[free])
    result[free] = _assign(counts, parts, np.random.default_rng(seed))[of_row]
    return result


def _assign(counts: Integers, parts: _Parts, random: np.random.Generator) -> NDArray[np.int8]:
    """Return the part of each unit, a row or a group of rows; `counts`: its rows with each label, and of all."""
    part_of_unit = _deal_frequent_kinds(counts, parts, random)
    left = random.permutation(np.flatnonzero(part_of_unit < 0))
    left = left[np.argsort(-counts[left, -1], kind="stable")]
    while len(left):
        label_rows = counts[left, :-1].sum(axis=0)
        chosen = np.ones(len(left), dtype=np.bool_)  # if none has a label
        if label_rows.any():
            rarest = np.flatnonzero(label_rows == label_rows[label_rows > 0].min())
            chosen = counts[left, random.choice(rarest)] > 0
        for unit in left[chosen]:
            part_of_unit[unit] = parts.neediest(counts[unit], random)
            parts.missing[part_of_unit[unit]] -= counts[unit]
        left = left[~chosen]
    return part_of_unit


def part_sizes(n_rows: int, shares: Sequence[float]) -> list[int]:
    """Return whole numbers of rows near `shares`, summing to `n_rows`, none 0 where there are rows for all parts."""
    exact = np.asarray(shares) * n_rows
    sizes = np.floor(exact + 1e-9).astype(np.int64)
    by_remainder = np.argsort(sizes - exact, kind="stable")
    sizes[by_remainder[: n_rows - sizes.sum()]] += 1
    while n_rows >= len(sizes) and sizes.min() == 0:
        sizes[sizes.argmax()] -= 1
        sizes[sizes.argmin()] += 1
    return [int(size) for size in sizes]


def _targets(Y: NDArray[np.bool_], shares: Sequence[float]) -> _Parts:
    """Return each part's target: its share of everything, and one row of each rare label if possible."""
    label_counts = Y.sum(axis=0)
    sizes = part_sizes(len(Y), shares)
    target = np.outer(shares, label_counts)
    for part, size in enumerate(sizes):
        rare = (label_counts >= len(shares)) & (target[part] < 1)
        if rare.sum() <= size:
            target[part, rare] = 1
    target[int(np.argmax(shares))] -= target.sum(axis=0) - label_counts
    target = np.column_stack([target, sizes])
    # Entries for a label without rows, or a full part, are never used: any divisor but 0 will do.
    return _Parts(np.where(target > 0, target, 1), target)


def _deal_frequent_kinds(counts: Integers, parts: _Parts, random: np.random.Generator) -> NDArray[np.int8]:
    """Return the part of units assigned at once: each part's share of each kind, except a reserve; -1: left over."""
    part_of_unit = np.full(len(counts), -1, dtype=np.int8)
    kinds: dict[bytes, list[int]] = {}  # units with the same counts
    for unit in random.permutation(len(counts)).tolist():
        kinds.setdefault(counts[unit].tobytes(), []).append(unit)
    rows_missing = np.maximum(parts.missing[:, -1], 0)
    shares = rows_missing / max(rows_missing.sum(), 1)
    reserve = RESERVED_ROWS * parts.target[:, -1].sum() / parts.target[:, -1].min()
    for members in kinds.values():
        quotas = (shares * max(len(members) - reserve, 0)).astype(np.int64)
        dealt = np.repeat(np.arange(len(shares)), quotas)
        part_of_unit[members[: len(dealt)]] = dealt
        for part, quota in enumerate(quotas):
            parts.missing[part] -= quota * counts[members[0]]
    return part_of_unit
