import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from tasks.annotate import corpus
from tasks.annotate.corpus import AnnotateConfig, annotate_movies
from tasks.core import schema
from tasks.core.errors import ConfigError, DataError, ModelError
from tasks.core.language import lemmatise, normalise_text
from tasks.core.settings import DataPaths

DESCRIPTIONS = (
    "A lighthouse keeper can't sleep. Who rings the bell?",
    "Two\u00a0sisters  open a cafe\u0301 in 東京!",
    "\u200b \ufeff",
    "Wolves. Snow... A well-known pilot flies on\nalone.",
    None,
    "The end",
    "“No!” she says",
)


def write_movies(paths: DataPaths, descriptions: tuple[str | None, ...] = DESCRIPTIONS, **columns: pl.Series) -> None:
    count = len(descriptions)
    movies = pl.DataFrame(
        {
            "movie_id": [f"tt{number:07}" for number in range(count)],
            "description": descriptions,
            "genres": [["Drama"], ["Comedy", "Family"]] * (count // 2) + [["War"]] * (count % 2),
        },
        schema_overrides={"description": pl.String, "genres": pl.List(pl.String), "movie_id": pl.String},
    ).with_columns(**columns)
    paths.clean.mkdir(parents=True, exist_ok=True)
    movies.write_parquet(paths.movies)


def outputs(paths: DataPaths) -> tuple[bytes, bytes]:
    return paths.conllu.read_bytes(), paths.tokens.read_bytes()


def test_corpus_and_companion_say_the_same_as_the_movies(
    paths: DataPaths, read_corpus: Callable[[Path], list[Any]]
) -> None:
    write_movies(paths)
    annotate_movies(paths, AnnotateConfig(), 1)
    table = pl.read_parquet(paths.tokens)
    assert table.schema == schema.TOKENS
    movies = pl.read_parquet(paths.movies)
    assert table.select("movie_id", "genres").equals(movies.select("movie_id", "genres"))
    texts = [text or "" for text in DESCRIPTIONS]
    assert table["lemmas"].to_list() == list(lemmatise(texts))
    documents = {document.movie_id: document for document in read_corpus(paths.conllu)}
    for row, text in zip(table.iter_rows(named=True), texts, strict=True):
        if document := documents.pop(row["movie_id"], None):
            assert document.text == normalise_text(text)
            assert document.genres == row["genres"]
            assert (document.forms, document.lemmas) == (row["tokens"], row["lemmas"])
            assert len(document.sentences) == row["n_sentences"]
        else:
            assert (row["tokens"], row["lemmas"], row["n_sentences"]) == ([], [], 0)
            assert normalise_text(text) == ""
    assert documents == {}


def test_counts(paths: DataPaths, caplog: pytest.LogCaptureFixture) -> None:
    write_movies(paths)
    result = annotate_movies(paths, AnnotateConfig(), 1)
    assert result.counts == {
        "documents": 7,
        "sentences": 8,
        "tokens": 41,
        "empty_documents": 2,
        "normalised_documents": 3,
    }
    assert "2 movies have no text" in caplog.text
    assert json.loads((paths.conllu.parent / "annotate.stage.json").read_text())["counts"] == result.counts


@pytest.mark.parametrize("n_shards", [1, 2, 8, 26])
def test_bytes_do_not_depend_on_the_number_of_shards(
    n_shards: int, paths: DataPaths, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(corpus, "ROW_GROUP", 4)
    write_movies(paths, (DESCRIPTIONS * 8)[:52])
    annotate_movies(paths, AnnotateConfig(shard_size=3), 1)
    expected = outputs(paths)
    (paths.conllu.parent / "annotate.stage.json").unlink()
    assert not annotate_movies(paths, AnnotateConfig(shard_size=math.ceil(52 / n_shards)), 1).skipped
    assert outputs(paths) == expected


def test_bytes_do_not_depend_on_the_number_of_workers(paths: DataPaths) -> None:
    write_movies(paths, DESCRIPTIONS * 20)
    annotate_movies(paths, AnnotateConfig(), 1)
    expected = outputs(paths)
    (paths.conllu.parent / "annotate.stage.json").unlink()
    assert not annotate_movies(paths, AnnotateConfig(shard_size=13), 2).skipped
    assert outputs(paths) == expected
    assert sorted(path.name for path in paths.conllu.parent.iterdir()) == [
        "annotate.stage.json", "movies.conllu", "movies.parquet",
    ]  # fmt: skip


def test_nothing_changed_nothing_done(paths: DataPaths) -> None:
    write_movies(paths)
    first = annotate_movies(paths, AnnotateConfig(), 1)
    again = annotate_movies(paths, AnnotateConfig(shard_size=2), 1)
    assert (first.skipped, again.skipped) == (False, True)
    assert again.counts == first.counts
    write_movies(paths, (*DESCRIPTIONS, "One more."))
    assert not annotate_movies(paths, AnnotateConfig(), 1).skipped


def test_missing_movies_are_reported(paths: DataPaths) -> None:
    with pytest.raises(DataError, match=r"movies\.parquet is missing: run the cleaning stage"):
        annotate_movies(paths, AnnotateConfig(), 1)


def test_a_damaged_table_is_reported(paths: DataPaths) -> None:
    paths.clean.mkdir(parents=True)
    paths.movies.write_bytes(b"PAR1 no parquet")
    with pytest.raises(DataError, match="not a readable parquet file"):
        annotate_movies(paths, AnnotateConfig(), 1)


def test_a_missing_column_is_reported(paths: DataPaths) -> None:
    write_movies(paths)
    pl.read_parquet(paths.movies).drop("description").write_parquet(paths.movies)
    with pytest.raises(DataError, match="expected String as column 'description', found None"):
        annotate_movies(paths, AnnotateConfig(), 1)


@pytest.mark.parametrize(
    ("ids", "message"),
    [
        (["tt1", "tt1"], "'tt1' is not"),
        (["tt2", "tt1"], "'tt1' is not"),
        (["tt 1", "tt2"], "the first is 'tt 1'"),
        (["tt1", "tt/2"], "the first is 'tt/2'"),
        ([None, "tt2"], "the first is None"),
        (["", "tt2"], "the first is ''"),
        (["tt1", "tt2\n"], r"the first is 'tt2\\n'"),
    ],
)
def test_ids_that_cannot_stand_in_the_corpus_are_reported(
    ids: list[str | None], message: str, paths: DataPaths
) -> None:
    write_movies(paths, ("One.", "Two."), movie_id=pl.Series(ids, dtype=pl.String))
    with pytest.raises(DataError, match=message):
        annotate_movies(paths, AnnotateConfig(), 1)
    assert list(paths.conllu.parent.iterdir()) == []


def test_an_empty_table_is_reported(paths: DataPaths) -> None:
    write_movies(paths, ())
    with pytest.raises(DataError, match="has no movie"):
        annotate_movies(paths, AnnotateConfig(), 1)


def test_null_genres_are_reported(paths: DataPaths) -> None:
    write_movies(paths, ("One.", "Two."), genres=pl.Series([["Drama"], None], dtype=pl.List(pl.String)))
    with pytest.raises(DataError, match="1 movies have null for genres"):
        annotate_movies(paths, AnnotateConfig(), 1)


def test_no_worker_is_a_mistake(paths: DataPaths) -> None:
    with pytest.raises(ConfigError, match="at least one worker, got 0"):
        annotate_movies(paths, AnnotateConfig(), 0)


def test_a_failure_leaves_the_earlier_corpus(paths: DataPaths, monkeypatch: pytest.MonkeyPatch) -> None:
    write_movies(paths)
    annotate_movies(paths, AnnotateConfig(), 1)
    expected = outputs(paths)
    write_movies(paths, DESCRIPTIONS * 2)

    def fail(_: object) -> None:
        raise ModelError("no pipeline")

    monkeypatch.setattr(corpus, "annotate_shard", fail)
    with pytest.raises(ModelError):
        annotate_movies(paths, AnnotateConfig(), 1)
    assert outputs(paths) == expected


def test_real_descriptions_make_a_corpus(
    real_listings: Path, paths: DataPaths, read_corpus: Callable[[Path], list[Any]]
) -> None:
    listing = pl.scan_csv(real_listings / "horror.csv", infer_schema=False, truncate_ragged_lines=True)
    texts = listing.select("description").head(300).collect().to_series().to_list()
    write_movies(paths, tuple(texts))
    result = annotate_movies(paths, AnnotateConfig(), 1)
    assert result.counts["documents"] == len(texts)
    assert len(read_corpus(paths.conllu)) == len(texts) - result.counts["empty_documents"]
