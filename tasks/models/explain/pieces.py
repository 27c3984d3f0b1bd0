"""Which piece of a movie each character that a model reads is from. Owns the tracing back; reads nothing itself."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final, Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray

from tasks.core.language import annotator
from tasks.models.inputs import lines_of, read_documents, read_fields, read_own, read_template
from tasks.models.spec import PLACEHOLDERS, FieldName, InputSpec, fill_template, placeholders

Vector = NDArray[np.float64]
Matrix = NDArray[np.float64]
Method = Literal["exact", "integrated-gradients", "shapley", "mixed"]

FLAT: Final = 1e-12  # log-odds; below it a difference is rounding


@dataclass(frozen=True)
class Explanation:
    """What each piece of one movie adds to the log-odds of some genres.

    Attributes:
        method: how it was found.
        base: (genres,) the log-odds when nothing of the movie is known.
        value: (genres,) the log-odds of the movie's scores.
        contributions: (pieces × genres) log-odds.
    """

    method: Method
    base: Vector
    value: Vector
    contributions: Matrix

    @property
    def rest(self) -> Vector:
        """What of `value - base` no piece accounts for, (genres,)."""
        rest: Vector = self.value - self.base - self.contributions.sum(axis=0)
        return rest


def clipped(explanation: Explanation, limit: float) -> Explanation:
    """Return the explanation of log-odds that are cut at -limit and limit.

    Contributions shrink by the share of the way from base to value that is within the limits, as the integrated
    gradients of the cut function do, so that they still sum to the difference.

    Source: Sundararajan, Taly and Yan 2017, Axiomatic Attribution for Deep Networks, equation 1, on a straight path.
    """
    base, value = (np.clip(end, -limit, limit) for end in (explanation.base, explanation.value))
    way = explanation.value - explanation.base
    is_flat = np.abs(way) < FLAT
    share = np.where(is_flat, np.abs(explanation.value) < limit, (value - base) / np.where(is_flat, 1, way))
    return replace(explanation, base=base, value=value, contributions=explanation.contributions * share)


def weighted_sum(parts: Sequence[Explanation], weights: Sequence[Vector | float], bias: Vector | float) -> Explanation:
    """Return the explanation of `bias + sum of weight * log-odds`, of parts that explain the same pieces and genres.

    Args:
        parts: at least one.
        weights: of each part, one number or one a genre.
        bias: of the sum.
    """
    methods = {part.method for part in parts}
    return Explanation(
        method=methods.pop() if len(methods) == 1 else "mixed",
        base=sum((weight * part.base for part, weight in zip(parts, weights, strict=True)), np.asarray(bias)),
        value=sum((weight * part.value for part, weight in zip(parts, weights, strict=True)), np.asarray(bias)),
        contributions=sum(
            (weight * part.contributions for part, weight in zip(parts, weights, strict=True)),
            np.zeros(parts[0].contributions.shape),
        ),
    )


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
