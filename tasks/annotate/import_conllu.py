"""Import of a corpus that another program annotated, as the annotate stage's result.

A document begins with `# movie_id = ...` (the earlier system) or `# newdoc id = ...` (ours, and the specification's),
and has its genres in the comment `# genre = ...`. Ranges of tokens, empty nodes, character offsets and any number of
blank lines are understood; the words are normalised as `tasks.core.language` does. Not read with the package `conllu`,
which gives no line numbers of errors and reads 2,900 documents per CPU second.

Source: https://universaldependencies.org/format.html
"""

import csv
import logging
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from itertools import islice
from pathlib import Path
from typing import Final, NamedTuple

import polars as pl

from tasks.annotate.conllu import format_document, join_forms
from tasks.annotate.corpus import check_movies, companion_rows, open_companion
from tasks.core.errors import DataError
from tasks.core.language import Token, normalise_text
from tasks.core.logs import Progress
from tasks.core.schema import parse_genres, read_genre_names
from tasks.core.settings import DataPaths
from tasks.stage import Stage, StageResult, run_stage

logger = logging.getLogger(__name__)

COLUMNS: Final = 10
IMPORTED: Final = "imported"  # in place of a pipeline's name: such lemmas cannot be made for a new text
BATCH: Final = 500  # movies in memory at once
_HEADER: Final = re.compile(rb"#\s*(?:movie_id|newdoc id)\s*=\s*(.*?)\s*")
_START: Final = re.compile(r"start_char=(\d+)")
_END: Final = re.compile(r"end_char=(\d+)")
_COMMENT: Final = re.compile(r"#\s*(genre|text)\s*=\s*(.*)")

_normalise = lru_cache(maxsize=100_000)(normalise_text)  # words repeat


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
        if len(self.texts) == len(self.rows):
            return " ".join(self.texts)
        return " ".join(join_forms(tokens) for tokens in self.sentences)


def find_documents(path: Path) -> tuple[dict[str, FilePosition], int]:
    """Return the position of each movie's first document, in file order, and the number of repeated documents.

    Raises:
        DataError: the file cannot be read, or has no document.
    """
    positions: dict[str, FilePosition] = {}
    n_repeated = 0
    try:
        for movie_id, position in _scan(path):
            n_repeated += movie_id in positions
            positions.setdefault(movie_id, position)
    except OSError as error:
        raise DataError(f"{path} cannot be read ({error.strerror}). Download it first, or correct the path.") from error
    except UnicodeDecodeError as error:
        raise DataError(f"{path} has a movie id that is not UTF-8 ({error.reason}). Get the file again.") from error
    if not positions:
        raise DataError(f"{path} has no document: expected comments '# movie_id = ...' or '# newdoc id = ...'.")
    return positions, n_repeated


def read_lines(path: Path, position: FilePosition) -> list[str]:
    """Return the lines of the document at a position, without line ends."""
    with path.open("rb") as file:
        file.seek(position.offset)
        content = file.read(position.length)
    return [line.rstrip("\r") for line in content.decode(errors="replace").split("\n")]


def read_document(path: Path, position: FilePosition) -> ForeignDocument:
    """Return the document at a position.

    Raises:
        DataError: a line is neither a comment nor ten tab-separated fields; the message names it.
    """
    document = ForeignDocument()
    rows: list[list[str]] = []
    for number, line in enumerate([*read_lines(path, position), ""], position.line):
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


def _scan(path: Path) -> Iterator[tuple[str, FilePosition]]:
    movie_id, start, line = "", 0, 1
    offset = 0
    with path.open("rb") as file:
        for number, content in enumerate(file, 1):
            header = _HEADER.fullmatch(content.rstrip(b"\r\n")) if content.startswith(b"#") else None
            if header and (name := header[1].decode()) != movie_id:
                if movie_id:
                    yield movie_id, FilePosition(start, offset - start, line)
                movie_id, start, line = name, offset, number
            offset += len(content)
    if movie_id:
        yield movie_id, FilePosition(start, offset - start, line)


def _read_tokens(rows: list[list[str]]) -> list[Token]:
    """Return the words of a sentence. Within a range (`3-4 don't`) there is no space; after it, as the range says.

    A word that is empty when normalised leaves the space after it.
    """
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


def extract_movies(paths: DataPaths, corpus: Path) -> StageResult:
    """Write the movies of a foreign corpus to `paths.corpus_csv`, for the clean stage to import.

    For users who have only the annotated corpus. It does not have the movies' names, which stay empty.

    Returns:
        Counts: `documents`, `repeated_documents`.

    Raises:
        DataError: the corpus is missing or damaged, or its genres cannot be read.
    """

    def build(folder: Path) -> Mapping[str, int]:
        names = read_genre_names(paths.downloaded_genres)
        positions, n_repeated = find_documents(corpus)
        progress = Progress("movies of the corpus", len(positions))
        with (folder / paths.corpus_csv.name).open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(["movie_id", "movie_name", "genre", "description"])
            for movie_id, position in positions.items():
                document = read_document(corpus, position)
                try:
                    genres = ", ".join(parse_genres(document.genres, names))
                except ValueError as error:
                    raise DataError(
                        f"{corpus}, line {position.line}: the genres {document.genres[:80]!r} cannot be read: {error}. "
                        "Put the genres.json that belongs to the corpus into the download folder."
                    ) from error
                writer.writerow([movie_id, "", genres, document.description])
                progress.advance()
        progress.finish()
        return {"documents": len(positions), "repeated_documents": n_repeated}

    genres_file = [paths.downloaded_genres] if paths.downloaded_genres.is_file() else []
    return run_stage(_stage(paths, "extract_movies", (paths.corpus_csv,), corpus, *genres_file), build)


def import_conllu(paths: DataPaths, corpus: Path) -> StageResult:
    """Make a foreign corpus the annotation of the cleaned movies, in `paths.conllu` and its companion.

    It has the name of the annotate stage, so that either's result replaces the other's; its config is `{"pipeline":
    "imported"}`. Both files have the movies, the order and the genres of the cleaned table.

    Returns:
        Counts: `documents`, `sentences`, `tokens` and `empty_documents` as in the annotate stage (movies that are
        not in the corpus are empty), `unknown_documents` (of movies that are not in the table),
        `repeated_documents`.

    Raises:
        DataError: the corpus is missing or damaged, the table is, or they have no movie in common.
    """

    def build(folder: Path) -> Mapping[str, int]:
        height = check_movies(paths.movies)
        positions, n_repeated = find_documents(corpus)
        movies = pl.read_parquet(paths.movies, columns=["movie_id", "genres"])
        n_known = len(positions.keys() & set(movies["movie_id"]))
        if not n_known:
            raise DataError(f"{corpus} has no movie of {paths.movies}. Import the table that belongs to it.")
        counts = Counter(documents=height, repeated_documents=n_repeated, unknown_documents=len(positions) - n_known)
        progress = Progress("import corpus", height)
        rows = movies.iter_rows()
        with (
            (folder / paths.conllu.name).open("w", encoding="utf-8", newline="\n") as file,
            open_companion(folder / paths.tokens.name) as append_rows,
        ):
            while batch := list(islice(rows, BATCH)):
                ids, genres = map(list, zip(*batch, strict=True))
                annotated = [
                    read_document(corpus, positions[movie_id]).sentences if movie_id in positions else []
                    for movie_id in ids
                ]
                file.writelines(map(format_document, ids, genres, annotated))
                table, of_batch = companion_rows(ids, genres, annotated)
                append_rows(table)
                counts.update(of_batch)
                progress.advance(len(batch))
        progress.finish()
        if counts["empty_documents"]:
            logger.warning("annotate: the corpus has no words for %d movies", counts["empty_documents"])
        return counts

    return run_stage(_stage(paths, "annotate", (paths.conllu, paths.tokens), corpus, paths.movies), build)


def _stage(paths: DataPaths, name: str, outputs: tuple[Path, ...], *inputs: Path) -> Stage:
    if not inputs[0].is_file():
        raise DataError(f"{inputs[0]} does not exist. Download it first, or correct the path.")
    return Stage(
        name=name,
        folder=paths.conllu.parent,
        outputs=tuple(path.name for path in outputs),
        inputs=inputs,
        config={"pipeline": IMPORTED},
        code=(Path(__file__),),
        packages=("pyarrow",),
    )
