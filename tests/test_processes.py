import operator
import os
import signal

import pytest

from tasks.errors import WorkerError
from tasks.processes import map_in_order


def test_one_worker_or_one_argument_stays_in_this_process() -> None:
    assert list(map_in_order(lambda number: number + os.getpid(), [1, 2], 1)) == [1 + os.getpid(), 2 + os.getpid()]
    assert list(map_in_order(lambda number: number + os.getpid(), [1], 8)) == [1 + os.getpid()]


def test_results_come_in_order() -> None:
    assert list(map_in_order(operator.neg, range(50), 2)) == [-number for number in range(50)]


def test_an_error_comes_through() -> None:
    with pytest.raises(TypeError):
        list(map_in_order(operator.neg, [1, "two", 3], 2))


def test_a_killed_worker_is_reported() -> None:
    with pytest.raises(WorkerError, match="one of 2 worker processes died"):
        list(map_in_order(signal.raise_signal, [signal.SIGKILL] * 4, 2))
    assert list(map_in_order(operator.neg, [1, 2], 2)) == [-1, -2]


def test_stopping_early_stops_the_work() -> None:
    results = map_in_order(operator.neg, range(1000), 2)
    assert next(results) == 0
    results.close()
    assert list(map_in_order(operator.neg, [1, 2], 2)) == [-1, -2]
