"""A corpus that was annotated elsewhere, taken as the annotate stage's result. Owns the two stages of the import."""

import csv
import logging
from collections import Counter
from collections.abc import Iterator, Mapping
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Final

import polars as pl
import pyarrow as pa

from tasks.annotate.companion import CompanionWriter, companion_schema
from tasks.annotate.conllu import format_document
from tasks.annotate.corpus import check_movies
from tasks.annotate.foreign_conllu import ForeignDocument, Place, find_documents, read_document
from tasks.errors import DataError
from tasks.genre_lists import parse_genres, read_genre_names
from tasks.paths import DataPaths
from tasks.progress import Progress
from tasks.stage import Stage, StageResult, run_stage

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
