"""What other packages do not promise to keep: each name in one place, and these tests fail when it goes."""

import inspect
import re
from pathlib import Path

import pytest
from prefect import flow_engine

ROOT = Path(__file__).parents[1]
USES = {  # of names that begin with an underscore
    "flows/config.py": 1,  # our own
    "tasks/models/encoder/trainer.py": 2,  # accelerate's shared state
}


def test_private_names_are_used_where_this_says_and_nowhere_else() -> None:
    found = {}
    for folder in ("flows", "tasks", "deployments", "benchmarks", "docs"):
        for file in sorted((ROOT / folder).rglob("*.py")):
            if uses := re.findall(r"noqa: .*SLF001", file.read_text(encoding="utf-8")):
                found[str(file.relative_to(ROOT))] = len(uses)
    assert found == USES


def test_prefect_takes_sigterm_by_the_name_that_the_command_line_replaces() -> None:
    assert "with capture_sigterm()" in inspect.getsource(flow_engine)
    assert callable(flow_engine.capture_sigterm)


def test_accelerate_shares_its_state_by_the_names_that_trainings_replace() -> None:
    state = pytest.importorskip("accelerate.state", reason="accelerate is not installed: make install")
    for kind in (state.AcceleratorState, state.GradientState, state.PartialState):
        assert "_shared_state" in vars(kind)
    assert callable(state.AcceleratorState._reset_state)
