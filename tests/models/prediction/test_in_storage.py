"""Files to predict, and predictions, in object storage: a server on loopback."""

import json

import pytest

from tasks.core.errors import DataError, StorageError
from tasks.core.storage import Bucket, Folder
from tasks.models.predict import RECORD, Choices, predict_file, predict_folder
from tasks.models.task import explain_file
from tasks.models.task import predict_file as predict_addresses

GHOSTS = b"movie_id,description\na,haunted ghosts\nb,saloon sheriff\n"
SOURCE, TARGET = Bucket("movies", "in/"), Bucket("movies", "out/")


def content(bucket, key):
    return bucket.Object(key).get()["Body"].read()


def test_a_file_is_predicted_from_bucket_to_bucket(bucket, stored_once, tmp_path):
    bucket.put_object(Key="in/a.csv", Body=GHOSTS)
    assert predict_addresses.fn(stored_once, "s3://movies/in/a.csv", "s3://movies/out/b.csv", Choices()) == 2
    (tmp_path / "a.csv").write_bytes(GHOSTS)
    predict_file(stored_once, tmp_path / "a.csv", tmp_path / "b.csv")
    assert content(bucket, "out/b.csv") == (tmp_path / "b.csv").read_bytes()
    explain_file.fn(stored_once, "s3://movies/in/a.csv", "s3://movies/out/b.explained.html", None, 1)
    assert b"haunted" in content(bucket, "out/b.explained.html")


def test_a_file_is_not_overwritten_by_its_predictions(bucket, stored_once):
    bucket.put_object(Key="in/a.csv", Body=GHOSTS)
    with pytest.raises(DataError, match="both input and output"):
        predict_addresses.fn(stored_once, "s3://movies/in/a.csv", "s3://movies/in/a.csv", Choices())
    assert content(bucket, "in/a.csv") == GHOSTS


def test_a_bad_file_leaves_nothing_and_is_called_by_its_address(bucket, stored_once):
    bucket.put_object(Key="in/a.csv", Body=GHOSTS + b"c\n")
    with pytest.raises(DataError, match=r"^s3://movies/in/a\.csv, line 4: 1 fields, expected 2"):
        predict_addresses.fn(stored_once, "s3://movies/in/a.csv", "s3://movies/out/a.csv", Choices())
    assert TARGET.files() == {}


@pytest.mark.parametrize("local", ["neither", "source", "target"])
def test_what_is_new_under_a_prefix_is_predicted(bucket, stored_once, tmp_path, local):
    source = Folder(tmp_path / "in") if local == "source" else SOURCE
    target = Folder(tmp_path / "out") if local == "target" else TARGET
    (tmp_path / "in").mkdir()

    def put(name, body):
        if local == "source":
            (tmp_path / "in" / name).write_bytes(body)
        else:
            bucket.put_object(Key=f"in/{name}", Body=body)

    put("a.csv", GHOSTS)
    put("b.csv", GHOSTS)
    assert predict_folder(stored_once, source, target, Choices()).rows == {"a.csv": 2, "b.csv": 2}
    assert sorted(target.files()) == ["a.csv", "b.csv", RECORD]
    assert predict_folder(stored_once, source, target, Choices()).rows == {}
    put("b.csv", GHOSTS + b"c,ghosts\n")
    put("bad.csv", b"movie_id,plot\n")
    result = predict_folder(stored_once, source, target, Choices())
    assert (result.rows, result.unchanged) == ({"b.csv": 3}, ["a.csv"])
    assert f"{source.address.rstrip('/')}/bad.csv has no column description" in result.errors["bad.csv"]
    with target.reading(RECORD) as record:
        assert set(json.loads(record.read_text(encoding="utf-8"))) == {"a.csv", "b.csv"}


def test_a_bucket_that_is_not_there_stops_it(bucket, stored_once):
    bucket.put_object(Key="in/a.csv", Body=GHOSTS)
    with pytest.raises(StorageError, match="s3://none/out/: there is no such bucket"):
        predict_folder(stored_once, SOURCE, Bucket("none", "out/"), Choices())
