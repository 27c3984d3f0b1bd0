"""The validator of Universal Dependencies as a fixture. It is under the GPL, so only tests use it."""

import io
from collections.abc import Callable, Iterator

import pytest
from udtools import Validator
from udtools.state import State


@pytest.fixture(scope="session")
def validate() -> Callable[[str, int], list[str]]:
    """Returns what is wrong with CoNLL-U at level 1 or 2.

    Level 2 judges a shadow copy with made-up tags and trees, for its rules about texts, spaces and ids: the corpus has
    no trees, and nobody is ever to read these.
    """
    validators = {level: Validator(lang="ud", level=level, output=None) for level in (1, 2)}

    def find_faults(content: str, level: int) -> list[str]:
        state = State()
        judged = content if level == 1 else "".join(shadow(content))
        validators[level].validate_file_handle(io.TextIOWrapper(io.BytesIO(judged.encode()), encoding="utf-8"), state)
        validators[level].validate_end(state)
        return [str(incident) for incident in state.error_tracker]

    return find_faults


def shadow(content: str) -> Iterator[str]:
    """Every word of no known part of speech and under the sentence's first one."""
    for line in io.StringIO(content):
        if line[0].isdigit():
            number, form, lemma, _, xpos, feats, _, _, *rest = line.split("\t")
            tree = ("0", "root") if number == "1" else ("1", "dep")
            yield "\t".join([number, form, lemma, "X", xpos, feats, *tree, *rest])
        else:
            yield line
