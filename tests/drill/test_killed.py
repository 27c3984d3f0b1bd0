"""SIGKILL at seeded moments over the whole pipeline, then the same command again: as if nothing had happened."""

import random

import pytest
from harness import Home, Nursery
from wild import IS_FULL

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("default")]

MOMENTS = 40 if IS_FULL else 3


@pytest.mark.parametrize("number", range(MOMENTS))
def test_a_killed_run_goes_on_to_the_same_end(number: int, undisturbed, nursery: Nursery, home: Home) -> None:
    chance = random.Random(number)
    # One of as many equal parts of the run as there are moments, so that all of it is hit.
    moment = int((number + chance.random()) / MOMENTS * undisturbed.n_events) + 1
    fault = {"do": "kill_self", "at": moment, "after_s": chance.choice([None, chance.uniform(0.0, 0.3)])}
    nursery.run(home, fault)  # a delayed kill near the end may come too late, which is an outcome as well
    done = home.done()
    again = nursery.run(home)
    assert again.code == 0, again.output
    assert again.is_plain()
    assert done <= again.skipped | {"data/raw"}, "work that was done is done again"
    assert home.results() == undisturbed.home.results()
    assert home.scores() == undisturbed.home.scores()
    assert home.statuses() <= {"FINISHED", "KILLED"}
    assert home.unfinished() == []
