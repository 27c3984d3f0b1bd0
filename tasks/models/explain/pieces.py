"""The pieces of a movie that explanations speak of: its words and its fields. Owns how a movie is cut into them."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from tasks.models.inputs import lines_of, read_fields, read_template
from tasks.models.own_fields import read_own
from tasks.models.spec import FieldName, InputSpec

TEXTS: Final = ("movie_name", "description")
FIELDS: Final[tuple[FieldName, ...]] = ("year", "certificate", "runtime", "director", "star")
WORD: Final = re.compile(r"\w+(?:['’]\w+)*|[^\w\s]+")  # every character but white space is in one

SEVERAL: Final = ("director", "star")  # fields of which a movie may have more than one value
AS_IS: Final = InputSpec(lowercase=False)


@dataclass(frozen=True)
class Piece:
    """A word or mark of a text, or the value of a field."""

    source: str  # one of TEXTS or FIELDS, or the name of an own field
    text: str
    start: int | None = None  # in the text of the source; None for a field
    end: int | None = None


@dataclass(frozen=True)
class ExplainedMovies:
    """Movies with their pieces, and which genres of each are to be explained."""

    table: pl.DataFrame
    pieces: Sequence[tuple[Piece, ...]]
    asked: Sequence[tuple[int, ...]]  # columns of the scores

    def for_all(self, n_genres: int) -> "ExplainedMovies":
        """Return the same movies, with all genres to be explained."""
        return replace(self, asked=[tuple(range(n_genres))] * len(self.asked))


def cut_movies(movies: pl.DataFrame) -> list[tuple[Piece, ...]]:
    """Return each movie's pieces: the words of the title, those of the description, then what fields are known.

    Args:
        movies: columns as `tasks.models.inputs.read_documents` and `read_fields` take them.
    """
    fields = read_fields(movies, [name for name in FIELDS if name != "runtime"])
    own = [[Piece(name, value) for name, _, value in (line.partition("=") for line in of)] for of in read_own(movies)]
    runtimes = read_template(movies, AS_IS, "{runtime}")
    return [
        (*_words(TEXTS[0], title), *_words(TEXTS[1], description), *_fields(lines, runtime), *of_movie)
        for (title, description), lines, runtime, of_movie in zip(texts_of(movies), fields, runtimes, own, strict=True)
    ]


def texts_of(movies: pl.DataFrame) -> list[tuple[str, str]]:
    """Return each movie's title and description, empty where there is none."""
    columns = [read_template(movies, AS_IS, f"{{{name}}}") for name in ("title", "description")]
    return list(zip(*columns, strict=True))


def rows_with(texts: tuple[str, str], pieces: Sequence[Piece], present: NDArray[np.bool_]) -> list[dict[str, object]]:
    """Return a movie as rows of a table, each with some of its pieces only.

    Args:
        texts: its title and description.
        pieces: all pieces of the movie.
        present: (rows × pieces) which of them a row has.
    """
    return [_row(texts, pieces, of_row) for of_row in present.tolist()]


def _row(texts: tuple[str, str], pieces: Sequence[Piece], present: Sequence[bool]) -> dict[str, object]:
    gone = [piece for piece, is_present in zip(pieces, present, strict=True) if not is_present]
    row: dict[str, object] = {
        source: _without(text, [piece for piece in gone if piece.source == source])
        for source, text in zip(TEXTS, texts, strict=True)
    }
    values: dict[str, list[str]] = {field: [] for field in FIELDS}
    own = []
    for piece, is_present in zip(pieces, present, strict=True):
        if is_present and piece.start is None:
            if piece.source in FIELDS:
                values[piece.source].append(piece.text)
            else:
                own.append(f"{piece.source}={piece.text}")
    for field, column in (("year", "year"), ("runtime", "runtime_min")):
        row[column] = next((int(value.split()[0]) for value in values[field]), None)
    row["certificate"] = next(iter(values["certificate"]), None)
    return {**row, "directors": values["director"], "stars": values["star"], "own_fields": own}


def _without(text: str, gone: Sequence[Piece]) -> str:
    """Return a text with a space in place of each piece, so that what stood around it does not grow together."""
    kept, at = [], 0
    for piece in gone:
        assert piece.start is not None
        kept.append(text[at : piece.start])
        at = piece.end or at
    return " ".join([*kept, text[at:]])


def _words(source: str, text: str) -> list[Piece]:
    return [Piece(source, found.group(), *found.span()) for found in WORD.finditer(text)]


def _fields(lines: str, runtime: str) -> list[Piece]:
    pieces = [Piece(field, value) for field, _, value in (line.partition("=") for line in lines_of(lines))]
    pieces += [Piece("runtime", f"{runtime} min")] if runtime else []
    names: Sequence[str] = FIELDS
    return sorted(pieces, key=lambda piece: names.index(piece.source))
