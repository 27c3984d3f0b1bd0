"""Stratification: properties, and quality against the algorithm as the paper has it."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from tasks.split.stratify import part_sizes, stratify

SHARES = (0.8, 0.1, 0.1)


def genre_like(n_rows: int, seed: int = 0, n_labels: int = 12) -> NDArray[np.bool_]:
    """Labels from half of the rows down to one in two hundred, at least one a row, some of them correlated."""
    random = np.random.default_rng(seed)
    frequencies = np.geomspace(0.5, 0.005, n_labels)
    Y = random.random((n_rows, n_labels)) < frequencies
    Y[:, 3] |= Y[:, 1] & (random.random(n_rows) < 0.5)
    Y[~Y.any(axis=1), 0] = True
    return Y


def textbook(Y: NDArray[np.bool_], shares: tuple[float, ...], seed: int) -> NDArray[np.int8]:
    """Algorithm 1 of Sechidis et al. 2011, word by word."""
    random = np.random.default_rng(seed)
    wants_rows = np.array(shares) * len(Y)
    wants = np.outer(shares, Y.sum(axis=0))
    result = np.full(len(Y), -1, dtype=np.int8)
    left = list(random.permutation(len(Y)))
    while left:
        remaining = Y[left].sum(axis=0)
        label = int(np.where(remaining > 0, remaining, len(Y) + 1).argmin())
        for row in [row for row in left if Y[row, label]]:
            most = np.flatnonzero(wants[:, label] == wants[:, label].max())
            most = most[wants_rows[most] == wants_rows[most].max()]
            part = random.choice(most)
            result[row] = part
            wants[part] -= Y[row]
            wants_rows[part] -= 1
        left = [row for row in left if result[row] < 0]
    return result


def share_differences(Y: NDArray[np.bool_], parts: NDArray[np.int8]) -> NDArray[np.float64]:
    return np.array([np.abs(Y[parts == part].mean(axis=0) - Y.mean(axis=0)) for part in range(len(SHARES))])


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_label_shares_are_no_further_off_than_the_textbook_s(seed: int) -> None:
    Y = genre_like(4000, seed)
    ours, theirs = (share_differences(Y, split(Y, SHARES, seed)) for split in (stratify, textbook))
    assert ours.mean() <= theirs.mean()
    assert ours.max() <= theirs.max()


@pytest.mark.parametrize("seed", [1, 42069])
def test_every_label_share_is_within_half_a_percentage_point(seed: int) -> None:
    Y = genre_like(20_000, n_labels=21)
    assert share_differences(Y, stratify(Y, SHARES, seed)).max() < 0.005


@pytest.mark.parametrize("n_rows", [200, 600, 2000])
def test_rare_labels_are_in_every_part(n_rows: int) -> None:
    Y = genre_like(n_rows)
    Y[:, -1] = False
    Y[[3, 50, 120], -1] = True
    parts = stratify(Y, SHARES, 7)
    frequent_enough = Y.sum(axis=0) >= len(SHARES)
    assert all(Y[parts == part][:, frequent_enough].any(axis=0).all() for part in range(len(SHARES)))


def test_parts_have_their_sizes_and_frequent_label_sets_their_shares() -> None:
    Y = np.repeat(np.array([[1, 0], [0, 1], [1, 1]], dtype=np.bool_), [5000, 3000, 2000], axis=0)
    parts = stratify(Y, SHARES, 1)
    assert np.bincount(parts).tolist() == [8000, 1000, 1000]
    for label_set, size in (([1, 0], 5000), ([0, 1], 3000), ([1, 1], 2000)):
        of_set = parts[(label_set == Y).all(axis=1)]
        assert np.abs(np.bincount(of_set) / size - SHARES).max() < 0.001


def test_same_seed_same_parts_other_seed_others() -> None:
    Y = genre_like(500)
    assert (stratify(Y, SHARES, 5) == stratify(Y, SHARES, 5)).all()
    assert (stratify(Y, SHARES, 5) != stratify(Y, SHARES, 6)).any()


def test_groups_stay_together_and_labels_stay_even() -> None:
    Y = genre_like(5000)
    groups = np.random.default_rng(1).integers(0, 2500, len(Y))
    parts = stratify(Y, SHARES, 1, groups)
    pairs = np.unique(np.column_stack([groups, parts]), axis=0)
    assert len(pairs) == len(np.unique(groups))
    assert share_differences(Y, parts).max() < 0.01
    assert np.abs(np.bincount(parts) - 5000 * np.array(SHARES)).max() <= 10


def test_groups_of_one_row_are_the_rows_themselves() -> None:
    Y = genre_like(300)
    assert (stratify(Y, SHARES, 1, np.arange(300)) == stratify(Y, SHARES, 1)).all()


@given(
    Y=hnp.arrays(np.bool_, st.tuples(st.integers(3, 60), st.integers(0, 5))),
    shares=st.sampled_from([(0.8, 0.1, 0.1), (1 / 3, 1 / 3, 1 / 3), (0.02, 0.9, 0.08)]),
    seed=st.integers(0, 3),
)
@settings(max_examples=150)
def test_any_labels_give_parts_of_the_due_sizes(
    Y: NDArray[np.bool_], shares: tuple[float, float, float], seed: int
) -> None:
    parts = stratify(Y, shares, seed)
    assert np.bincount(parts, minlength=3).tolist() == part_sizes(len(Y), shares)
    assert min(np.bincount(parts, minlength=3)) >= 1


@given(n_rows=st.integers(0, 500), weights=st.lists(st.floats(0.01, 1), min_size=1, max_size=6))
def test_part_sizes_are_whole_and_near_the_shares(n_rows: int, weights: list[float]) -> None:
    shares = [weight / sum(weights) for weight in weights]
    sizes = part_sizes(n_rows, shares)
    assert sum(sizes) == n_rows
    assert min(sizes) >= (1 if n_rows >= len(sizes) else 0)
    if min(shares) * n_rows >= 1:
        assert max(abs(size - share * n_rows) for size, share in zip(sizes, shares, strict=True)) <= 1


@pytest.mark.parametrize("shares", [(0.5, 0.6), (1.0, 0.0), (1.2, -0.2)])
def test_impossible_shares_are_refused(shares: tuple[float, float]) -> None:
    with pytest.raises(ValueError, match="sum to 1"):
        stratify(genre_like(20), shares, 1)
