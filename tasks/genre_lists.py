"""Genres as other programs write them into a text field. Owns the forms; knows no file's columns and no table."""

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from tasks.errors import DataError
from tasks.schema import GENRES

_QUOTED: Final = re.compile(r"'([^']*)'|\"([^\"]*)\"")
_BEGINS_QUOTED: Final = re.compile(r"[\[({\s]*['\"]")  # apostrophes elsewhere are parts of names
_CONSTRUCTOR: Final = re.compile(r"^(?:array|frozenset|set)(?=\()")
_BIT: Final = r"[01](?:\.0?)?"
_ENCODED: Final = re.compile(rf"[\[(\s,]*(?:{_BIT}[\s,]*)+[\])]*")


def parse_genres(text: str, names: Sequence[str]) -> tuple[str, ...]:
    """Return the genres that a text lists, sorted, each once; none for an empty text.

    Accepted are names with commas between them, with or without quotes and brackets (JSON, and lists, tuples, sets and
    arrays as Python prints them), and one 0 or 1 per genre, as label encoders give.

    Args:
        text: the field.
        names: all genres, in the order of the encoding.

    Raises:
        ValueError: it is an encoding of another number of genres.

    >>> parse_genres("['Sci-Fi', 'Action']", ())
    ('Action', 'Sci-Fi')
    >>> parse_genres("[0 1 1]", ("Crime", "Drama", "War"))
    ('Drama', 'War')
    """
    text = _CONSTRUCTOR.sub("", text.strip())
    if _ENCODED.fullmatch(text):
        bits = [float(number) for number in re.findall(_BIT, text)]
        if len(bits) != len(names):
            raise ValueError(f"{len(bits)} numbers encode {len(bits)} genres, and {len(names)} are known")
        found = [name for name, bit in zip(names, bits, strict=True) if bit]
    elif _BEGINS_QUOTED.match(text):
        found = [first or second for first, second in _QUOTED.findall(text)]
    else:
        found = text.strip("[](){} ").split(",")
    return tuple(sorted({name.strip() for name in found} - {""}))


def read_genre_names(path: Path) -> tuple[str, ...]:
    """Return the names in a JSON list, or the known genres in alphabetical order if there is no such file.

    Raises:
        DataError: it is no list of names.
    """
    try:
        names = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return tuple(sorted(GENRES))
    except ValueError as error:
        raise DataError(f"{path} is no JSON ({error}). Expected is a list of genre names.") from error
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise DataError(f"{path} is no list of genre names. Expected is one such as {json.dumps(GENRES[:3])}.")
    return tuple(names)
