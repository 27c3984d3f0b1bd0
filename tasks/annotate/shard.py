"""One shard of the movies, annotated: text in and files out, so that processes exchange names and counts only.

Owns what is counted and the content of the companion; knows no other shard and no process.
"""

import gc
import os
import platform
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, NamedTuple

import polars as pl
import pyarrow as pa

from tasks.annotate.companion import companion_schema
from tasks.annotate.conllu import format_document
from tasks.language import Pipeline, annotator, normalise_text

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
