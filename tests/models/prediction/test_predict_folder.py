import json
import os

import polars as pl
import pytest

from tasks.core.errors import ConfigError, DataError
from tasks.core.storage import Folder, open_directory
from tasks.models import predict
from tasks.models.predict import RECORD, Choices, predict_folder

GHOSTS = "movie_id,description\na,haunted ghosts\n"


@pytest.fixture
def folders(tmp_path):
    """A folder with a CSV, a parquet file and something else; and one for predictions, which is not there yet."""
    (tmp_path / "in" / "inner").mkdir(parents=True)
    (tmp_path / "in" / "one.csv").write_text(GHOSTS, encoding="utf-8")
    pl.DataFrame({"movie_id": ["b", "c"], "description": ["saloon", "grief"]}).write_parquet(
        tmp_path / "in" / "two.parquet"
    )
    (tmp_path / "in" / "notes.txt").write_text("not to be read", encoding="utf-8")
    (tmp_path / "in" / ".one.csv.part").write_text("nor this", encoding="utf-8")
    (tmp_path / "in" / "inner" / "three.csv").write_text("nor this", encoding="utf-8")
    return Folder(tmp_path / "in"), Folder(tmp_path / "out" / "new")


def test_each_file_is_predicted_once(stored_once, folders):
    source, target = folders
    first = predict_folder(stored_once, source, target, Choices())
    assert (first.rows, first.unchanged, first.errors) == ({"one.csv": 1, "two.parquet": 2}, [], {})
    assert sorted(target.files()) == ["one.csv", RECORD, "two.parquet"]
    assert pl.read_parquet(target.path / "two.parquet")["movie_id"].to_list() == ["b", "c"]
    before = target.files()
    second = predict_folder(stored_once, source, target, Choices(workers=2))
    assert (second.rows, second.unchanged) == ({}, ["one.csv", "two.parquet"])
    assert target.files() == before


def test_what_changed_is_predicted_again(stored_once, folders, tmp_path):
    source, target = folders
    predict_folder(stored_once, source, target, Choices())
    (source.path / "one.csv").write_text(GHOSTS + "d,ghosts\n", encoding="utf-8")
    assert predict_folder(stored_once, source, target, Choices()).rows == {"one.csv": 2}
    (source.path / "three.csv").write_text(GHOSTS, encoding="utf-8")
    assert predict_folder(stored_once, source, target, Choices()).rows == {"three.csv": 1}
    (target.path / "two.parquet").unlink()
    assert predict_folder(stored_once, source, target, Choices()).rows == {"two.parquet": 2}
    os.utime(target.path / "three.csv", ns=(1, 1))
    assert predict_folder(stored_once, source, target, Choices()).rows == {"three.csv": 1}


def test_another_rule_or_model_predicts_all_again(stored_once, folders, tmp_path):
    source, target = folders
    predict_folder(stored_once, source, target, Choices())
    assert set(predict_folder(stored_once, source, target, Choices("top=2")).rows) == {"one.csv", "two.parquet"}
    import shutil  # noqa: PLC0415

    other = shutil.copytree(stored_once, tmp_path / "other")
    assert predict_folder(other, source, target, Choices("top=2")).rows == {}
    rules = json.loads((other / "rules.json").read_text(encoding="utf-8"))
    (other / "rules.json").write_text(json.dumps({**rules, "chosen": "fixed"}), encoding="utf-8")
    assert set(predict_folder(other, source, target, Choices("top=2")).rows) == {"one.csv", "two.parquet"}


def test_a_bad_file_is_told_and_does_not_stop_the_others(stored_once, folders):
    source, target = folders
    (source.path / "bad.csv").write_text("movie_id,description\nx\n", encoding="utf-8")
    result = predict_folder(stored_once, source, target, Choices())
    assert set(result.rows) == {"one.csv", "two.parquet"}
    assert "bad.csv, line 2: 1 fields, expected 2" in result.errors["bad.csv"]
    assert "bad.csv" not in target.files()
    assert set(predict_folder(stored_once, source, target, Choices()).errors) == {"bad.csv"}


def test_what_cannot_be_done_is_told_before_anything_is_written(stored_once, folders, tmp_path):
    source, target = folders
    with pytest.raises(DataError, match=r"has no \*\.csv or \*\.parquet files"):
        predict_folder(stored_once, Folder(tmp_path / "nothing"), target, Choices())
    with pytest.raises(DataError, match="both input and output"):
        predict_folder(stored_once, source, open_directory(f"{source.path}/../in"), Choices())
    with pytest.raises(ConfigError, match="no rule is named"):
        predict_folder(stored_once, source, target, Choices("dice"))
    assert not target.path.exists()


def test_one_run_at_a_time_writes_to_a_folder(stored_once, folders):
    source, target = folders
    with target.locked(), pytest.raises(DataError, match="another run writes to"):
        predict_folder(stored_once, source, target, Choices())
    (target.path / ".unfinished-one.csv-1").write_text("left by a killed run", encoding="utf-8")
    predict_folder(stored_once, source, target, Choices())
    assert not list(target.path.glob(".unfinished-*"))


def test_a_file_of_the_user_is_not_replaced_unless_told_to(stored_once, folders):
    source, target = folders
    target.path.mkdir(parents=True)
    (target.path / "one.csv").write_text("mine", encoding="utf-8")
    result = predict_folder(stored_once, source, target, Choices())
    assert result.rows == {"two.parquet": 2}
    assert "genreflow did not write" in result.errors["one.csv"]
    assert (target.path / "one.csv").read_text(encoding="utf-8") == "mine"
    (target.path / "two.parquet").write_bytes(b"also mine, since yesterday")
    assert set(predict_folder(stored_once, source, target, Choices("top=2")).errors) == {"one.csv", "two.parquet"}
    assert predict_folder(stored_once, source, target, Choices(overwrite=True)).rows == {"one.csv": 1, "two.parquet": 2}


def test_an_output_without_an_end_in_the_record_is_ours(stored_once, folders, monkeypatch):
    source, target = folders
    written: list[dict] = []
    original = predict._write_record

    def killed_before_the_end(target, record):
        written.append(record)
        if len(written) == 2:
            raise KeyboardInterrupt
        original(target, record)

    monkeypatch.setattr(predict, "_write_record", killed_before_the_end)
    with pytest.raises(KeyboardInterrupt):
        predict_folder(stored_once, source, target, Choices())
    assert (target.path / "one.csv").exists()
    monkeypatch.undo()
    assert predict_folder(stored_once, source, target, Choices()).rows == {"one.csv": 1, "two.parquet": 2}


@pytest.mark.parametrize("record", ["{", '["mine"]', '{"one.csv": 3}'])
def test_a_file_with_the_name_of_the_record_is_not_replaced(stored_once, folders, record):
    source, target = folders
    target.path.mkdir(parents=True)
    (target.path / RECORD).write_text(record, encoding="utf-8")
    with pytest.raises(DataError, match="is not the record of earlier predictions"):
        predict_folder(stored_once, source, target, Choices())
    assert (target.path / RECORD).read_text(encoding="utf-8") == record
