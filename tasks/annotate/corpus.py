"""From the cleaned movies to the corpus and its companion. Owns the stage: its shards, their order, the counts."""

import logging
import shutil
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

import polars as pl

from tasks import schema
from tasks.annotate.companion import CompanionWriter
from tasks.annotate.config import AnnotateConfig
from tasks.annotate.shard import READ_COLUMNS, Shard, annotate_shard, read_companion
from tasks.cluster import spread
from tasks.errors import ConfigError, DataError
from tasks.paths import DataPaths
from tasks.progress import Progress
from tasks.stage import Stage, StageResult, run_stage

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
    return run_stage(stage, partial(_build, paths, config, partial(spread, workers=workers, address=dask_address)))


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
