"""How often terms occur, as sparse matrices. Owns counting; knows not what a term is."""

from array import array
from collections.abc import Iterable, Sequence

import numpy as np
from scipy import sparse


def count_words(documents: Sequence[str]) -> tuple[list[str], sparse.csr_array]:
    """Return the distinct words between white space, and how often each document has each, (documents × words).

    Text repeats its words, so that reading each but once for its parts takes a fraction of the time.
    """
    column_of: dict[str, int] = {}
    counts = count_terms((document.split() for document in documents), column_of, learn=True)
    return list(column_of), counts


def count_terms(bags: Iterable[Iterable[str]], column_of: dict[str, int], learn: bool = False) -> sparse.csr_array:
    """Return how often each bag has each term, (bags × terms), in sorted columns.

    Terms without a column do not count; with `learn`, `column_of` gets the next column for them.
    """
    columns, ends = array("i"), array("i", [0])  # 32 bits: scikit-learn's solvers take no others
    for bag in bags:
        if learn:
            columns.extend([column_of.setdefault(term, len(column_of)) for term in bag])
        else:
            columns.extend([column for column in map(column_of.get, bag) if column is not None])
        ends.append(len(columns))
    ones = np.ones(len(columns), dtype=np.float32)
    shape = (len(ends) - 1, len(column_of))
    counts = sparse.csr_array((ones, np.asarray(columns), np.asarray(ends)), shape=shape)
    counts.sum_duplicates()
    return counts
