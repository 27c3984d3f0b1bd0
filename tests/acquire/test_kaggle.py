import base64
import hashlib
import io
import json
import logging
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import requests

from tasks.acquire import download
from tasks.acquire.config import DownloadConfig, SampleConfig
from tasks.acquire.listings import acquire_listings
from tasks.core.errors import DownloadError, SourceError
from tasks.core.settings import DataPaths
from tasks.stage import StageResult

LISTING = "movie_id,movie_name,genre,description\ntt1,Salt,War,Two sailors wait.\n"
ZIP = "imdb-movies-dataset-based-on-genre.zip"
KEY = base64.b64encode(b"ann:a-secret").decode()
STORAGE = "http://storage.example/bucket?signature=signed-secret"


def pack(**contents: str) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for stem, text in contents.items():
            archive.writestr(zipfile.ZipInfo(f"{stem}.csv"), text)
    return buffer.getvalue()


SET = pack(war=LISTING, mystery=LISTING)


def hashed(content: bytes) -> str:
    return f"\nx-goog-hash: crc32c=AAAAAA==,md5={base64.b64encode(hashlib.md5(content).digest()).decode()}"


@pytest.fixture
def kaggle(server: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """Let the real kagglehub talk to the raw server, which is the proxy on the way to Kaggle and its storage."""

    def use(*answers: object, file: str | None = None, **environment: str) -> Any:
        if file is not None:
            (tmp_path / "kaggle.json").write_text(file)
        monkeypatch.setenv("KAGGLE_API_ENVIRONMENT", "LOCALHOST")
        monkeypatch.setenv("HOME", str(tmp_path))
        monkeypatch.setenv("KAGGLE_CONFIG_DIR", str(tmp_path))
        for name in ("KAGGLE_USERNAME", "KAGGLE_KEY", "KAGGLE_API_TOKEN"):
            monkeypatch.delenv(name, raising=False)
        for name, value in {"HTTP_PROXY": server.address, "NO_PROXY": "", **environment}.items():
            monkeypatch.setenv(name, value)
            if "PROXY" in name:
                monkeypatch.setenv(name.lower(), value)
        server.answers, server.asked = list(answers), []
        return server

    monkeypatch.setattr(download, "FIRST_WAIT_S", 0.01)
    return use


def acquire(paths: DataPaths, **config: Any) -> StageResult:
    return acquire_listings(paths, "kaggle", SampleConfig(), 1, DownloadConfig(**{"attempts": 1, **config}))


def sending(status: str, body: bytes = b"") -> Callable[[Any], None]:
    return lambda asked: asked.send(f"HTTP/1.1 {status}\nContent-Length: {len(body)}", body)


def test_the_set_is_downloaded_and_unpacked(
    paths: DataPaths, kaggle: Any, server: Any, capfd: pytest.CaptureFixture[str]
) -> None:
    kaggle(sending(f"302 Found\nLocation: {STORAGE}"), sending(f"200 OK{hashed(SET)}", SET))
    result = acquire(paths)
    assert [asked.path for asked in server.asked] == [
        "http://localhost/api/v1/datasets.DatasetApiService/DownloadDataset", STORAGE,
    ]  # fmt: skip
    assert server.asked[0].headers["user-agent"].startswith("genreflow/")
    assert "authorization" not in server.asked[0].headers
    assert sorted(path.name for path in paths.raw.glob("*.csv")) == ["mystery.csv", "war.csv"]
    assert (paths.raw / "war.csv").read_text() == LISTING
    assert (result.counts["source"], result.counts["label"], result.counts["files"]) == ("kaggle", ZIP, 2)
    assert result.counts["download"] == {"fetched": 1, "skipped": 0, "bytes": len(SET)}
    assert [path.name for path in paths.download.iterdir()] == [ZIP]
    assert capfd.readouterr() == ("", "")  # no progress bar, no notice of the client


def test_the_second_run_sends_no_request(paths: DataPaths, kaggle: Any, server: Any, whole: Any) -> None:
    kaggle(whole(SET))
    acquire(paths)
    sidecar = (paths.raw / "acquire.stage.json").read_bytes()
    result = acquire(paths)
    assert len(server.asked) == 1
    assert result.skipped
    assert result.counts["download"] == {"fetched": 0, "skipped": 1, "bytes": len(SET)}
    assert (paths.raw / "acquire.stage.json").read_bytes() == sidecar


@pytest.mark.parametrize(
    ("failure", "reason"),
    [
        (lambda asked: asked.send(f"HTTP/1.1 200 OK\nContent-Length: {len(SET)}", SET[:100]), "connection to Kaggle"),
        (lambda _: None, "connection to Kaggle failed"),
        (sending(f"200 OK{hashed(b'other')}", SET), "does not match the server's MD5"),
        (sending("503 Busy"), "Kaggle answers 503"),
        (sending("429 Slow\nRetry-After: 0"), "too many requests from here"),
        (sending("429 Slow\nRetry-After: abc\nContent-Type: application/json", b'{"code":429,"message":"x"}'), "many"),
    ],
)
def test_a_transient_failure_is_retried_and_leaves_nothing(
    paths: DataPaths, kaggle: Any, caplog: pytest.LogCaptureFixture, failure: Any, reason: str
) -> None:
    kaggle(failure, sending("200 OK", SET))
    assert acquire(paths, attempts=2).counts["files"] == 2
    assert reason in caplog.text
    assert "trying again in" in caplog.text
    (paths.download / ZIP).unlink()
    server = kaggle(failure)
    with pytest.raises(DownloadError, match=rf"{reason}.*\(3 attempts\)\. Run again later, or download it from https"):
        acquire(paths, attempts=3)
    assert len(server.asked) == 3
    assert list(paths.download.iterdir()) == []


@pytest.mark.parametrize("retry_after", ["301", "9" * 400, "Fri, 01 Jan 2100 12:00:00 GMT"])
def test_a_wait_longer_than_the_longest_ends_the_download(
    paths: DataPaths, kaggle: Any, server: Any, retry_after: str
) -> None:
    kaggle(sending(f"429 Slow\nRetry-After: {retry_after}"))
    with pytest.raises(DownloadError, match=r"too many requests from here \(429\) \(1 attempts\)"):
        acquire(paths, attempts=5)
    assert len(server.asked) == 1


def test_an_unreachable_network_is_a_one_line_error(paths: DataPaths, kaggle: Any) -> None:
    kaggle(sending("200 OK"), HTTP_PROXY="http://user:planted@127.0.0.1:9")
    with pytest.raises(DownloadError, match=r"connection to Kaggle failed \(ProxyError\); check the network") as caught:
        acquire(paths)
    assert "planted" not in str(caught.value)


@pytest.mark.parametrize("silent", ["head", "body"])
def test_a_stall_is_retried(paths: DataPaths, kaggle: Any, whole: Any, silent: str) -> None:
    def stall(asked: Any) -> None:
        if silent == "body":
            whole(SET, cut_after=50)(asked)
        time.sleep(1)

    kaggle(stall, whole(SET))
    assert acquire(paths, attempts=2, stall_s=0.3).counts["files"] == 2


def test_the_deadline_ends_the_download(paths: DataPaths, kaggle: Any) -> None:
    kaggle(lambda _: time.sleep(1))
    with pytest.raises(DownloadError, match=r"not finished after 0\.3 s\. Run again with a longer deadline"):
        acquire(paths, deadline_s=0.3)
    assert list(paths.download.iterdir()) == []


def test_a_file_larger_than_the_limit_is_refused(paths: DataPaths, kaggle: Any, whole: Any) -> None:
    kaggle(whole(SET))
    with pytest.raises(DownloadError, match="larger than the limit of 100 bytes"):
        acquire(paths, max_bytes=100)
    assert list(paths.download.iterdir()) == []


def test_a_full_disk_is_a_one_line_error(paths: DataPaths, kaggle: Any, whole: Any, monkeypatch: Any) -> None:
    def refuse(_: Path) -> None:
        raise OSError(28, "No space left on device", str(paths.download / ZIP))

    kaggle(whole(SET))
    monkeypatch.setattr(download, "_receive_archive", refuse)
    with pytest.raises(DownloadError, match=rf"{ZIP} cannot be written: No space left on device\. Free some space"):
        acquire(paths)


def test_a_zip_put_there_by_hand_is_used(paths: DataPaths, kaggle: Any, server: Any) -> None:
    kaggle(sending("404 No"))
    paths.download.mkdir(parents=True)
    (paths.download / ZIP).write_bytes(SET)
    assert acquire(paths).counts["download"]["skipped"] == 1
    assert server.asked == []
    (paths.download / ZIP).write_bytes(b"<!doctype html><title>Sign in</title>")
    with pytest.raises(DownloadError, match=r"\.zip is a web page, not the file\. Remove it\."):
        acquire(paths)
    (paths.download / ZIP).write_bytes(b"mine")
    with pytest.raises(SourceError, match="not a zip file"):
        acquire(paths)
    assert (paths.download / ZIP).read_bytes() == b"mine"


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"PK no zip at all", "is not a zip file"),
        (pack(war="a,b\n"), "line 1: no column movie_id"),
        (b"\n<html>Sign in</html>", "received a web page instead of the file"),
    ],
)
def test_a_file_that_is_not_a_set_of_listings_changes_nothing(
    paths: DataPaths, kaggle: Any, whole: Any, content: bytes, said: str
) -> None:
    kaggle(whole(content))
    with pytest.raises(SourceError, match=said):
        acquire(paths)
    assert not list(paths.raw.glob("*.csv"))


def test_an_unsafe_archive_is_not_kept(paths: DataPaths, kaggle: Any, whole: Any) -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("../evil.csv", LISTING)
    kaggle(whole(buffer.getvalue()), whole(SET))
    with pytest.raises(SourceError, match="points outside its folder"):
        acquire(paths)
    assert list(paths.download.iterdir()) == []
    assert acquire(paths).counts["files"] == 2


def test_a_redirect_to_an_address_that_is_not_encrypted_is_refused(
    paths: DataPaths, kaggle: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    kaggle(sending(f"302 Found\nLocation: {STORAGE}"), sending("200 OK", SET))
    as_it_is = requests.Session.send

    def as_if_kaggle_were_encrypted(session: requests.Session, *args: Any, **options: Any) -> requests.Response:
        response = as_it_is(session, *args, **options)
        for each in response.history:
            each.url = each.url.replace("http:", "https:")
        return response

    monkeypatch.setattr(requests.Session, "send", as_if_kaggle_were_encrypted)
    with pytest.raises(DownloadError, match="redirects to an address that is not encrypted"):
        acquire(paths)
    assert list(paths.download.iterdir()) == []


def test_files_of_the_user_are_noticed_before_the_download(paths: DataPaths, kaggle: Any, server: Any) -> None:
    kaggle(sending("404 No"))
    paths.raw.mkdir(parents=True)
    (paths.raw / "mine.csv").write_text(LISTING)
    with pytest.raises(SourceError, match="did not write"):
        acquire(paths)
    assert server.asked == []


@pytest.mark.parametrize(
    ("status", "said"),
    [
        ("401 No", r"rejects the credentials, or requires an account \(401\): set or check KAGGLE_USERNAME"),
        ("403 No", r"refuses access to rajugc/.* \(403\): .*terms must be accepted"),
        ("404 No", r"has no version 2 of rajugc/imdb-movies-dataset-based-on-genre \(404\)"),
        ("410 No", r"Kaggle answers 410"),
    ],
)
def test_each_refusal_has_its_remedy(paths: DataPaths, kaggle: Any, server: Any, status: str, said: str) -> None:
    kaggle(sending(status))
    with pytest.raises(DownloadError, match=said) as caught:
        acquire(paths, attempts=3)
    assert "https://www.kaggle.com/datasets/rajugc/imdb-movies-dataset-based-on-genre/versions/2" in str(caught.value)
    assert str(paths.download / ZIP) in str(caught.value)
    assert len(server.asked) == 1


@pytest.mark.parametrize(
    ("environment", "file", "sent"),
    [
        ({}, None, None),
        ({}, '{"username": "ann", "key": "a-secret"}', f"Basic {KEY}"),
        ({"KAGGLE_USERNAME": "ann", "KAGGLE_KEY": "a-secret"}, '{"username": "bob", "key": "k"}', f"Basic {KEY}"),
        ({"KAGGLE_API_TOKEN": "a-token"}, None, "Bearer a-token"),
    ],
)
def test_credentials_come_from_the_environment_or_the_file(
    paths: DataPaths, kaggle: Any, environment: dict[str, str], file: str | None, sent: str | None
) -> None:
    server = kaggle(sending("200 OK", SET), file=file, **environment)
    acquire(paths)
    assert server.asked[0].headers.get("authorization") == sent


def test_credentials_reach_kaggle_and_no_other_and_are_not_written(
    paths: DataPaths, kaggle: Any, server: Any, caplog: pytest.LogCaptureFixture
) -> None:
    def repeat(asked: Any) -> None:
        body = json.dumps({"code": 403, "message": f"{asked.headers}"}).encode()
        asked.send(f"HTTP/1.1 403 No\nContent-Type: application/json\nContent-Length: {len(body)}", body)

    kaggle(sending(f"302 Found\nLocation: {STORAGE}"), repeat, KAGGLE_USERNAME="ann", KAGGLE_KEY="a-secret")
    with caplog.at_level(logging.DEBUG, "tasks"), pytest.raises(DownloadError) as caught:
        acquire(paths)
    assert server.asked[0].headers["authorization"] == f"Basic {KEY}"
    assert "authorization" not in server.asked[1].headers
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__
    for secret in ("a-secret", KEY, "signed-secret"):
        assert secret not in f"{caplog.text} {caught.value}"


@pytest.mark.parametrize("content", ["{", "[]", '{"username": "ann", "a-secret": 1}', "\x00", "1"])
def test_credentials_that_cannot_be_read_are_a_one_line_error(
    paths: DataPaths, kaggle: Any, caplog: pytest.LogCaptureFixture, content: str
) -> None:
    kaggle(file=content, KAGGLE_USERNAME="ann")
    with pytest.raises(DownloadError, match=r"kaggle\.json .* cannot be used \(.*Error\)") as caught:
        acquire(paths)
    assert "only one of KAGGLE_USERNAME and KAGGLE_KEY is set" in caplog.text
    assert "a-secret" not in f"{caplog.text} {caught.value}"
