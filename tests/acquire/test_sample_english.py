import doctest
from types import ModuleType

import pytest

from tasks.acquire import sample_dirt, sample_english


@pytest.mark.parametrize("module", [sample_dirt, sample_english])
def test_the_examples_in_the_docstrings_hold(module: ModuleType) -> None:
    failed, tried = doctest.testmod(module)
    assert (failed, tried > 0) == (0, True)
