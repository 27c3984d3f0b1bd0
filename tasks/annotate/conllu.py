"""The annotated corpus as CoNLL-U: written document by document, read as a stream.

Owns our form of the format: every document begins with `# newdoc id` and `# genre` (a JSON list), every sentence has
`# sent_id` and `# text`, HEAD, DEPREL and DEPS are `_`, MISC is `_` or `SpaceAfter=No`. Reads that form only; for any
other CoNLL-U there is the package `conllu`. Knows no folder and no process.

Source: https://universaldependencies.org/format.html
"""

import json
from collections.abc import Iterator, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Final, NamedTuple, NoReturn

from tasks.core.errors import DataError
from tasks.core.language import Token

COLUMNS: Final = 10
_NEWDOC: Final = "# newdoc id = "
_GENRE: Final = "# genre = "
_NO_SPACE: Final = "SpaceAfter=No"
_CHUNK_BYTES: Final = 1 << 16  # more is slower: fresh memory for every chunk


class AnnotatedDocument(NamedTuple):
    """One movie of the corpus. Its tokens are made when they are asked for: most readers want forms or lemmas only."""

    movie_id: str
    genres: tuple[str, ...]
    fields: list[str]  # of all sentences, ten a token

    @property
    def forms(self) -> list[str]:
        """The forms of all sentences, in order."""
        return self.fields[1::COLUMNS]

    @property
    def lemmas(self) -> list[str]:
        """The lemmas of all sentences, as many as forms."""
        return self.fields[2::COLUMNS]

    @property
    def sentences(self) -> list[list[Token]]:
        """The sentences as `tasks.core.language` made them."""
        sentences: list[list[Token]] = []
        for start in range(0, len(self.fields), COLUMNS):
            number, form, lemma, upos, xpos, feats, *_, misc = self.fields[start : start + COLUMNS]
            if number == "1":
                sentences.append([])
            sentences[-1].append(Token(form, lemma, misc != _NO_SPACE, upos, xpos, feats))
        return sentences

    @property
    def text(self) -> str:
        """The normalised text that was annotated."""
        return join_forms([token for sentence in self.sentences for token in sentence])


def join_forms(tokens: Sequence[Token]) -> str:
    """Return the text of a sentence or document, without a space at its end."""
    return "".join([f"{token.form} " if token.space_after else token.form for token in tokens]).rstrip(" ")


def format_document(movie_id: str, genres: Sequence[str], sentences: Sequence[Sequence[Token]]) -> str:
    """Return a document as CoNLL-U, with a blank line after each sentence; "" if there is none.

    Args:
        movie_id: letters, digits and `_.:-` only, so that it can be part of a sentence's id.
        genres: any strings.
        sentences: at least one token each, of normalised text.
    """
    if not sentences:
        return ""
    lines = [f"{_NEWDOC}{movie_id}", f"{_GENRE}{json.dumps(list(genres))}"]
    for number, tokens in enumerate(sentences, 1):
        lines += [f"# sent_id = {movie_id}-{number}", f"# text = {join_forms(tokens)}"]
        lines += [
            f"{position}\t{form}\t{lemma}\t{upos}\t{xpos}\t{feats}\t_\t_\t_\t{'_' if space_after else _NO_SPACE}"
            for position, (form, lemma, space_after, upos, xpos, feats) in enumerate(tokens, 1)
        ]
        lines.append("")
    return "\n".join(lines) + "\n"


def read_documents(path: Path) -> Iterator[AnnotatedDocument]:
    """Yield the documents of an annotated corpus, in the order of the file, in memory that its length does not change.

    Raises:
        DataError: the file is missing, cut off, or not in our form; the message names the line.
    """
    movie_id = ""
    genres: tuple[str, ...] = ()
    fields: list[str] = []
    for line, sentences in _read_sentences(path):
        for index, sentence in enumerate(sentences):
            try:
                if sentence.startswith(_NEWDOC):
                    if fields:
                        yield AnnotatedDocument(movie_id, genres, fields)
                    movie_id, genres = _parse_header(sentence)
                    fields = []
                elif not movie_id:
                    _fail(path, line, f"expected '{_NEWDOC}...' before the first sentence")
                fields += _parse_tokens(sentence)
            except _MalformedError as fault:
                before = sum(earlier.count("\n") + 2 for earlier in sentences[:index])
                _fail(path, line + before + fault.line, fault.message)
    if fields:
        yield AnnotatedDocument(movie_id, genres, fields)


def read_source(path: Path, movie_id: str) -> str:
    """Return the lines of one document as they are in the file; "" if it is not there.

    Raises:
        DataError: as `read_documents`.
    """
    header = f"{_NEWDOC}{movie_id}\n"
    found: list[str] = []
    for _, sentences in _read_sentences(path):
        for sentence in sentences:
            if sentence.startswith(header) or (found and not sentence.startswith(_NEWDOC)):
                found.append(sentence)
            elif found:
                return "\n\n".join(found) + "\n\n"
    return "\n\n".join(found) + "\n\n" if found else ""


class _MalformedError(Exception):
    """What is wrong with a sentence, and on which of its lines, from 0."""

    def __init__(self, line: int, message: str) -> None:
        super().__init__(message)
        self.line, self.message = line, message


def _read_sentences(path: Path) -> Iterator[tuple[int, list[str]]]:
    """Yield the sentences of a file, about a hundred at a time, with the number of the first one's first line."""
    line, rest = 1, b""
    try:
        with path.open("rb") as file:
            while chunk := file.read(_CHUNK_BYTES):
                complete, blank, rest = (rest + chunk).rpartition(b"\n\n")
                if b"\r" in (complete if blank else rest):
                    _fail(path, line, "a carriage return here or further down: line ends must be LF")
                if blank:
                    yield line, _decode(path, line, complete).split("\n\n")
                    line += complete.count(b"\n") + 2
    except OSError as error:
        raise DataError(f"{path} cannot be read ({error.strerror}): run the annotation stage first") from error
    if rest:
        _fail(path, line + rest.count(b"\n"), "the file ends within a sentence: expected a blank line after it")


def _decode(path: Path, line: int, content: bytes) -> str:
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        _fail(path, line + content.count(b"\n", 0, error.start), f"no valid UTF-8 ({error.reason})")


def _parse_header(sentence: str) -> tuple[str, tuple[str, ...]]:
    newdoc, _, following = sentence.partition("\n")
    genre = following.partition("\n")[0]
    if not genre.startswith(_GENRE):
        raise _MalformedError(1, f"expected '{_GENRE}[...]' after '{_NEWDOC}...', found {genre[:60]!r}")
    return newdoc.removeprefix(_NEWDOC), _parse_genres(genre.removeprefix(_GENRE))


@lru_cache(maxsize=10_000)  # combinations of genres repeat
def _parse_genres(text: str) -> tuple[str, ...]:
    try:
        genres = json.loads(text)
    except ValueError as error:
        raise _MalformedError(1, f"the genres are no JSON ({error}): {text[:60]!r}") from error
    if not isinstance(genres, list) or not all(isinstance(genre, str) for genre in genres):
        raise _MalformedError(1, f"expected a JSON list of genre names, found {text[:60]!r}")
    return tuple(genres)


def _parse_tokens(sentence: str) -> list[str]:
    """Return the fields of all token lines, ten each. Whole lists are compared: far faster than line by line.

    No field has whitespace within, as normalised text has none but spaces: so one split finds tabs and line ends.
    """
    start = sentence.find("\n1\t") + 1
    comments, fields = sentence[:start], sentence[start:].split()
    if (
        not comments.startswith("#")
        or comments.count("\n") != comments.count("\n#") + 1
        or len(fields) % COLUMNS
        or fields[::COLUMNS] != _numbers(len(fields) // COLUMNS)
    ):
        raise _find_fault(sentence)
    return fields


@lru_cache(maxsize=1_000)
def _numbers(count: int) -> list[str]:
    return [str(number) for number in range(1, count + 1)]


def _find_fault(sentence: str) -> _MalformedError:
    expected = 1
    lines = sentence.split("\n")
    for at, line in enumerate(lines):
        if line.startswith("#") and expected == 1:
            continue
        fields = line.split("\t")
        if len(fields) != COLUMNS or len(line.split()) != COLUMNS:
            return _MalformedError(
                at, f"expected {COLUMNS} tab-separated fields, none empty or with a space, found {line[:60]!r}"
            )
        if fields[0] != str(expected):
            return _MalformedError(at, f"expected the token's number {expected}, found {fields[0][:60]!r}")
        expected += 1
    return _MalformedError(0, "expected comments and then tokens")


def _fail(path: Path, line: int, message: str) -> NoReturn:
    raise DataError(f"{path}, line {line}: {message}. Run the annotation stage again to make the file anew")
