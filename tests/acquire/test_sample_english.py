import doctest
from types import ModuleType

import pytest

from tasks.acquire import sample_text


@pytest.mark.parametrize("module", [sample_text])
def test_the_examples_in_the_docstrings_hold(module: ModuleType) -> None:
    failed, tried = doctest.testmod(module)
    assert (failed, tried > 0) == (0, True)
