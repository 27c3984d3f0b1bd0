import operator
import os
import signal
from functools import partial

import pytest

from tasks.core.errors import WorkerError
from tasks.core.parallel import AHEAD, map_in_order, stream_in_order


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


NEGATE = partial(partial, operator.neg)  # in each process: a function that negates


def test_a_stream_comes_in_order_and_is_not_read_far_ahead() -> None:
    taken = []

    def numbers():
        for number in range(40):
            taken.append(number)
            yield number

    results = stream_in_order(NEGATE, numbers(), 2)
    for number in range(40):
        assert next(results) == -number
        assert len(taken) <= number + 2 * AHEAD
    assert list(results) == []


def test_errors_in_a_stream_come_through_from_either_side() -> None:
    with pytest.raises(TypeError):
        list(stream_in_order(NEGATE, [1, "two", 3], 2))
    with pytest.raises(ZeroDivisionError):
        list(stream_in_order(NEGATE, (1 // number for number in (1, 0)), 2))


def test_a_worker_that_is_killed_in_a_stream_is_reported() -> None:
    with pytest.raises(WorkerError, match="one of 2 worker processes died"):
        list(stream_in_order(partial(partial, signal.raise_signal), [signal.SIGKILL] * 4, 2))
