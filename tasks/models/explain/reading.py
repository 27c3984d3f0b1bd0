"""Which piece of a movie each character that a model reads is from. Owns the tracing back; reads nothing itself."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from tasks.language import annotator
from tasks.models.explain.pieces import AS_IS, SEVERAL, TEXTS, Piece
from tasks.models.inputs import lines_of, read_documents, read_fields, read_template
from tasks.models.spec import FieldName, InputSpec
from tasks.models.template import PLACEHOLDERS, fill_template, placeholders

NONE: Final = -1  # no piece: white space, the words of a template
_SOURCE_OF: Final = {"title": "movie_name", "decade": "year"}

Origins = NDArray[np.int64]


@dataclass(frozen=True)
class Reading:
    """What a model reads of a movie."""

    text: str
    origins: Origins  # of each character: the number of the piece that it is from, or NONE


def trace_documents(movies: pl.DataFrame, spec: InputSpec, pieces: Sequence[Sequence[Piece]]) -> list[Reading]:
    """Return what `read_documents` gives, with the pieces that its characters are from.

    A lemma is from the piece in which its word begins.
    """
    documents = read_documents(movies.drop("lemmas", strict=False), spec)
    texts = {
        source: read_template(movies, AS_IS, f"{{{name}}}") for source, name in zip(TEXTS, PLACEHOLDERS, strict=False)
    }
    traced = []
    for row, of_movie in enumerate(pieces):
        parts = [
            _trace_text(texts[source][row], source, spec, of_movie) for source in (TEXTS if spec.title else TEXTS[1:])
        ]
        origins = np.concatenate([parts[0], *(part for other in parts[1:] for part in ([NONE], other))])
        traced.append(Reading(documents[row], _checked(origins, documents[row])))
    return traced


def trace_template(
    movies: pl.DataFrame, spec: InputSpec, template: str, pieces: Sequence[Sequence[Piece]]
) -> list[Reading]:
    """Return what `read_template` gives, with the pieces that its characters are from.

    The template is filled a second time, with marks in place of the values' characters: where a mark stands then, there
    its value does.
    """
    names = list(dict.fromkeys(placeholders(template)))
    values = {name: read_template(movies, AS_IS, f"{{{name}}}") for name in names}
    traced = []
    for row, (text, of_movie) in enumerate(zip(read_template(movies, spec, template), pieces, strict=True)):
        origins = {name: _trace_value(name, values[name][row], spec, of_movie) for name in names}
        marks = {name: [chr(number + 1) * len(origins[name])] for number, name in enumerate(names)}
        (marked,) = fill_template(template, marks, 1)
        traced.append(Reading(text, _checked(_trace_marks(marked, list(origins.values())), text)))
    return traced


def trace_fields(
    movies: pl.DataFrame, fields: Sequence[FieldName], pieces: Sequence[Sequence[Piece]]
) -> list[list[tuple[str, int]]]:
    """Return the lines that `read_fields` gives, each with the number of the piece that it is from."""
    traced = []
    for lines, of_movie in zip(read_fields(movies, fields), pieces, strict=True):
        number_of = {(piece.source, piece.text): number for number, piece in enumerate(of_movie)}
        only = {piece.source: number for number, piece in enumerate(of_movie)}  # there is but one year and one runtime
        traced.append([(line, _piece_of_line(line, number_of, only)) for line in lines_of(lines)])
    return traced


def _piece_of_line(line: str, number_of: dict[tuple[str, str], int], only: dict[str, int]) -> int:
    field, value = line.split("=", 1)
    source = _SOURCE_OF.get(field, field)
    return number_of.get((source, value), only.get(source, NONE))


def _trace_text(text: str, source: str, spec: InputSpec, pieces: Sequence[Piece]) -> Origins:
    origins = np.full(len(text), NONE, dtype=np.int64)
    for number, piece in enumerate(pieces):
        if piece.source == source:
            origins[piece.start : piece.end] = number
    if spec.text == "lemmas":
        return _trace_lemmas(text, origins, spec)
    return _lowered(text, origins) if spec.lowercase else origins


def _trace_lemmas(text: str, origins: Origins, spec: InputSpec) -> Origins:
    """Return the origins of the lemmas, joined by spaces. A word that normalising has changed is not found: NONE."""
    traced: list[int] = []
    at = 0
    for token in next(annotator(spec.pipeline).tokens([text])):
        found = text.find(token.form, at)
        at = found + len(token.form) if found >= 0 else at
        lemma = token.lemma.lower() if spec.lowercase else token.lemma
        origin = int(origins[found]) if found >= 0 else NONE
        traced += [*([NONE] if traced else []), *([origin] * len(lemma))]
    return np.array(traced, dtype=np.int64)


def _trace_marks(marked: str, origins: Sequence[Origins]) -> Origins:
    """Return the origins of a text in which the characters of the first value are 1, those of the second 2, ..."""
    codes = np.array([ord(character) for character in marked], dtype=np.int64)
    traced = np.full(len(marked), NONE, dtype=np.int64)
    for code, of_value in enumerate(origins, start=1):
        places = codes == code
        if len(of_value):
            traced[places] = np.tile(of_value, int(places.sum()) // len(of_value))  # a placeholder may stand twice
    return traced


def _trace_value(name: str, value: str, spec: InputSpec, pieces: Sequence[Piece]) -> Origins:
    source = _SOURCE_OF.get(name, name)
    if source in TEXTS:
        return _trace_text(value, source, spec if source == "description" else _without_lemmas(spec), pieces)
    origins = np.full(len(value), NONE, dtype=np.int64)
    at = 0
    for number, piece in enumerate(pieces):
        if piece.source != source:
            continue
        if source not in SEVERAL:
            origins[:] = number
        elif (found := value.find(piece.text, at)) >= 0:
            at = found + len(piece.text)
            origins[found:at] = number
    return _lowered(value, origins) if spec.lowercase else origins


def _without_lemmas(spec: InputSpec) -> InputSpec:
    return spec.model_copy(update={"text": "surface"})


def _lowered(text: str, origins: Origins) -> Origins:
    """Return origins of the text in lower case, in which some characters are two."""
    if len(text.lower()) == len(text):
        return origins
    return np.repeat(origins, [len(character.lower()) for character in text])


def _checked(origins: Origins, text: str) -> Origins:
    assert len(origins) == len(text), "a text is read in one way and traced in another"
    return origins
