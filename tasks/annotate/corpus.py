"""From the cleaned movies to the corpus and its companion. Owns the stage: its shards, their order, the counts."""

import gc
import logging
import os
import platform
import shutil
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Final, NamedTuple, Self

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from tasks.annotate.config import AnnotateConfig
from tasks.annotate.conllu import format_document
from tasks.core import schema
from tasks.core.errors import ConfigError, DataError
from tasks.core.language import Pipeline, annotator, normalise_text
from tasks.core.logs import Progress
from tasks.core.parallel import map_parallel
from tasks.core.settings import DataPaths
from tasks.stage import Stage, StageResult, run_stage

ROW_GROUP: Final = 20_000  # rows; what a reader has in memory at once


def companion_schema() -> pa.Schema:
    """Return `schema.TOKENS` as an Arrow schema."""
    return pl.DataFrame(schema=schema.TOKENS).to_arrow().schema


class CompanionWriter:
    """Writes the companion to parquet. Its bytes depend on the rows, not on the pieces in which they came."""

    def __init__(self, path: Path) -> None:
        self._writer = pq.ParquetWriter(path, companion_schema(), compression="zstd")
        self._waiting = companion_schema().empty_table()

    def __enter__(self) -> Self:
        return self

    def append(self, rows: pa.Table) -> None:
        """Add rows; they are written as soon as they fill a row group."""
        self._waiting = pa.concat_tables([self._waiting, rows])
        while self._waiting.num_rows >= ROW_GROUP:
            self._write(self._waiting.slice(0, ROW_GROUP))
            self._waiting = self._waiting.slice(ROW_GROUP)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None and self._waiting.num_rows:
            self._write(self._waiting)
        self._writer.close()

    def _write(self, rows: pa.Table) -> None:
        # One piece each: the encoder begins a page anew with every piece that it is given.
        self._writer.write_table(rows.combine_chunks(), row_group_size=ROW_GROUP)


# One shard of the movies, annotated: text in and files out, so that processes exchange names and counts only.
#
# Owns what is counted and the content of the companion; knows no other shard and no process.


READ_COLUMNS: Final = ("movie_id", "description", "genres")


class Shard(NamedTuple):
    """Consecutive movies of the cleaned table, and where their annotation goes."""

    movies: Path  # schema.MOVIES
    start: int
    length: int
    folder: Path
    pipeline: Pipeline

    @property
    def conllu(self) -> Path:
        """Their part of the corpus."""
        return self.folder / f"{self.start}.conllu"

    @property
    def companion(self) -> Path:
        """Their rows of the companion (`schema.TOKENS`), as Arrow IPC."""
        return self.folder / f"{self.start}.arrow"


@contextmanager
def paused_collector() -> Iterator[None]:
    """Keep Python from looking for cycles, of which annotating makes none: a fifth of its time."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


@contextmanager
def _renamed(path: Path) -> Iterator[Path]:
    """Write under a name of this process, then rename: a worker that was given up may write the same shard again."""
    own = path.with_name(f"{path.name}-{platform.node()}-{os.getpid()}")
    yield own
    own.replace(path)


@paused_collector()
def annotate_shard(shard: Shard) -> Counter[str]:
    """Write the shard's part of the corpus and of the companion and return counts.

    A movie whose description is null, or empty when normalised, has no sentence in the corpus and empty lists in the
    companion, and is counted in `empty_documents`. `normalised_documents` counts the descriptions that normalising
    changed.
    """
    movies = pl.scan_parquet(shard.movies).slice(shard.start, shard.length).select(READ_COLUMNS).collect()
    ids, descriptions, genres = (movies[column].to_list() for column in READ_COLUMNS)
    texts = [normalise_text(description or "") for description in descriptions]
    annotated = list(annotator(shard.pipeline).sentences(texts))
    with _renamed(shard.conllu) as path, path.open("w", encoding="utf-8", newline="\n") as file:
        file.writelines(map(format_document, ids, genres, annotated))
    forms = [[token.form for sentence in sentences for token in sentence] for sentences in annotated]
    lemmas = [[token.lemma for sentence in sentences for token in sentence] for sentences in annotated]
    n_sentences = list(map(len, annotated))
    rows = pa.table([ids, genres, forms, lemmas, n_sentences], schema=companion_schema())
    with _renamed(shard.companion) as path, pa.ipc.new_file(path, rows.schema) as file:
        file.write_table(rows)
    return Counter(
        documents=len(ids),
        sentences=sum(n_sentences),
        tokens=sum(map(len, forms)),
        empty_documents=n_sentences.count(0),
        normalised_documents=sum(map(str.__ne__, texts, [description or "" for description in descriptions])),
    )


def read_companion(shard: Shard) -> pa.Table:
    """Return the rows that `annotate_shard` wrote, independent of their file."""
    with pa.ipc.open_file(shard.companion.read_bytes()) as file:
        return file.read_all()


logger = logging.getLogger(__name__)

MapShards = Callable[[Callable[[Shard], Counter[str]], Sequence[Shard]], Iterator[Counter[str]]]


def annotate_movies(
    paths: DataPaths, config: AnnotateConfig, workers: int, dask_address: str | None = None
) -> StageResult:
    """Bring the CoNLL-U corpus and its companion up to date with the cleaned movies.

    Both keep the order of the movies and are the same, byte for byte, for any number of workers and any shard size.

    Args:
        paths: the data folder.
        config: what gives the lemmas, and how large a shard is.
        workers: processes on this machine.
        dask_address: of a scheduler on whose workers the shards are annotated instead.

    Returns:
        Counts of `documents`, `sentences`, `tokens`, `empty_documents` (no sentence in the corpus, empty lists in the
        companion) and `normalised_documents` (descriptions changed by `language.normalise_text`).

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
        packages=("spacy", config.pipeline, "pyarrow"),  # a pipeline bears the name of its package
    )
    return run_stage(
        stage, partial(_build, paths, config, partial(map_parallel, workers=workers, address=dask_address))
    )


def _build(paths: DataPaths, config: AnnotateConfig, map_shards: MapShards, folder: Path) -> Counter[str]:
    height = check_movies(paths.movies)
    shard_folder = folder / "shards"
    shard_folder.mkdir()
    shards = [
        Shard(paths.movies, start, min(config.shard_size, height - start), shard_folder, config.pipeline)
        for start in range(0, height, config.shard_size)
    ]
    counts: Counter[str] = Counter()
    progress = Progress("annotate", height)
    with (folder / paths.conllu.name).open("wb") as corpus, CompanionWriter(folder / paths.tokens.name) as companion:
        for shard, of_shard in zip(shards, map_shards(annotate_shard, shards), strict=True):
            with shard.conllu.open("rb") as part:
                shutil.copyfileobj(part, corpus, 1 << 20)
            companion.append(read_companion(shard))
            shard.conllu.unlink()
            shard.companion.unlink()
            counts.update(of_shard)
            progress.advance(shard.length)
    progress.finish()
    if counts["empty_documents"]:
        logger.warning("annotate: %d movies have no text and no sentence in the corpus", counts["empty_documents"])
    return counts


def check_movies(path: Path) -> int:
    """Return the number of movies, after making sure that they can be annotated as they are.

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
        raise DataError(f"{path} is no readable parquet file ({error}): {again}") from error
    if ids.is_empty():
        raise DataError(f"{path} has no movie: look at what the cleaning stage dropped")
    if without_genres:
        raise DataError(f"{path}: {without_genres} movies have null for genres: {again}")
    _check_ids(path, ids)
    return len(ids)


def _check_ids(path: Path, ids: pl.Series) -> None:
    unusable = ids.filter(~ids.str.contains(schema.MOVIE_ID_PATTERN).fill_null(value=False))
    if not unusable.is_empty():
        raise DataError(
            f"{path}: {len(unusable)} movie ids are not made of letters, digits and _.:- only, the first is "
            f"{unusable[0]!r}: mend it in the raw listings"
        )
    disordered = ids.filter((ids <= ids.shift()).fill_null(value=False))
    if not disordered.is_empty():
        raise DataError(
            f"{path}: movie ids must be distinct and ascending, {disordered[0]!r} is not: run the cleaning stage again"
        )
