"""CoNLL-U: our form of it, and reading it in the form of any program; `python -m tasks.annotate.conllu show ID`.

We write one document per movie. It begins with `# newdoc id` and `# genre` (a JSON list), every sentence has
`# sent_id` and `# text`; HEAD, DEPREL and DEPS are `_`, MISC is `_` or `SpaceAfter=No`. Written here because the
package `conllu` takes twice as long for the same bytes.

A document that is read begins with `# movie_id = ...` (the earlier system) or `# newdoc id = ...` (ours, and the
specification's), and has its genres in the comment `# genre = ...`. Ranges of tokens, empty nodes, character offsets
and any number of blank lines are understood; the words are normalised as `tasks.core.language` does. Not read with the
package `conllu`, which gives no line numbers of errors and reads 2,900 documents per CPU second.

Source: https://universaldependencies.org/format.html
"""

import argparse
import json
import os
import re
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from itertools import pairwise
from pathlib import Path
from typing import Final, NamedTuple

from tasks.core.errors import DataError, GenreflowError
from tasks.core.language import Token, normalise_text
from tasks.core.settings import data_paths

COLUMNS: Final = 10
_HEADER: Final = re.compile(rb"#\s*+(?:movie_id|newdoc id)\s*+=(.*)")
_START: Final = re.compile(r"start_char=(\d+)")
_END: Final = re.compile(r"end_char=(\d+)")
_COMMENT: Final = re.compile(r"#\s*(genre|text)\s*=\s*(.*)")

_normalise = lru_cache(maxsize=100_000)(normalise_text)  # words repeat


def join_forms(tokens: Sequence[Token]) -> str:
    """Return the text of a sentence or document, without a space at its end."""
    return "".join([f"{token.form} " if token.space_after else token.form for token in tokens]).rstrip(" ")


def format_document(movie_id: str, genres: Sequence[str], sentences: Sequence[Sequence[Token]]) -> str:
    """Return a document as CoNLL-U, with a blank line after each sentence; "" without sentences.

    `movie_id` has letters, digits and `_.:-` only, since it becomes part of the sentences' ids. Sentences have at least
    one token each, of normalised text.
    """
    if not sentences:
        return ""
    lines = [f"# newdoc id = {movie_id}", f"# genre = {json.dumps(list(genres))}"]
    for number, tokens in enumerate(sentences, 1):
        lines += [f"# sent_id = {movie_id}-{number}", f"# text = {join_forms(tokens)}"]
        lines += [
            f"{position}\t{form}\t{lemma}\t{upos}\t{xpos}\t{feats}\t_\t_\t_\t{'_' if space_after else 'SpaceAfter=No'}"
            for position, (form, lemma, space_after, upos, xpos, feats) in enumerate(tokens, 1)
        ]
        lines.append("")
    return "\n".join(lines) + "\n"


class FilePosition(NamedTuple):
    """Where a document is in its file: bytes, and the number of its first line."""

    offset: int
    length: int
    line: int


@dataclass
class ForeignDocument:
    """One movie of a foreign corpus."""

    genres: str = ""  # as written
    texts: list[str] = field(default_factory=list)  # of the sentences that have the comment
    rows: list[list[list[str]]] = field(default_factory=list)  # ten fields per line, by sentence

    @cached_property
    def sentences(self) -> list[list[Token]]:
        """The words of each sentence, without empty sentences."""
        return [tokens for tokens in map(_read_tokens, self.rows) if tokens]

    @property
    def description(self) -> str:
        """The text: that of the comments if every sentence has one, else the words with their spaces."""
        return " ".join(self.texts if len(self.texts) == len(self.rows) else map(join_forms, self.sentences))


def find_documents(path: Path) -> tuple[dict[str, FilePosition], int]:
    """Return the position of each movie's first document, in file order, and the number of repeated documents."""
    starts: list[tuple[str, int, int]] = []  # movie, byte, line
    offset = 0
    try:
        with path.open("rb") as file:
            for number, content in enumerate(file, 1):
                header = _HEADER.fullmatch(content.rstrip(b"\r\n")) if content.startswith(b"#") else None
                if header and (name := header[1].strip().decode()) != (starts[-1][0] if starts else ""):
                    starts.append((name, offset, number))
                offset += len(content)
    except OSError as error:
        raise DataError(f"{path} cannot be read ({error.strerror}). Download it first, or correct the path.") from error
    except UnicodeDecodeError as error:
        raise DataError(f"{path} has a movie id that is not UTF-8 ({error.reason}). Get the file again.") from error
    positions: dict[str, FilePosition] = {}
    for (movie_id, start, line), (_, end, _) in pairwise([*starts, ("", offset, 0)]):
        if movie_id:
            positions.setdefault(movie_id, FilePosition(start, end - start, line))
    if not positions:
        raise DataError(f"{path} has no document: expected comments '# movie_id = ...' or '# newdoc id = ...'.")
    return positions, sum(bool(movie_id) for movie_id, _, _ in starts) - len(positions)


def read_document(path: Path, position: FilePosition) -> ForeignDocument:
    """Return the document at a position; DataError for a line that is neither a comment nor ten fields."""
    document = ForeignDocument()
    rows: list[list[str]] = []
    for number, line in enumerate([*_read_lines(path, position), ""], position.line):
        if not line.strip():
            if rows:
                document.rows.append(rows)
            rows = []
        elif not line.startswith("#"):
            rows.append(line.split("\t"))
            if len(rows[-1]) != COLUMNS:
                raise DataError(
                    f"{path}, line {number}: expected {COLUMNS} tab-separated fields, found {line[:60]!r}. "
                    "Get the file again, or correct the line."
                )
        elif comment := _COMMENT.fullmatch(line):
            if comment[1] == "text":
                document.texts.append(normalise_text(comment[2]))
            else:
                document.genres = document.genres or comment[2].strip()
    return document


def _read_lines(path: Path, position: FilePosition) -> list[str]:
    with path.open("rb") as file:
        file.seek(position.offset)
        content = file.read(position.length)
    return [line.rstrip("\r") for line in content.decode(errors="replace").split("\n")]


def _read_tokens(rows: list[list[str]]) -> list[Token]:
    """Return the words of a sentence. Within a range (`3-4 don't`) there is no space; after it, as the range says."""
    tokens: list[Token] = []
    last_of_range, misc_of_range = "", ""
    for index, (number, form, lemma, upos, xpos, feats, _, _, _, misc) in enumerate(rows):
        if "." in number:  # an empty node, not a word of the text
            continue
        if "-" in number:
            last_of_range, misc_of_range = number.partition("-")[2], misc
            continue
        is_inside = bool(last_of_range) and number != last_of_range
        following = rows[index + 1][-1] if index + 1 < len(rows) else ""
        misc_of_word = misc_of_range or misc
        end, start = _END.search(misc_of_word), _START.search(following)
        is_apart = not (end and start) or int(start[1]) > int(end[1])  # by the character offsets of both words
        has_space = not is_inside and "SpaceAfter=No" not in misc_of_word and is_apart
        if not is_inside:
            last_of_range = misc_of_range = ""
        if word := _normalise(form):
            known_lemma = word if lemma == "_" else _normalise(lemma) or word
            tokens.append(Token(word, known_lemma, has_space, upos or "_", xpos or "_", feats or "_"))
        elif tokens and has_space:  # a word that is empty when normalised leaves its space
            tokens[-1] = tokens[-1]._replace(space_after=True)
    return tokens


def main(arguments: Sequence[str] | None = None) -> int:
    """Print a movie's sentences from the annotated corpus; return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tasks.annotate.conllu", description="Look into the corpus.")
    commands = parser.add_subparsers(dest="command", required=True)
    show = commands.add_parser("show", help="print a movie's genres, sentences, tokens and lemmas")
    show.add_argument("movie_id", metavar="ID", help="such as tt0000574")
    show.add_argument("--corpus", type=Path, help="CoNLL-U file (default: the one in the data folder)")
    options = parser.parse_args(arguments)
    try:
        for line in show_movie(options.corpus or data_paths().conllu, options.movie_id):
            sys.stdout.write(f"{line}\n")
        sys.stdout.flush()
    except BrokenPipeError:  # a reader such as `head` has closed the pipe; Python must not report it at exit either
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except GenreflowError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


def show_movie(corpus: Path, movie_id: str) -> Iterator[str]:
    """Yield the lines to print: id and genres, then each sentence with a table of its tokens."""
    import conllu  # noqa: PLC0415 - needed only here

    if not corpus.is_file():
        raise DataError(f"{corpus} does not exist: run the annotation stage first")
    positions, _ = find_documents(corpus)
    if movie_id not in positions:
        raise DataError(f"{corpus} has no sentence of {movie_id!r}: check the id, and whether cleaning kept the movie")
    try:
        sentences = conllu.parse("\n".join(_read_lines(corpus, positions[movie_id])))
    except conllu.exceptions.ParseException as error:
        raise DataError(
            f"{corpus}: the sentences of {movie_id!r} are not valid CoNLL-U ({error}). Run the annotation stage again "
            "to rewrite the file"
        ) from error
    for sentence in sentences:
        if "genre" in sentence.metadata:
            yield f"{movie_id}  {sentence.metadata['genre']}"
        yield f"\n{sentence.metadata.get('text', '')}"
        width = max((len(token["form"]) for token in sentence), default=0)
        for token in sentence:
            tags = "  ".join(token[column] for column in ("upos", "xpos") if token[column] not in (None, "_"))
            number = token["id"] if isinstance(token["id"], int) else "".join(map(str, token["id"]))  # such as 2-3
            yield f"{number:>4}  {token['form']:<{width}}  {token['lemma']}  {tags}".rstrip()


if __name__ == "__main__":
    sys.exit(main())
