"""The whole corpus of the real listings, judged by others' tools."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import conllu
import polars as pl
import pytest

from tasks.annotate.corpus import AnnotateConfig, annotate_movies
from tasks.clean.movies import clean_movies
from tasks.clean.profiles import CleanConfig
from tasks.core.settings import DataPaths

JUDGED = 1000  # movies from all over the corpus, whose validation takes seconds; all of them take minutes


@pytest.fixture(scope="module")
def corpus(real_listings: Path, tmp_path_factory: pytest.TempPathFactory) -> DataPaths:
    """The real listings, cleaned and annotated."""
    paths = DataPaths(tmp_path_factory.mktemp("data"))
    paths.raw.symlink_to(real_listings)
    clean_movies(paths, CleanConfig())
    annotate_movies(paths, AnnotateConfig(), 1)
    return paths


@pytest.mark.parametrize("level", [1, 2])
def test_the_validator_of_universal_dependencies_finds_no_fault(
    level: int, corpus: DataPaths, validate: Callable[[str, int], list[str]]
) -> None:
    documents = corpus.conllu.read_text(encoding="utf-8").split("\n\n# newdoc")
    assert validate("\n\n# newdoc".join(documents[:: len(documents) // JUDGED]) + "\n\n", level) == []


def test_corpus_and_companion_say_the_same(corpus: DataPaths, read_corpus: Callable[[Path], list[Any]]) -> None:
    table = pl.read_parquet(corpus.tokens).filter(pl.col("n_sentences") > 0)
    documents = read_corpus(corpus.conllu)
    for (movie_id, genres, tokens, lemmas, _), document in zip(table.iter_rows(), documents, strict=True):
        assert (document.movie_id, document.genres) == (movie_id, genres)
        assert (document.forms, document.lemmas) == (tokens, lemmas)


def test_the_package_conllu_writes_the_same_bytes(corpus: DataPaths) -> None:
    content = corpus.conllu.read_text(encoding="utf-8")[:2_000_000]
    content = content[: content.rindex("\n\n") + 2]
    assert "".join(sentence.serialize() for sentence in conllu.parse(content)) == content
