"""CoNLL-U as other programs write it, one document a movie. Owns reading it; knows no stage and no table.

A document begins with `# movie_id = ...` (the earlier system) or `# newdoc id = ...` (ours, and the specification's).
Its genres are in the comment `# genre = ...`. Ranges of tokens, empty nodes, character offsets and blank lines in any
number are understood; the words come out as `tasks.language` would give them.

Source: https://universaldependencies.org/format.html
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Final, NamedTuple

from tasks.annotate.conllu import COLUMNS, join_forms
from tasks.errors import DataError
from tasks.language import Token, normalise_text

_HEADER: Final = re.compile(rb"#\s*(?:movie_id|newdoc id)\s*=\s*(.*?)\s*")
_START: Final = re.compile(r"start_char=(\d+)")
_END: Final = re.compile(r"end_char=(\d+)")
_COMMENT: Final = re.compile(r"#\s*(genre|text)\s*=\s*(.*)")


_normalise = lru_cache(maxsize=100_000)(normalise_text)  # words repeat


class Place(NamedTuple):
    """Where a document is in its file: bytes, and the number of its first line."""

    offset: int
    length: int
    line: int


@dataclass
class ForeignDocument:
    """One movie of a foreign corpus."""

    genres: str = ""  # as written
    texts: list[str] = field(default_factory=list)  # of the sentences that have the comment
    rows: list[list[list[str]]] = field(default_factory=list)  # ten fields a line, by sentence

    @cached_property
    def sentences(self) -> list[list[Token]]:
        """The words; they are made when they are asked for."""
        return [tokens for tokens in map(_read_tokens, self.rows) if tokens]

    @property
    def description(self) -> str:
        """The text: that of the comments where every sentence has one, else the words with their spaces."""
        if len(self.texts) == len(self.rows):
            return " ".join(self.texts)
        return " ".join(join_forms(tokens) for tokens in self.sentences)


def find_documents(path: Path) -> tuple[dict[str, Place], int]:
    """Return the place of each document by its movie, in the order of the file, and how many repeated a movie.

    Of repeated documents the first counts.

    Raises:
        DataError: the file cannot be read, or no document begins in it.
    """
    places: dict[str, Place] = {}
    n_repeated = 0
    try:
        for movie_id, place in _scan(path):
            n_repeated += movie_id in places
            places.setdefault(movie_id, place)
    except OSError as error:
        raise DataError(f"{path} cannot be read ({error.strerror}). Download it first, or correct the path.") from error
    except UnicodeDecodeError as error:
        raise DataError(f"{path} has a movie id that is no UTF-8 ({error.reason}). Get the file anew.") from error
    if not places:
        raise DataError(f"{path} holds no document: expected are comments '# movie_id = ...' or '# newdoc id = ...'.")
    return places, n_repeated


def read_document(path: Path, place: Place) -> ForeignDocument:
    """Return the document at a place.

    Raises:
        DataError: a line is neither a comment nor ten tab-separated fields; the message names it.
    """
    with path.open("rb") as file:
        file.seek(place.offset)
        content = file.read(place.length)
    document = ForeignDocument()
    rows: list[list[str]] = []
    lines = [line.rstrip("\r") for line in content.decode(errors="replace").split("\n")]
    for number, line in enumerate([*lines, ""], place.line):
        if not line.strip():
            if rows:
                document.rows.append(rows)
            rows = []
        elif line.startswith("#"):
            _read_comment(line, document)
        else:
            rows.append(line.split("\t"))
            if len(rows[-1]) != COLUMNS:
                raise DataError(
                    f"{path}, line {number}: expected {COLUMNS} tab-separated fields, found {line[:60]!r}. "
                    "Get the file anew, or correct the line."
                )
    return document


def _scan(path: Path) -> Iterator[tuple[str, Place]]:
    movie_id, start, line = "", 0, 1
    offset = 0
    with path.open("rb") as file:
        for number, content in enumerate(file, 1):
            found = _HEADER.fullmatch(content.rstrip(b"\r\n")) if content.startswith(b"#") else None
            if found and (name := found[1].decode()) != movie_id:
                if movie_id:
                    yield movie_id, Place(start, offset - start, line)
                movie_id, start, line = name, offset, number
            offset += len(content)
    if movie_id:
        yield movie_id, Place(start, offset - start, line)


def _read_comment(line: str, document: ForeignDocument) -> None:
    if found := _COMMENT.fullmatch(line):
        name, value = found.groups()
        if name == "text":
            document.texts.append(normalise_text(value))
        else:
            document.genres = document.genres or value.strip()


def _read_tokens(rows: list[list[str]]) -> list[Token]:
    """Return the words of a sentence. Within a range (`3-4 don't`) there is no space; after it, as the range says.

    A word of which nothing is left by `normalise_text` leaves the space after it.
    """
    tokens: list[Token] = []
    last_of_range, misc_of_range = "", ""
    for index, (number, form, lemma, upos, xpos, feats, _, _, _, misc) in enumerate(rows):
        if "." in number:  # an empty node is no word of the text
            continue
        if "-" in number:
            last_of_range, misc_of_range = number.partition("-")[2], misc
            continue
        is_inside = bool(last_of_range) and number != last_of_range
        following = rows[index + 1][-1] if index + 1 < len(rows) else ""
        has_space = not is_inside and _has_space(misc_of_range or misc, following)
        if not is_inside:
            last_of_range = misc_of_range = ""
        if word := _normalise(form):
            known_lemma = word if lemma == "_" else _normalise(lemma) or word
            tokens.append(Token(word, known_lemma, has_space, upos or "_", xpos or "_", feats or "_"))
        elif tokens and has_space:
            tokens[-1] = tokens[-1]._replace(space_after=True)
    return tokens


def _has_space(misc: str, following: str) -> bool:
    """Return whether a space follows a word, by `SpaceAfter=No` or by the character offsets of both words."""
    if "SpaceAfter=No" in misc:
        return False
    end, start = _END.search(misc), _START.search(following)
    return not (end and start) or int(start[1]) > int(end[1])
