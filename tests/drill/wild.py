"""Ways to damage a file or a structure, drawn by a seeded generator. Owns them; knows no format but JSON's values."""

import copy
import os
import random
from collections.abc import Iterator
from typing import Any, Final

IS_FULL: Final = os.environ.get("GENREFLOW_DRILL") == "full"
CASES: Final = 3000 if IS_FULL else 200  # of each kind of input

SIGNIFICANT: Final = (
    b"\n", b"\r\n", b"\t", b"#", b"# newdoc id = x\n", b":", b"- ", b"[", b"{", b"'", b'"', b"&a ", b"*a", b"\0",
    b"\xff", b"\xc3", b"\xef\xbb\xbf", b"\xe2\x80\xa8", b",", b" ", b"1e999", b"2024-13-45", b"!!int ",
)  # fmt: skip
VALUES: Final = (
    None, True, False, 0, -1, 2**70, 1.5, float("nan"), float("inf"), "", "x", "a\nb", "\ud800", "0" * 5000,
    [], ["x"], [[1]], [None], {}, {"x": 1}, {1: 1},
)  # fmt: skip


def damage(whole: bytes, chance: random.Random) -> bytes:
    """Return bytes with one to four mistakes: flipped, lost, doubled, moved, inserted or cut off."""
    content = bytearray(whole)
    for _ in range(chance.randint(1, 4)):
        start = chance.randrange(len(content) or 1)
        size = chance.choice([1, 2, 40, 400])
        match chance.randrange(6):
            case 0 if content:
                content[start] ^= 1 << chance.randrange(8)
            case 1:
                del content[start : start + size]
            case 2:
                content[start:start] = content[start : start + size]
            case 3:
                moved = content[start : start + size]
                del content[start : start + size]
                place = chance.randrange(len(content) + 1)
                content[place:place] = moved
            case 4:
                content[start:start] = chance.choice(SIGNIFICANT) * chance.choice([1, 1, 1, 30])
            case _:
                del content[start:]
    return bytes(content)


def twist(whole: Any, chance: random.Random) -> Any:
    """Return a structure of mappings, lists and values with one of its values, or all of it, exchanged or lost."""
    twisted = [copy.deepcopy(whole)]
    container, key = chance.choice([(twisted, 0), *_places(twisted[0])])
    if chance.random() < 0.2 and container is not twisted:
        del container[key]
    else:
        container[key] = copy.deepcopy(chance.choice(VALUES))
    return twisted[0]


def _places(structure: Any) -> Iterator[tuple[Any, Any]]:
    if isinstance(structure, dict | list):
        for key, value in structure.items() if isinstance(structure, dict) else enumerate(structure):
            yield structure, key
            yield from _places(value)
