"""Data folders with some of the movies: what is in them, and that nothing but train movies can be left out."""

import json

import polars as pl
import pytest

from tasks.core.errors import DataError
from tasks.core.schema import SPLITS
from tasks.core.settings import DataPaths
from tasks.split.parts import write_subset
from tasks.stage import recorded_config

PARTS = ["train", "test", "train", "validation", "train"]
IDS = ["tt1", "tt2", "tt3", "tt4", "tt5"]


@pytest.fixture
def whole(paths):
    for path in (paths.movies, paths.splits, paths.tokens):
        path.parent.mkdir(parents=True)
    pl.DataFrame({"movie_id": IDS, "movie_name": list("abcde")}).write_parquet(paths.movies)
    splits = {"movie_id": IDS, "part": PARTS, "is_development": [False] * 5, "fold": [0, 1, 2, 3, 4]}
    pl.DataFrame(splits, schema=SPLITS).write_parquet(paths.splits)
    pl.DataFrame({"movie_id": IDS, "lemmas": [[name] for name in "abcde"]}).write_parquet(paths.tokens)
    (paths.tokens.parent / "annotate.stage.json").write_text(json.dumps({"config": {"pipeline": "simplemma"}}))
    paths.genres_json.write_text('["Drama"]')
    return paths


def drop(paths, *ids):
    file = paths.root / "drop.csv"
    pl.DataFrame({"movie_id": ids}, schema={"movie_id": pl.String}).write_csv(file)
    return file


def ids_of(path):
    return pl.read_parquet(path)["movie_id"].to_list()


def test_a_part_has_its_movies_alone(whole, tmp_path):
    result = write_subset(whole, tmp_path / "train", part="train")
    part = DataPaths(tmp_path / "train")
    assert ids_of(part.movies) == ids_of(part.splits) == ids_of(part.tokens) == ["tt1", "tt3", "tt5"]
    assert pl.read_parquet(part.splits).schema == SPLITS
    assert json.loads(part.genres_json.read_text()) == ["Drama"]
    assert recorded_config(part.tokens.parent, "annotate") == {"pipeline": "simplemma"}
    assert result.counts == {"movies": 3, "left_out": 2}
    assert write_subset(whole, tmp_path / "train", part="train").skipped


def test_dropping_train_movies_leaves_validation_and_test_as_they_are(whole, tmp_path):
    write_subset(whole, tmp_path / "less", without=drop(whole, "tt5", "tt1"))
    less = DataPaths(tmp_path / "less")
    assert ids_of(less.movies) == ["tt2", "tt3", "tt4"]
    before, after = (pl.read_parquet(paths.splits).filter(pl.col("part") != "train") for paths in (whole, less))
    assert after.equals(before)
    assert not write_subset(whole, tmp_path / "less", without=drop(whole, "tt5")).skipped
    assert ids_of(less.movies) == ["tt1", "tt2", "tt3", "tt4"]


@pytest.mark.parametrize("stranger", ["tt2", "tt4", "tt9"], ids=["of test", "of validation", "of nowhere"])
def test_only_train_movies_can_be_left_out(whole, tmp_path, stranger):
    with pytest.raises(DataError, match=rf"1 movies are not in the train part .* first is {stranger}"):
        write_subset(whole, tmp_path / "less", without=drop(whole, "tt1", stranger))
    assert not (tmp_path / "less" / "split").exists()


def test_without_a_corpus_there_is_none_and_no_movie_is_an_error(whole, tmp_path):
    whole.tokens.unlink()
    write_subset(whole, tmp_path / "all")
    assert ids_of(DataPaths(tmp_path / "all").movies) == IDS
    assert not (tmp_path / "all" / "conllu").exists()
    pl.read_parquet(whole.splits).filter(pl.col("part") != "test").write_parquet(whole.splits)
    with pytest.raises(DataError, match="no movie"):
        write_subset(whole, tmp_path / "test", part="test")
