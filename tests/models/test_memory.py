import sys
from types import SimpleNamespace

import numpy as np
import polars as pl
import pytest
from scipy import sparse

from tasks.models.train import held_bytes

SMALL = 3_000  # what containers may add


def test_arrays_count_once_however_many_names_and_views_they_have():
    weights = np.zeros((1000, 100), dtype=np.float32)
    model = SimpleNamespace(weights=weights, same=weights, part=weights[:10], columns=[weights.T])
    assert 400_000 <= held_bytes(model) <= 400_000 + SMALL


def test_sparse_matrices_vocabularies_and_tables_count():
    matrix = sparse.csr_array(np.eye(1000))
    words = {f"word{number}": number for number in range(1000)}
    table = pl.DataFrame({"number": range(10_000)})
    stored = 1000 * (8 + 4) + 1001 * 4
    assert stored <= held_bytes(SimpleNamespace(m=matrix)) <= stored + SMALL
    texts = sum(map(sys.getsizeof, words))
    assert held_bytes(words) > texts + sys.getsizeof(words)
    assert held_bytes([table]) == pytest.approx(80_000, abs=SMALL)


def test_what_refers_to_itself_ends():
    model = SimpleNamespace()
    model.me = [model]
    assert 0 < held_bytes(model) < SMALL


def test_weights_of_a_network_count():
    import torch  # noqa: PLC0415 - takes seconds

    network = torch.nn.Linear(1000, 100)
    assert 400_400 <= held_bytes(SimpleNamespace(network=network)) <= 400_400 + 10 * SMALL
