"""Object storage as directories, against a server on loopback."""

import pytest

from tasks.core import storage
from tasks.core.errors import ConfigError, DataError, StorageError
from tasks.core.storage import Bucket, Folder, is_directory, open_directory, split_address

FOLDER = Bucket("movies", "new/")


def test_addresses_are_read(tmp_path):
    assert open_directory("s3://movies/new") == open_directory("s3://movies/new/") == FOLDER
    assert open_directory("s3://movies") == Bucket("movies")
    assert split_address("s3://movies/new/a.csv") == (FOLDER, "a.csv")
    assert split_address("s3://movies/a.csv") == (Bucket("movies"), "a.csv")
    assert split_address(f"{tmp_path}/a.csv") == (Folder(tmp_path), "a.csv")
    assert all(is_directory(address) for address in ("s3://movies", "s3://movies/new/", str(tmp_path)))
    assert not is_directory("s3://movies/a")
    for address in ("s3://", "s3:///a.csv"):
        with pytest.raises(ConfigError, match="names no bucket"):
            open_directory(address)
    with pytest.raises(ConfigError, match="is a folder; give the name of a file in it"):
        split_address("s3://movies/new/")


def test_only_what_is_directly_under_the_prefix_is_listed(bucket):
    for key in ("new/b.csv", "new/a.csv", "new/", "new/.hidden", "new/inner/c.csv", "newer.csv", "d.csv"):
        bucket.put_object(Key=key, Body=b"12345")
    files = FOLDER.files()
    assert list(files) == ["a.csv", "b.csv"]
    assert files["a.csv"].size == 5
    assert FOLDER.find("a.csv") == files["a.csv"]
    bucket.put_object(Key="new/a.csv", Body=b"54321")
    assert FOLDER.find("a.csv").version != files["a.csv"].version


def test_more_objects_than_one_answer_holds_are_listed(bucket):
    def ask_for_two(params, **_):
        params["MaxKeys"] = 2

    storage._client().meta.events.register("provide-client-params.s3.ListObjectsV2", ask_for_two)
    for name in "abcde":
        bucket.put_object(Key=f"new/{name}.csv", Body=b"")
    assert len(FOLDER.files()) == 5


def test_what_is_written_can_be_read(bucket):
    content = bytes(range(256)) * 50_000  # more than one chunk, and more than one part of an upload
    with FOLDER.writing("a.bin") as path:
        path.write_bytes(content)
        assert FOLDER.files() == {}
    with FOLDER.reading("a.bin") as copy:
        assert copy.read_bytes() == content
    assert not path.exists()
    assert not copy.exists()


def test_nothing_is_uploaded_after_an_error_which_names_the_address(bucket):
    def fail(path):
        path.write_text("half", encoding="utf-8")
        raise DataError(f"{path}, line 3: bad")

    with pytest.raises(DataError, match=r"^s3://movies/new/a\.csv, line 3: bad$"), FOLDER.writing("a.csv") as path:
        fail(path)
    assert FOLDER.files() == {}


def test_a_missing_object_is_reported(bucket):
    for ask in (lambda: FOLDER.find("a.csv"), lambda: FOLDER.reading("a.csv").__enter__()):
        with pytest.raises(DataError, match=r"s3://movies/new/a\.csv does not exist; check the name"):
            ask()


def test_a_missing_bucket_is_reported(bucket):
    with pytest.raises(StorageError, match="s3://none/: there is no such bucket"):
        Bucket("none").files()
    with (
        pytest.raises(StorageError, match=r"s3://none/a\.csv: there is no such bucket"),
        Bucket("none").writing("a.csv") as path,
    ):
        path.write_bytes(b"x")


def test_missing_credentials_are_a_one_line_error(bucket, monkeypatch):
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    with pytest.raises(
        ConfigError, match=r"no credentials found .NoCredentialsError.; set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
    ):
        FOLDER.files()


@pytest.mark.parametrize(
    ("code", "status", "expected"),
    [
        ("InvalidAccessKeyId", 403, "access denied .403 InvalidAccessKeyId.; check the credentials"),
        ("SlowDown", 503, "the storage responded with 503 SlowDown; try again later"),
    ],
)
def test_refusals_are_reported_without_the_server_s_text(bucket, code, status, expected):
    from botocore.exceptions import ClientError  # noqa: PLC0415

    answer = {"Error": {"Code": code, "Message": "very-secret"}, "ResponseMetadata": {"HTTPStatusCode": status}}
    with pytest.raises(StorageError, match=expected) as raised, storage._storage_errors("s3://movies/"):
        raise ClientError(answer, "ListObjectsV2")
    assert "very-secret" not in str(raised.value)
    assert raised.value.__suppress_context__


@pytest.mark.parametrize("endpoint", ["http://127.0.0.1:9", "no address"])
def test_a_server_that_is_not_there_is_reported(bucket, monkeypatch, endpoint):
    monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint)
    monkeypatch.setattr(storage, "ATTEMPTS", 1)
    storage._client.cache_clear()
    with pytest.raises(StorageError, match=r"cannot be reached .* check AWS_ENDPOINT_URL"):
        FOLDER.files()


def test_a_full_disk_is_reported(bucket, tmp_path):
    bucket.put_object(Key="new/a.csv", Body=b"x")
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(DataError, match="cannot be written"):
        FOLDER.fetch("a.csv", tmp_path / "file" / "a.csv")


def test_without_boto3_it_says_how_to_install_it(monkeypatch):
    monkeypatch.setattr("tasks.core.errors.find_spec", lambda _: None)
    with pytest.raises(ConfigError, match=r"s3://movies/new/: needs packages .*install\.py s3"):
        FOLDER.files()
