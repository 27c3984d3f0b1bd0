"""The annotate stage: the corpus and its companion, from the cleaned movies or a corpus of another program."""

import csv
import gc
import logging
import os
import platform
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache
from itertools import islice
from pathlib import Path
from typing import Final, NamedTuple

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import BaseModel, Field

from tasks.annotate.conllu import find_documents, format_document, read_document
from tasks.core import schema
from tasks.core.errors import ConfigError, DataError
from tasks.core.language import Pipeline, Token, annotator, normalise_text
from tasks.core.logs import Progress
from tasks.core.schema import parse_genres, read_genre_names
from tasks.core.settings import DataPaths
from tasks.stage import Stage, StageResult, run_stage

logger = logging.getLogger(__name__)

ROW_GROUP: Final = 20_000  # rows; what a reader has in memory at once
BATCH: Final = 500  # movies in memory at once during an import
IMPORTED: Final = "imported"  # in place of a pipeline's name: such lemmas cannot be made for a new text
READ_COLUMNS: Final = ("movie_id", "description", "genres")


@cache
def companion_schema() -> pa.Schema:
    """Return the schema of the corpus as a table; not at import, since polars' threads do not survive a fork."""
    return pl.DataFrame(schema=schema.TOKENS).to_arrow().schema


class AnnotateConfig(BaseModel, frozen=True, extra="forbid"):
    """How to annotate."""

    pipeline: Pipeline = Field(
        "simplemma", description="Source of the lemmas; en_core_web_sm also adds tags, if it is installed."
    )
    shard_size: int = Field(5_000, ge=1, description="Movies per task of a worker; does not change the result.")


class Piece(NamedTuple):
    """Some documents of the corpus."""

    conllu: bytes
    rows: pa.Table  # of the companion, `schema.TOKENS`
    counts: Counter[str]  # `sentences`, `tokens`, `empty_documents`


def make_piece(
    ids: Sequence[str], genres: Sequence[Sequence[str]], annotated: Sequence[Sequence[Sequence[Token]]]
) -> Piece:
    """Return the documents of some movies from their annotated sentences."""
    forms = [[token.form for sentence in sentences for token in sentence] for sentences in annotated]
    lemmas = [[token.lemma for sentence in sentences for token in sentence] for sentences in annotated]
    n_sentences = list(map(len, annotated))
    rows = pa.table([ids, genres, forms, lemmas, n_sentences], schema=companion_schema())
    counts = Counter(sentences=sum(n_sentences), tokens=sum(map(len, forms)), empty_documents=n_sentences.count(0))
    return Piece("".join(map(format_document, ids, genres, annotated)).encode(), rows, counts)


def write_pieces(pieces: Iterable[Piece], paths: DataPaths, folder: Path, progress: Progress) -> Counter[str]:
    """Write the corpus and its companion, with the same bytes for any division into pieces; return the counts."""
    counts: Counter[str] = Counter()
    waiting = companion_schema().empty_table()
    with (
        (folder / paths.conllu.name).open("wb") as corpus,
        pq.ParquetWriter(folder / paths.tokens.name, waiting.schema, compression="zstd") as companion,
    ):

        def write_rows(rows: pa.Table, at_least: int) -> pa.Table:
            while rows.num_rows >= at_least:  # one chunk each: the encoder would begin a page with every chunk
                companion.write_table(rows.slice(0, ROW_GROUP).combine_chunks(), row_group_size=ROW_GROUP)
                rows = rows.slice(ROW_GROUP)
            return rows

        for piece in pieces:
            corpus.write(piece.conllu)
            waiting = write_rows(pa.concat_tables([waiting, piece.rows]), ROW_GROUP)
            counts.update(piece.counts)
            progress.advance(piece.rows.num_rows)
        write_rows(waiting, 1)
    progress.finish()
    return counts


class Shard(NamedTuple):
    """Consecutive movies of the cleaned table. Processes exchange only shards and counts; texts stay in files."""

    movies: Path  # schema.MOVIES
    start: int
    length: int
    folder: Path
    pipeline: Pipeline

    def file(self, kind: str) -> Path:
        """Its part of the corpus (`conllu`), or its rows of the companion as Arrow IPC (`arrow`)."""
        return self.folder / f"{self.start}.{kind}"


def annotate_shard(shard: Shard) -> Counter[str]:
    """Write the shard's parts of the corpus and of the companion, and return its counts as in `annotate_movies`."""
    movies = pl.scan_parquet(shard.movies).slice(shard.start, shard.length).select(READ_COLUMNS).collect()
    ids, originals, genres = (movies[column].to_list() for column in READ_COLUMNS)
    texts = [normalise_text(original or "") for original in originals]
    was_enabled = gc.isenabled()
    gc.disable()  # the search for reference cycles takes a fifth of the time, and annotating makes none
    try:
        piece = make_piece(ids, genres, list(annotator(shard.pipeline).sentences(texts)))
    finally:
        if was_enabled:
            gc.enable()
    # Under names of this process, then renamed: a worker believed dead may still write the same shard.
    own = shard.folder / f"{shard.start}-{platform.node()}-{os.getpid()}"
    own.write_bytes(piece.conllu)
    own.replace(shard.file("conllu"))
    with pa.ipc.new_file(own, piece.rows.schema) as file:
        file.write_table(piece.rows)
    own.replace(shard.file("arrow"))
    n_normalised = sum(text != (original or "") for text, original in zip(texts, originals, strict=True))
    piece.counts.update(documents=len(ids), normalised_documents=n_normalised)
    return piece.counts


def annotate_movies(
    paths: DataPaths, config: AnnotateConfig, workers: int, dask_address: str | None = None
) -> StageResult:
    """Bring the CoNLL-U corpus and its companion up to date with the cleaned movies, in their order.

    The bytes do not depend on the number of workers, which with `dask_address` are those of that scheduler.

    Returns:
        Counts of `documents`, `sentences`, `tokens`, `empty_documents` (no sentence in the corpus, empty lists in the
        companion) and `normalised_documents` (changed by `language.normalise_text`).

    Raises:
        ConfigError: fewer than one worker.
        DataError: the movies are missing, empty, without a needed column, or not sorted by distinct, usable ids.
        ModelError: the chosen pipeline is not installed.
        WorkerError: a worker process died.
    """
    if workers < 1:
        raise ConfigError(f"annotation needs at least one worker, got {workers}")
    if not paths.movies.is_file():
        raise DataError(f"{paths.movies} is missing: run the cleaning stage first")
    stage = _stage(paths, "annotate", (paths.conllu, paths.tokens), (paths.movies,), config.pipeline)

    def build(folder: Path) -> Counter[str]:
        from tasks.core.parallel import map_in_order  # noqa: PLC0415 - loads joblib, which `--help` does not need

        height = check_movies(paths.movies)
        shard_folder = folder / "shards"
        shard_folder.mkdir()
        shards = [
            Shard(paths.movies, start, min(config.shard_size, height - start), shard_folder, config.pipeline)
            for start in range(0, height, config.shard_size)
        ]
        counts_of_shards = map_in_order(annotate_shard, shards, workers=workers, address=dask_address)

        def read() -> Iterator[Piece]:
            for shard, counts in zip(shards, counts_of_shards, strict=True):
                with pa.ipc.open_file(shard.file("arrow").read_bytes()) as rows:
                    yield Piece(shard.file("conllu").read_bytes(), rows.read_all(), counts)
                shard.file("conllu").unlink()
                shard.file("arrow").unlink()

        counts = write_pieces(read(), paths, folder, Progress("annotate", height))
        if counts["empty_documents"]:
            logger.warning("annotate: %d movies have no text and no sentence in the corpus", counts["empty_documents"])
        return counts

    return run_stage(stage, build)


def check_movies(path: Path) -> int:
    """Return the number of movies, after checking that they can be annotated."""
    again = "run the cleaning stage again"
    try:
        found = pl.read_parquet_schema(path)
        for column in READ_COLUMNS:
            kind = schema.MOVIES[column]
            if found.get(column) != kind:
                raise DataError(f"{path}: expected {kind} as column {column!r}, found {found.get(column)}: {again}")
        ids = pl.read_parquet(path, columns=["movie_id"]).to_series()
        without_genres = pl.scan_parquet(path).select(pl.col("genres").null_count()).collect().item()
    except (pl.exceptions.PolarsError, OSError) as error:
        raise DataError(f"{path} is not a readable parquet file ({error}): {again}") from error
    if ids.is_empty():
        raise DataError(f"{path} has no movie: look at what the cleaning stage dropped")
    if without_genres:
        raise DataError(f"{path}: {without_genres} movies have null for genres: {again}")
    unusable = ids.filter(~ids.str.contains(schema.MOVIE_ID_PATTERN).fill_null(value=False))
    if not unusable.is_empty():
        raise DataError(
            f"{path}: {len(unusable)} movie ids have other characters than letters, digits and _.:-, the first is "
            f"{unusable[0]!r}: fix it in the raw listings"
        )
    disordered = ids.filter((ids <= ids.shift()).fill_null(value=False))
    if not disordered.is_empty():
        raise DataError(f"{path}: movie ids must be distinct and ascending, {disordered[0]!r} is not: {again}")
    return len(ids)


def extract_movies(paths: DataPaths, corpus: Path) -> StageResult:
    """Write the movies of a foreign corpus, without names, to `paths.corpus_csv`, for the clean stage to import."""

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
    return run_stage(_stage(paths, "extract_movies", (paths.corpus_csv,), (corpus, *genres_file)), build)


def import_conllu(paths: DataPaths, corpus: Path) -> StageResult:
    """Make a foreign corpus the annotation of the cleaned movies, in `paths.conllu` and its companion.

    It has the name of the annotate stage, so that either's result replaces the other's. Both files have the movies,
    the order and the genres of the cleaned table.

    Returns:
        Counts: `documents`, `sentences`, `tokens` and `empty_documents` as in the annotate stage (movies that are
        not in the corpus are empty), `unknown_documents` (not in the table), `repeated_documents`.
    """

    def build(folder: Path) -> Mapping[str, int]:
        height = check_movies(paths.movies)
        positions, n_repeated = find_documents(corpus)
        movies = pl.read_parquet(paths.movies, columns=["movie_id", "genres"])
        n_known = len(positions.keys() & set(movies["movie_id"]))
        if not n_known:
            raise DataError(f"{corpus} has no movie of {paths.movies}. Import the table that belongs to it.")
        counts = Counter(documents=height, repeated_documents=n_repeated, unknown_documents=len(positions) - n_known)
        movie_rows = movies.iter_rows()

        def read() -> Iterator[Piece]:
            while batch := list(islice(movie_rows, BATCH)):
                ids, genres = map(list, zip(*batch, strict=True))
                found = (positions.get(movie_id) for movie_id in ids)
                yield make_piece(ids, genres, [read_document(corpus, at).sentences if at else [] for at in found])

        counts.update(write_pieces(read(), paths, folder, Progress("import corpus", height)))
        if counts["empty_documents"]:
            logger.warning("annotate: the corpus has no words for %d movies", counts["empty_documents"])
        return counts

    return run_stage(_stage(paths, "annotate", (paths.conllu, paths.tokens), (corpus, paths.movies)), build)


def _stage(
    paths: DataPaths, name: str, outputs: tuple[Path, ...], inputs: tuple[Path, ...], pipeline: str = IMPORTED
) -> Stage:
    if pipeline == IMPORTED and not inputs[0].is_file():
        raise DataError(f"{inputs[0]} does not exist. Download it first, or correct the path.")
    packages = ("pyarrow",) if pipeline == IMPORTED else ("spacy", pipeline, "pyarrow")  # a pipeline is a package
    files = tuple(path.name for path in outputs)
    return Stage(name, paths.conllu.parent, files, inputs, {"pipeline": pipeline}, (Path(__file__),), packages)
