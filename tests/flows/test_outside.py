"""What fails outside of the program is a one-line error; a defect is not."""

import numpy as np
import pytest

from flows.run_context import OutOfMemoryError, as_user_error
from tasks.core.errors import DataError


def test_memory_that_is_refused_is_told_with_what_was_asked_for() -> None:
    with pytest.raises(MemoryError) as caught:
        np.ones((2**30, 2**20))
    told = as_user_error(caught.value)
    assert isinstance(told, OutOfMemoryError)
    assert "(1073741824, 1048576)" in str(told)
    assert "--workers 1" in str(told)


def test_an_error_of_ours_is_found_behind_the_one_that_it_led_to() -> None:
    cause = DataError("movies.csv, row 3: no id")
    error = RuntimeError("task failed")
    error.__cause__ = cause
    assert as_user_error(error) is cause


def test_a_defect_is_left_alone() -> None:
    assert as_user_error(KeyError("genre")) is None
