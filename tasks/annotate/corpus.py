"""The annotate stage: from the cleaned movies to the corpus and its companion, in shards and several processes."""

import gc
import logging
import os
import platform
import shutil
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final, NamedTuple

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from tasks.annotate.config import AnnotateConfig
from tasks.annotate.conllu import format_document
from tasks.core import schema
from tasks.core.errors import ConfigError, DataError
from tasks.core.language import Pipeline, Token, annotator, normalise_text
from tasks.core.logs import Progress
from tasks.core.parallel import map_in_order
from tasks.core.settings import DataPaths
from tasks.stage import Stage, StageResult, run_stage

logger = logging.getLogger(__name__)

ROW_GROUP: Final = 20_000  # rows; what a reader has in memory at once
READ_COLUMNS: Final = ("movie_id", "description", "genres")

Sentences = Sequence[Sequence[Token]]


def companion_rows(
    ids: Sequence[str], genres: Sequence[Sequence[str]], annotated: Sequence[Sentences]
) -> tuple[pa.Table, Counter[str]]:
    """Return rows of the companion (`schema.TOKENS`), and their counts: `sentences`, `tokens`, `empty_documents`."""
    tokens = [[token for sentence in sentences for token in sentence] for sentences in annotated]
    forms = [[token.form for token in of_movie] for of_movie in tokens]
    lemmas = [[token.lemma for token in of_movie] for of_movie in tokens]
    n_sentences = list(map(len, annotated))
    rows = pa.table([ids, genres, forms, lemmas, n_sentences], schema=_companion_schema())
    counts = Counter(sentences=sum(n_sentences), tokens=sum(map(len, tokens)), empty_documents=n_sentences.count(0))
    return rows, counts


def _companion_schema() -> pa.Schema:
    return pl.DataFrame(schema=schema.TOKENS).to_arrow().schema


@contextmanager
def open_companion(path: Path) -> Iterator[Callable[[pa.Table], None]]:
    """Yield a function that appends rows to a new companion, with the same bytes for any division into tables."""
    waiting = _companion_schema().empty_table()
    with pq.ParquetWriter(path, waiting.schema, compression="zstd") as writer:

        def write(rows: pa.Table) -> None:
            # One chunk: the encoder would begin a page with every chunk.
            writer.write_table(rows.combine_chunks(), row_group_size=ROW_GROUP)

        def append(rows: pa.Table) -> None:
            nonlocal waiting
            waiting = pa.concat_tables([waiting, rows])
            while waiting.num_rows >= ROW_GROUP:
                write(waiting.slice(0, ROW_GROUP))
                waiting = waiting.slice(ROW_GROUP)

        yield append
        if waiting.num_rows:
            write(waiting)


class Shard(NamedTuple):
    """Consecutive movies of the cleaned table. Processes exchange only shards and counts; texts stay in files."""

    movies: Path  # schema.MOVIES
    start: int
    length: int
    folder: Path
    pipeline: Pipeline

    @property
    def conllu(self) -> Path:
        """Its part of the corpus."""
        return self.folder / f"{self.start}.conllu"

    @property
    def companion(self) -> Path:
        """Its rows of the companion, as Arrow IPC."""
        return self.folder / f"{self.start}.arrow"


@contextmanager
def _paused_collector() -> Iterator[None]:
    """Turn off Python's search for reference cycles: a fifth of the time, and annotating makes none."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


@contextmanager
def _renamed(path: Path) -> Iterator[Path]:
    """Write under a name of this process, then rename: a worker believed dead may still write the same shard."""
    own = path.with_name(f"{path.name}-{platform.node()}-{os.getpid()}")
    yield own
    own.replace(path)


@_paused_collector()
def annotate_shard(shard: Shard) -> Counter[str]:
    """Write the shard's parts of the corpus and of the companion, and return its counts as in `annotate_movies`."""
    movies = pl.scan_parquet(shard.movies).slice(shard.start, shard.length).select(READ_COLUMNS).collect()
    ids, descriptions, genres = (movies[column].to_list() for column in READ_COLUMNS)
    originals = [description or "" for description in descriptions]
    texts = list(map(normalise_text, originals))
    annotated = list(annotator(shard.pipeline).sentences(texts))
    with _renamed(shard.conllu) as path, path.open("w", encoding="utf-8", newline="\n") as file:
        file.writelines(map(format_document, ids, genres, annotated))
    rows, counts = companion_rows(ids, genres, annotated)
    with _renamed(shard.companion) as path, pa.ipc.new_file(path, rows.schema) as file:
        file.write_table(rows)
    counts.update(documents=len(ids), normalised_documents=sum(map(str.__ne__, texts, originals)))
    return counts


def annotate_movies(
    paths: DataPaths, config: AnnotateConfig, workers: int, dask_address: str | None = None
) -> StageResult:
    """Bring the CoNLL-U corpus and its companion up to date with the cleaned movies.

    Both keep the order of the movies and are the same, byte for byte, for any number of workers and any shard size.
    With `dask_address`, the workers of that scheduler annotate the shards instead.

    Returns:
        Counts of `documents`, `sentences`, `tokens`, `empty_documents` (null or empty when normalised: no sentence
        in the corpus, empty lists in the companion) and `normalised_documents` (changed by
        `language.normalise_text`).

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
    stage = Stage(
        name="annotate",
        folder=paths.conllu.parent,
        outputs=(paths.conllu.name, paths.tokens.name),
        inputs=(paths.movies,),
        config={"pipeline": config.pipeline},
        code=(Path(__file__),),
        packages=("spacy", config.pipeline, "pyarrow"),  # a pipeline has the name of its package
    )

    def build(folder: Path) -> Counter[str]:
        height = check_movies(paths.movies)
        shard_folder = folder / "shards"
        shard_folder.mkdir()
        shards = [
            Shard(paths.movies, start, min(config.shard_size, height - start), shard_folder, config.pipeline)
            for start in range(0, height, config.shard_size)
        ]
        counts: Counter[str] = Counter()
        progress = Progress("annotate", height)
        with (
            (folder / paths.conllu.name).open("wb") as corpus,
            open_companion(folder / paths.tokens.name) as append_rows,
        ):
            counts_of_shards = map_in_order(annotate_shard, shards, workers=workers, address=dask_address)
            for shard, of_shard in zip(shards, counts_of_shards, strict=True):
                with shard.conllu.open("rb") as piece:
                    shutil.copyfileobj(piece, corpus, 1 << 20)
                with pa.ipc.open_file(shard.companion.read_bytes()) as rows:
                    append_rows(rows.read_all())
                shard.conllu.unlink()
                shard.companion.unlink()
                counts.update(of_shard)
                progress.advance(shard.length)
        progress.finish()
        if counts["empty_documents"]:
            logger.warning("annotate: %d movies have no text and no sentence in the corpus", counts["empty_documents"])
        return counts

    return run_stage(stage, build)


def check_movies(path: Path) -> int:
    """Return the number of movies, after checking that they can be annotated.

    Raises:
        DataError: the table is unreadable, empty, without a needed column, or not sorted by distinct, usable ids.
    """
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
