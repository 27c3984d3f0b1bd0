"""A corpus that was annotated elsewhere, taken as the annotate stage's result. Owns the two stages of the import."""

import csv
import logging
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property, lru_cache, partial
from itertools import islice
from pathlib import Path
from typing import Final, NamedTuple

import polars as pl
import pyarrow as pa

from tasks.annotate.conllu import COLUMNS, format_document, join_forms
from tasks.annotate.corpus import CompanionWriter, check_movies, companion_schema
from tasks.core.errors import DataError
from tasks.core.language import Token, normalise_text
from tasks.core.logs import Progress
from tasks.core.parsing import parse_genres, read_genre_names
from tasks.core.settings import DataPaths
from tasks.stage import Stage, StageResult, run_stage

# CoNLL-U as other programs write it, one document a movie. Owns reading it; knows no stage and no table.
#
# A document begins with `# movie_id = ...` (the earlier system) or `# newdoc id = ...` (ours, and the specification's).
# Its genres are in the comment `# genre = ...`. Ranges of tokens, empty nodes, character offsets and blank lines in any
# number are understood; the words come out as `tasks.core.language` would give them.
#
# Source: https://universaldependencies.org/format.html


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


logger = logging.getLogger(__name__)

IMPORTED: Final = "imported"  # in place of a pipeline's name: nobody knows how to make such lemmas of a new text
BATCH: Final = 500  # movies whose words are in memory at once
_NOTHING: Final = ForeignDocument()


def extract_movies(paths: DataPaths, corpus: Path) -> StageResult:
    """Write the movies of a foreign corpus to `paths.corpus_csv`, for the clean room to import.

    For users who have the annotated corpus only. The names of the movies are not in it and stay empty.

    Returns:
        Counts: `documents`, `repeated_documents`.

    Raises:
        DataError: the corpus is missing or damaged, or its genres cannot be read.
    """

    def build(folder: Path) -> Mapping[str, int]:
        names = read_genre_names(paths.downloaded_genres)
        places, n_repeated = find_documents(corpus)
        progress = Progress("movies of the corpus", len(places))
        with (folder / paths.corpus_csv.name).open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(["movie_id", "movie_name", "genre", "description"])
            for movie_id, place in places.items():
                document = read_document(corpus, place)
                genres = _genres(corpus, place, document, names)
                writer.writerow([movie_id, "", genres, document.description])
                progress.advance()
        progress.finish()
        return {"documents": len(places), "repeated_documents": n_repeated}

    return run_stage(_stage(paths, "extract_movies", (paths.corpus_csv.name,), corpus), build)


def import_conllu(paths: DataPaths, corpus: Path) -> StageResult:
    """Make a foreign corpus the annotation of the cleaned movies, in `paths.conllu` and its companion.

    It stands in for the annotate stage under the same name, so that either's result replaces the other's; its config
    says `{"pipeline": "imported"}`. Both files have the movies, the order and the genres of the cleaned table.

    Returns:
        Counts: `documents`, `sentences`, `tokens` and `empty_documents` as in the annotate stage (movies that the
        corpus lacks are empty), `unknown_documents` (of movies that the table lacks), `repeated_documents`.

    Raises:
        DataError: the corpus is missing or damaged, the table is, or they have no movie in common.
    """
    stage = _stage(paths, "annotate", (paths.conllu.name, paths.tokens.name), corpus, paths.movies)
    return run_stage(stage, partial(_build, paths, corpus))


def _stage(paths: DataPaths, name: str, outputs: tuple[str, ...], corpus: Path, *more: Path) -> Stage:
    if not corpus.is_file():
        raise DataError(f"{corpus} does not exist. Download it first, or correct the path.")
    if not more and paths.downloaded_genres.is_file():
        more = (paths.downloaded_genres,)
    return Stage(
        name=name,
        folder=paths.conllu.parent,
        outputs=outputs,
        inputs=(corpus, *more),
        config={"pipeline": IMPORTED},
        code=(Path(__file__),),
        packages=("pyarrow",),
    )


def _build(paths: DataPaths, corpus: Path, folder: Path) -> Mapping[str, int]:
    height = check_movies(paths.movies)
    places, n_repeated = find_documents(corpus)
    movies = pl.read_parquet(paths.movies, columns=["movie_id", "genres"])
    n_known = len(places.keys() & set(movies["movie_id"]))
    if not n_known:
        raise DataError(f"{corpus} has no movie of {paths.movies}. Import the table that belongs to it.")
    counts = Counter(documents=height, repeated_documents=n_repeated, unknown_documents=len(places) - n_known)
    progress = Progress("import corpus", height)
    rows = movies.iter_rows()
    with (
        (folder / paths.conllu.name).open("w", encoding="utf-8", newline="\n") as file,
        CompanionWriter(folder / paths.tokens.name) as companion,
    ):
        while batch := list(islice(rows, BATCH)):
            documents = list(_documents(corpus, places, [movie_id for movie_id, _ in batch]))
            for (movie_id, genres), document in zip(batch, documents, strict=True):
                file.write(format_document(movie_id, genres, document.sentences))
            companion.append(_companion(batch, documents, counts))
            progress.advance(len(batch))
    progress.finish()
    if counts["empty_documents"]:
        logger.warning("annotate: the corpus has no word of %d movies", counts["empty_documents"])
    return counts


def _documents(corpus: Path, places: Mapping[str, Place], movie_ids: list[str]) -> Iterator[ForeignDocument]:
    for movie_id in movie_ids:
        yield read_document(corpus, places[movie_id]) if movie_id in places else _NOTHING


def _companion(batch: list[tuple[str, list[str]]], documents: list[ForeignDocument], counts: Counter[str]) -> pa.Table:
    """Return the rows of the companion for a batch of movies, and count what is in them."""
    tokens = [[token for sentence in document.sentences for token in sentence] for document in documents]
    n_sentences = [len(document.sentences) for document in documents]
    counts.update(sentences=sum(n_sentences), tokens=sum(map(len, tokens)), empty_documents=n_sentences.count(0))
    forms = [[token.form for token in of_movie] for of_movie in tokens]
    lemmas = [[token.lemma for token in of_movie] for of_movie in tokens]
    ids, genres = map(list, zip(*batch, strict=True))
    return pa.table([ids, genres, forms, lemmas, n_sentences], schema=companion_schema())


def _genres(corpus: Path, place: Place, document: ForeignDocument, names: tuple[str, ...]) -> str:
    try:
        return ", ".join(parse_genres(document.genres, names))
    except ValueError as error:
        raise DataError(
            f"{corpus}, line {place.line}: the genres {document.genres[:80]!r} cannot be read: {error}. Put the "
            "genres.json that belongs to the corpus into the download folder."
        ) from error
