import json
import resource

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pydantic import ValidationError

from tasks.clean.own_table import TableConfig, _read_own_table, clean_own_table
from tasks.clean.profiles import CleanConfig
from tasks.clean.rules import Ledger
from tasks.core import schema
from tasks.core.errors import ConfigError, DataError, SourceError
from tasks.core.settings import DataPaths
from tasks.models.predict import read_pieces

FRAME = pl.DataFrame(
    {
        "key": [3, 1, 2, 4],
        "body": ["Salt &amp; pepper\non eggs.", "News of the day ...", "A   third text.", "N/A"],
        "subject": ["Eggs", None, "Third", "Fourth"],
        "tags": ["News|food", "News", "food", "food"],
        "year": ["2021", "in 1999", "soon", "2000"],
        "mood": ["high  spirits", None, "low", "low"],
        "score": [3.5, 4.0, None, 1.0],
    }
)
MAPPING = {"title": "subject", "fields": ["year", "mood", "score"]}


@pytest.fixture
def paths(tmp_path):
    return DataPaths(tmp_path / "data")


def mapping(**changes):
    return TableConfig.model_validate({"id": "key", "text": "body", "labels": "tags", "min_rows": 1} | changes)


def test_a_table_becomes_movies(clean_frame, adds_up):
    movies, ledger = clean_frame(FRAME, **MAPPING)
    assert movies.schema == schema.MOVIES
    assert movies["movie_id"].to_list() == ["1", "2", "3"]
    assert movies["movie_name"].to_list() == ["", "Third", "Eggs"]
    assert movies["description"].to_list() == ["News of the day ...", "A third text.", "Salt & pepper on eggs."]
    assert movies["genres"].to_list() == [["News"], ["food"], ["News", "food"]]  # News is no genre to exclude here
    assert movies["year"].to_list() == [1999, None, 2021]
    assert movies["own_fields"].to_list() == [["score=4"], ["mood=low"], ["mood=high spirits", "score=3.5"]]
    assert (ledger.counts["dropped/no_text"], ledger.counts["unparsed/year"]) == (1, 1)
    assert not [key for key in ledger.counts if key.startswith("unknown_genre")]
    assert adds_up(ledger.counts)


def test_fields_that_cannot_be_read_are_counted_as_in_listings(clean_frame):
    frame = FRAME.with_columns(runtime=pl.lit("long"), rating=pl.lit("good"))
    _, ledger = clean_frame(frame, fields=["runtime", "rating"])
    assert {key: count for key, count in ledger.counts.items() if key.startswith("unparsed/")} == {
        "unparsed/runtime_min": 3
    }


def test_what_cannot_be_written_as_text_is_told_in_a_line(clean_frame):
    with pytest.raises(SourceError, match=r"a column cannot be written as text \(.*\)\. Convert it\.$"):
        clean_frame(FRAME.with_columns(mood=pl.lit(b"\xff")), "parquet", **MAPPING)


def test_a_table_of_which_rules_leave_nothing_is_an_error(clean_frame):
    with pytest.raises(
        DataError, match=r"no row is left of 4 rows \(.*dropped/too_few_words 3\).*options of clean\.prune"
    ):
        clean_frame(FRAME, clean={"prune": {"min_words": 50}})


def test_parquet_and_csv_give_the_same_movies(clean_frame):
    from_csv, _ = clean_frame(FRAME, "csv", **MAPPING)
    from_parquet, _ = clean_frame(FRAME, "parquet", **MAPPING)
    assert from_csv.equals(from_parquet)


def test_whole_numbers_of_parquet_are_written_without_a_fraction(clean_frame):
    movies, _ = clean_frame(FRAME.with_columns(key=pl.col("key").cast(pl.Float64)), "parquet", **MAPPING)
    assert movies["movie_id"].to_list() == ["1", "2", "3"]
    assert movies["own_fields"][0].to_list() == ["score=4"]


def test_without_title_and_fields(clean_frame):
    movies, _ = clean_frame(FRAME)
    assert set(movies["movie_name"]) == {""}
    assert movies["own_fields"].list.len().sum() == 0
    assert movies["year"].null_count() == movies.height


def test_rows_of_one_id_and_text_are_one_with_all_labels(clean_frame, adds_up):
    frame = pl.DataFrame({"key": ["a", "a", "b"], "body": ["Same.", "Same.", "Other."], "tags": ["x", "y", "x"]})
    movies, ledger = clean_frame(frame)
    assert movies["genres"].to_list() == [["x", "y"], ["x"]]
    assert ledger.counts["merged/same_movie"] == 1
    assert adds_up(ledger.counts)


def test_an_id_with_two_texts(clean_frame):
    frame = pl.DataFrame({"key": ["a", "a", "b"], "body": ["One.", "Two.", "Other."], "tags": ["x", "y", "x"]})
    with pytest.raises(DataError, match="1 ids have several texts, the first is 'a'"):
        clean_frame(frame)


def test_an_id_that_a_corpus_cannot_hold(clean_frame):
    frame = pl.DataFrame({"key": ["a b", "c"], "body": ["One.", "Two."], "tags": ["x", "y"]})
    with pytest.raises(
        DataError, match=r"1 ids have other characters than letters, digits and _\.:-, the first is 'a b'"
    ):
        clean_frame(frame)


@pytest.mark.parametrize("form", ["csv", "parquet"])
@pytest.mark.parametrize("part", ["id", "title", "text", "labels", "fields"])
def test_a_column_that_is_not_there(clean_frame, form, part):
    wrong = ["nowhere"] if part in ("labels", "fields") else "nowhere"
    with pytest.raises(SourceError, match=rf"table\.{form}.*no column nowhere among key, body, subject"):
        clean_frame(FRAME, form, **{part: wrong})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"title": "body"}, "the column body is named twice"),
        ({"fields": ["decade", "lemmas"]}, "a field cannot be called decade, lemmas"),
        ({"fields": ["a=b"]}, "has an = or odd spaces"),
        ({"labels": []}, "at least 1 item"),
        ({"colour": "x"}, "Extra inputs"),
    ],
)
def test_mappings_that_cannot_be(changes, message):
    with pytest.raises(ValidationError, match=message):
        mapping(**changes)


@pytest.mark.parametrize(("name", "content"), [("t.csv", None), ("t.txt", b"a"), ("t.parquet", b"PAR"), ("t.csv", b"")])
def test_files_that_are_no_tables(paths, tmp_path, name, content):
    path = tmp_path / name
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(SourceError, match=str(path)):
        clean_own_table(paths, path, mapping(), CleanConfig())
    assert not paths.movies.exists()


def test_a_column_of_lists_that_is_no_label(clean_frame):
    with pytest.raises(SourceError, match="the column mood holds lists"):
        clean_frame(FRAME.with_columns(mood=pl.lit([1, 2])), "parquet", **MAPPING)


def test_nothing_left(clean_frame):
    with pytest.raises(DataError, match=r"no row is left of 4 rows \(dropped/no_text 1, dropped/no_label 3\)"):
        clean_frame(FRAME.with_columns(tags=pl.lit("")))


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"profile": "original"}, "clean.profile applies to listings"),
        ({"excluded_genres": ["News"]}, "clean.excluded_genres applies to listings"),
        ({"disable": ["add_a_plot"]}, "no rule add_a_plot"),
    ],
)
def test_cleaning_of_listings_is_refused(clean_frame, config, message):
    with pytest.raises(ConfigError, match=message):
        clean_frame(FRAME, clean=config)


def test_the_stage_writes_its_files_and_is_skipped_when_nothing_changed(paths, tmp_path):
    path = tmp_path / "table.csv"
    FRAME.write_csv(path)
    first = clean_own_table(paths, path, mapping(), CleanConfig())
    written = paths.movies.read_bytes()
    assert json.loads(paths.genres_json.read_text()) == ["News", "food"]
    assert json.loads(paths.dropped.read_text())["counts"]["dropped/no_text"] == 1
    assert clean_own_table(paths, path, mapping(), CleanConfig()).skipped
    changed = clean_own_table(paths, path, mapping(fields=("mood",)), CleanConfig())
    assert not first.skipped
    assert not changed.skipped
    assert clean_own_table(paths, path, mapping(), CleanConfig()).fingerprint == first.fingerprint
    assert paths.movies.read_bytes() == written


def test_a_separator_that_may_be_wrong_is_told_with_what_it_cost(paths, tmp_path, caplog):
    labels = ["left", "right", "left;right", "left", "right"]
    texts = [f"Text number {n}." for n in ("one", "two", "three", "four", "five")]
    path = tmp_path / "table.csv"
    pl.DataFrame({"key": list("abcde"), "body": texts, "tags": labels}).write_csv(path)
    clean_own_table(paths, path, mapping(min_rows=2), CleanConfig())
    assert "1 rows that had no others: left;right. Are labels separated by '|'?" in caplog.text


def test_a_small_parquet_file_of_gigabytes_is_refused(tmp_path):
    bomb = tmp_path / "bomb.parquet"
    text = pa.DictionaryArray.from_arrays(pa.array([0] * 100_000, pa.int32()), pa.array(["x" * 1_000_000]))
    columns = {"movie_id": ["a"] * 100_000, "description": text, "tags": ["b|c"] * 100_000}
    pq.write_table(pa.table(columns), bomb, compression="zstd", store_schema=False)
    assert bomb.stat().st_size < 100_000
    before_kb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(DataError, match="description has 1,000,000 bytes; a field may have 131,072"):
        list(read_pieces(bomb))
    table = TableConfig(id="movie_id", text="description", labels=("tags",))
    with pytest.raises(DataError, match="description has 1,000,000 bytes"):
        _read_own_table(bomb, table, Ledger())
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before_kb < 1_000_000
