"""Explanations, and the pieces of movies (words and fields) to which the characters that a model reads belong."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import compress
from typing import Final, Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray

from tasks.core.language import annotator
from tasks.core.schema import MOVIES
from tasks.models.inputs import fill_template, lines_of, read_documents, read_fields, read_own, read_template
from tasks.models.spec import PLACEHOLDER, FieldName, InputSpec

Vector = NDArray[np.float64]
Matrix = NDArray[np.float64]
Origins = NDArray[np.int64]  # for each character of a text: the number of its piece, or NONE
Method = Literal["exact", "integrated-gradients", "shapley", "mixed"]

FLAT: Final = 1e-12  # log-odds; a smaller difference is a rounding error
TEXTS: Final = ("movie_name", "description")
FIELDS: Final[tuple[FieldName, ...]] = ("year", "certificate", "runtime", "director", "star")
SEVERAL: Final = ("director", "star")  # fields with possibly more than one value
WORD: Final = re.compile(r"\w+(?:['’]\w+)*|[^\w\s]+")  # matches every character except white space
NONE: Final = -1  # in no piece: white space, the words of a template
AS_IS: Final = InputSpec(lowercase=False)
_SOURCE_OF: Final = {"title": "movie_name", "decade": "year"}
_READ: Final = (*TEXTS, "year", "certificate", "runtime_min", "directors", "stars", "own_fields")
ROW: Final = pl.Schema({name: MOVIES[name] for name in _READ})


@dataclass(frozen=True)
class Explanation:
    """What each piece of one movie adds to the log-odds of some genres."""

    method: Method
    base: Vector  # (genres,) log-odds when nothing of the movie is known
    value: Vector  # (genres,) log-odds of the movie's scores
    contributions: Matrix  # (pieces × genres) log-odds

    @property
    def rest(self) -> Vector:
        """The part of `value - base` that is not from a piece, (genres,)."""
        return np.asarray(self.value - self.base - self.contributions.sum(axis=0))


def clipped(explanation: Explanation, limit: float) -> Explanation:
    """Return the explanation of log-odds that are clipped to [-limit, limit].

    Contributions shrink by the share of the path from base to value that is within the limits, as the integrated
    gradients of the clipped function do, so that they still sum to the difference.

    Source: Sundararajan, Taly and Yan 2017, Axiomatic Attribution for Deep Networks, equation 1, on a straight path.
    """
    base, value = (np.clip(end, -limit, limit) for end in (explanation.base, explanation.value))
    path = explanation.value - explanation.base
    is_flat = np.abs(path) < FLAT
    share = np.where(is_flat, np.abs(explanation.value) < limit, (value - base) / np.where(is_flat, 1, path))
    return replace(explanation, base=base, value=value, contributions=explanation.contributions * share)


def weighted_sum(parts: Sequence[Explanation], weights: Sequence[Vector | float], bias: Vector | float) -> Explanation:
    """Return the explanation of `bias + sum of weight * log-odds` for parts with the same pieces and genres."""
    methods = {part.method for part in parts}
    pairs = list(zip(parts, weights, strict=True))
    return Explanation(
        method=methods.pop() if len(methods) == 1 else "mixed",
        base=sum((weight * part.base for part, weight in pairs), np.asarray(bias)),
        value=sum((weight * part.value for part, weight in pairs), np.asarray(bias)),
        contributions=sum((w * part.contributions for part, w in pairs), np.zeros(parts[0].contributions.shape)),
    )


@dataclass(frozen=True)
class Piece:
    """A word or punctuation mark of a text, or the value of a field."""

    source: str  # one of TEXTS or FIELDS, or the name of an own field
    text: str
    start: int | None = None  # in the text of the source; None for a field
    end: int | None = None


@dataclass(frozen=True)
class ExplainedMovies:
    """Movies with their pieces, and the genres to explain for each."""

    table: pl.DataFrame
    pieces: Sequence[tuple[Piece, ...]]
    asked: Sequence[tuple[int, ...]]  # columns of the scores


def cut_movies(movies: pl.DataFrame) -> list[tuple[Piece, ...]]:
    """Return each movie's pieces: the words of the title, those of the description, then the known fields."""
    runtimes = read_template(movies, AS_IS, "{runtime}")
    fields = read_fields(movies, [name for name in FIELDS if name != "runtime"])
    order: Sequence[str] = FIELDS
    cut = []
    for texts, lines, runtime, own in zip(texts_of(movies), fields, runtimes, read_own(movies), strict=True):
        pieces = [
            Piece(source, found.group(), *found.span())
            for source, text in zip(TEXTS, texts, strict=True)
            for found in WORD.finditer(text)
        ]
        known = [*lines_of(lines), *([f"runtime={runtime} min"] if runtime else [])]
        known.sort(key=lambda line: order.index(line.partition("=")[0]))
        pairs = (line.partition("=") for line in [*known, *own])
        cut.append((*pieces, *(Piece(source, text) for source, _, text in pairs)))
    return cut


def texts_of(movies: pl.DataFrame) -> list[tuple[str, str]]:
    """Return each movie's title and description, empty if missing."""
    columns = [read_template(movies, AS_IS, f"{{{name}}}") for name in ("title", "description")]
    return list(zip(*columns, strict=True))


def rows_with(texts: tuple[str, str], pieces: Sequence[Piece], present: NDArray[np.bool_]) -> pl.DataFrame:
    """Return a movie (title, description, pieces) as rows with only the pieces `present`, (rows × pieces)."""
    rows = []
    for kept, gone in zip(present.tolist(), (~present).tolist(), strict=True):
        row: dict[str, object] = {}
        for source, text in zip(TEXTS, texts, strict=True):  # spaces in the gaps, so that the neighbours do not merge
            cut = [piece for piece in compress(pieces, gone) if piece.source == source]
            ends, starts = [0, *(piece.end for piece in cut)], [*(piece.start for piece in cut), None]
            row[source] = " ".join(text[end:start] for end, start in zip(ends, starts, strict=True))
        known = [piece for piece in compress(pieces, kept) if piece.start is None]
        values = {field: [piece.text for piece in known if piece.source == field] for field in FIELDS}
        row |= {"directors": values["director"], "stars": values["star"]}
        row["year"] = next(map(int, values["year"]), None)
        row["certificate"] = next(iter(values["certificate"]), None)
        row["runtime_min"] = next((int(text.removesuffix(" min")) for text in values["runtime"]), None)
        row["own_fields"] = [f"{piece.source}={piece.text}" for piece in known if piece.source not in FIELDS]
        rows.append(row)
    return pl.DataFrame(rows, schema=ROW)


@dataclass(frozen=True)
class Reading:
    """What a model reads of a movie."""

    text: str
    origins: Origins

    def __post_init__(self) -> None:
        assert len(self.origins) == len(self.text), "a text is read in one way and traced in another"


def trace_documents(movies: ExplainedMovies, spec: InputSpec) -> list[Reading]:
    """Return `read_documents` with the origins of characters; a lemma belongs to the piece in which its word begins."""
    documents = read_documents(movies.table.drop("lemmas", strict=False), spec)
    traced = []
    for text, texts, of_movie in zip(documents, texts_of(movies.table), movies.pieces, strict=True):
        title = [_trace(texts[0], TEXTS[0], spec, of_movie), [NONE]] if spec.title else []
        traced.append(Reading(text, np.concatenate([*title, _trace(texts[1], TEXTS[1], spec, of_movie)])))
    return traced


def trace_template(movies: ExplainedMovies, spec: InputSpec, template: str) -> list[Reading]:
    """Return `read_template` with the origins of characters, found by filling it a second time with marks."""
    names = list(dict.fromkeys(PLACEHOLDER.findall(template)))
    values = {name: read_template(movies.table, AS_IS, f"{{{name}}}") for name in names}
    specs = {name: spec if name == "description" else spec.model_copy(update={"text": "surface"}) for name in names}
    traced = []
    texts = read_template(movies.table, spec, template)
    for row, (text, of_movie) in enumerate(zip(texts, movies.pieces, strict=True)):
        origins = [_trace(values[name][row], _SOURCE_OF.get(name, name), specs[name], of_movie) for name in names]
        marks = {name: [chr(mark) * len(each)] for mark, (name, each) in enumerate(zip(names, origins, strict=True), 1)}
        (marked,) = fill_template(template, marks, 1)
        codes = np.array([ord(character) for character in marked], dtype=np.int64)
        found = np.full(len(marked), NONE, dtype=np.int64)
        for mark, each in enumerate(origins, 1):
            found[codes == mark] = np.resize(each, np.count_nonzero(codes == mark))  # a placeholder may occur twice
        traced.append(Reading(text, found))
    return traced


def trace_fields(movies: ExplainedMovies, fields: Sequence[FieldName]) -> list[list[tuple[str, int]]]:
    """Return the lines of `read_fields`, each with the number of its piece."""
    traced = []
    for lines, of_movie in zip(read_fields(movies.table, fields), movies.pieces, strict=True):
        number_of = {(piece.source, piece.text): number for number, piece in enumerate(of_movie)}
        only = {piece.source: number for number, piece in enumerate(of_movie)}  # for the year and the runtime
        found = []
        for line in lines_of(lines):
            field, _, value = line.partition("=")
            source = _SOURCE_OF.get(field, field)
            found.append((line, number_of.get((source, value), only.get(source, NONE))))
        traced.append(found)
    return traced


def _trace(value: str, source: str, spec: InputSpec, pieces: Sequence[Piece]) -> Origins:
    """Return the origins of what a model reads of a text or a field's values."""
    origins, at = np.full(len(value), NONE, dtype=np.int64), 0
    for number, piece in enumerate(pieces):
        if piece.source == source:
            if source in TEXTS:
                origins[piece.start : piece.end] = number
            elif source not in SEVERAL:
                origins[:] = number
            elif (found := value.find(piece.text, at)) >= 0:
                at = found + len(piece.text)
                origins[found:at] = number
    if spec.text == "lemmas":
        return _trace_lemmas(value, origins, spec)
    if not spec.lowercase or len(value.lower()) == len(value):
        return origins
    return np.repeat(origins, [len(character.lower()) for character in value])  # some become two


def _trace_lemmas(text: str, origins: Origins, spec: InputSpec) -> Origins:
    """Return the origins of the lemmas joined by spaces; NONE for words that normalisation has changed."""
    traced: list[int] = []
    at = 0
    for token in next(annotator(spec.pipeline).tokens([text])):
        found = text.find(token.form, at)
        at = found + len(token.form) if found >= 0 else at
        lemma = token.lemma.lower() if spec.lowercase else token.lemma
        origin = int(origins[found]) if found >= 0 else NONE
        traced += [*([NONE] if traced else []), *([origin] * len(lemma))]
    return np.array(traced, dtype=np.int64)
