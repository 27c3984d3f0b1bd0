import base64
import io
import json
import logging
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tasks.acquire.config import DownloadConfig, SampleConfig
from tasks.acquire.listings import acquire_listings
from tasks.acquire.sources import read_credentials
from tasks.core.errors import DownloadError, SourceError
from tasks.core.settings import DataPaths, settings
from tasks.stage import StageResult

LISTING = "movie_id,movie_name,genre,description\ntt1,Salt,War,Two sailors wait.\n"
ZIP = "imdb-movies-dataset-based-on-genre.zip"
KEY = base64.b64encode(b"ann:a-secret").decode()


def pack(**contents: str) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for stem, text in contents.items():
            archive.writestr(zipfile.ZipInfo(f"{stem}.csv"), text)
    return buffer.getvalue()


SET = pack(war=LISTING, mystery=LISTING)


@pytest.fixture
def kaggle(paths: DataPaths, server: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """Let the settings point to the raw server, with some answers and environment."""

    def use(*answers: object, **environment: str) -> None:
        monkeypatch.setenv("GENREFLOW_KAGGLE_URL", server.address)
        monkeypatch.setenv("KAGGLE_CONFIG_DIR", str(tmp_path))
        for name in ("KAGGLE_USERNAME", "KAGGLE_KEY"):
            monkeypatch.delenv(name, raising=False)
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        settings.cache_clear()
        server.answers, server.asked = list(answers), []

    return use


def acquire(paths: DataPaths) -> StageResult:
    return acquire_listings(paths, "kaggle", SampleConfig(), 1, DownloadConfig(attempts=1))


def sending(status: str, body: bytes = b"") -> Callable[[Any], None]:
    return lambda asked: asked.send(f"HTTP/1.1 {status}\nContent-Length: {len(body)}", body)


def test_the_set_is_downloaded_unpacked_and_recorded(
    paths: DataPaths, kaggle: Any, server: Any, other_server: Any, whole: Any
) -> None:
    other_server.answers = [whole(SET)]
    kaggle(sending(f"302 Found\nLocation: {other_server.address}/bucket?signature=x"))
    result = acquire(paths)
    assert server.asked[0].path == (
        "/api/v1/datasets/download/rajugc/imdb-movies-dataset-based-on-genre?datasetVersionNumber=2"
    )
    assert "authorization" not in server.asked[0].headers
    assert sorted(path.name for path in paths.raw.glob("*.csv")) == ["mystery.csv", "war.csv"]
    assert (paths.raw / "war.csv").read_text() == LISTING
    assert (result.counts["source"], result.counts["label"], result.counts["files"]) == ("kaggle", ZIP, 2)
    assert result.counts["download"] == {"fetched": 1, "resumed": 0, "skipped": 0, "bytes": len(SET)}
    assert json.loads(paths.download_lock.read_text())["listings"]["size"] == len(SET)
    assert sorted(path.name for path in paths.download.iterdir()) == [ZIP, "manifest.lock.json"]


def test_the_second_run_asks_nobody(paths: DataPaths, kaggle: Any, server: Any, whole: Any) -> None:
    kaggle(whole(SET))
    acquire(paths)
    sidecar = (paths.raw / "acquire.stage.json").read_bytes()
    result = acquire(paths)
    assert len(server.asked) == 1
    assert result.skipped
    assert result.counts["download"] == {"fetched": 0, "resumed": 0, "skipped": 1, "bytes": len(SET)}
    assert (paths.raw / "acquire.stage.json").read_bytes() == sidecar


def test_a_cut_download_continues_in_the_next_run(paths: DataPaths, kaggle: Any, server: Any, whole: Any) -> None:
    kaggle(whole(SET, cut_after=100), whole(SET))
    with pytest.raises(DownloadError, match="run again later to continue"):
        acquire(paths)
    assert not paths.raw.exists()
    assert acquire(paths).counts["download"]["resumed"] == 1
    assert server.asked[1].headers["range"] == "bytes=100-"


def test_a_set_that_changed_is_refused_until_the_record_is_removed(paths: DataPaths, kaggle: Any, whole: Any) -> None:
    kaggle(whole(SET), whole(pack(war=LISTING)), whole(pack(war=LISTING)))
    acquire(paths)
    (paths.download / ZIP).unlink()
    with pytest.raises(DownloadError, match=r"has changed.*remove the entry listings from .*manifest\.lock\.json"):
        acquire(paths)
    assert len(list(paths.raw.glob("*.csv"))) == 2
    paths.download_lock.unlink()
    assert acquire(paths).counts["files"] == 1


def test_a_zip_put_there_by_hand_is_taken(paths: DataPaths, kaggle: Any, server: Any) -> None:
    kaggle(sending("404 No"))
    paths.download.mkdir(parents=True)
    (paths.download / ZIP).write_bytes(SET)
    assert acquire(paths).counts["download"]["skipped"] == 1
    assert server.asked == []
    (paths.download / ZIP).write_bytes(pack(war=LISTING))
    with pytest.raises(DownloadError, match=r"is not the file on record\. Remove it to download the right one"):
        acquire(paths)


@pytest.mark.parametrize(
    ("content", "said"), [(b"PK no zip at all", "is no zip"), (pack(war="a,b\n"), "line 1: no column movie_id")]
)
def test_what_is_no_set_of_listings_changes_nothing(
    paths: DataPaths, kaggle: Any, whole: Any, content: bytes, said: str
) -> None:
    kaggle(whole(content))
    with pytest.raises(SourceError, match=said):
        acquire(paths)
    assert not list(paths.raw.glob("*.csv"))


def test_a_bad_archive_is_neither_kept_nor_recorded(paths: DataPaths, kaggle: Any, whole: Any) -> None:
    kaggle(whole(b"PK no zip at all"), whole(SET))
    with pytest.raises(SourceError, match="is no zip"):
        acquire(paths)
    assert list(paths.download.iterdir()) == []
    assert acquire(paths).counts["files"] == 2


def test_files_of_the_user_are_noticed_before_the_download(paths: DataPaths, kaggle: Any, server: Any) -> None:
    kaggle(sending("404 No"))
    paths.raw.mkdir(parents=True)
    (paths.raw / "mine.csv").write_text(LISTING)
    with pytest.raises(SourceError, match="did not put there"):
        acquire(paths)
    assert server.asked == []


@pytest.mark.parametrize(
    ("status", "environment", "said"),
    [
        ("401 No", {}, r"\(401\): set KAGGLE_USERNAME and KAGGLE_KEY"),
        ("401 No", {"KAGGLE_USERNAME": "ann", "KAGGLE_KEY": "k"}, r"\(401\): check or remove KAGGLE_USERNAME"),
        ("403 No", {}, r"does not let just anybody have .*terms must be accepted"),
        ("403 No", {"KAGGLE_USERNAME": "ann", "KAGGLE_KEY": "k"}, r"does not let this account have"),
        ("404 No", {}, r"has no version 2 of rajugc/imdb-movies-dataset-based-on-genre \(404\)"),
        ("429 No", {}, r"too many requests from here \(429\)\. Wait"),
    ],
)
def test_each_refusal_has_its_remedy(
    paths: DataPaths, kaggle: Any, status: str, environment: dict[str, str], said: str
) -> None:
    kaggle(sending(status), **environment)
    with pytest.raises(DownloadError, match=said) as caught:
        acquire(paths)
    assert "https://www.kaggle.com/datasets/rajugc/imdb-movies-dataset-based-on-genre/versions/2" in str(caught.value)
    assert str(paths.download / ZIP) in str(caught.value)


def test_credentials_of_the_environment_come_before_the_file(paths: DataPaths, kaggle: Any, tmp_path: Path) -> None:
    def shown() -> str | None:
        auth = read_credentials(settings())
        return None if auth is None else auth._auth_header

    kaggle()
    assert shown() is None
    (tmp_path / "kaggle.json").write_text('{"username": "ann", "key": "a-secret"}')
    assert shown() == f"Basic {KEY}"
    kaggle(KAGGLE_USERNAME="bob", KAGGLE_KEY="k")
    assert shown() == f"Basic {base64.b64encode(b'bob:k').decode()}"


def test_credentials_reach_kaggle_and_no_other_and_are_not_written(
    paths: DataPaths, kaggle: Any, server: Any, other_server: Any, caplog: pytest.LogCaptureFixture
) -> None:
    other_server.answers = [sending("200 OK", SET)]
    kaggle(sending(f"302 Found\nLocation: {other_server.address}/x"), KAGGLE_USERNAME="ann", KAGGLE_KEY="a-secret")
    with caplog.at_level(logging.DEBUG, "tasks"):
        result = acquire(paths)
    assert server.asked[0].headers["authorization"] == f"Basic {KEY}"
    assert "authorization" not in other_server.asked[0].headers
    written = [path.read_text() for path in paths.root.rglob("*.json")]
    for secret in ("a-secret", KEY):
        assert secret not in f"{written} {caplog.text} {result} {settings()}"


@pytest.mark.parametrize("content", ["{", "[]", '{"username": "ann", "a-secret": 1}', "\x00"])
def test_credentials_that_cannot_be_read_are_left_out_aloud(
    paths: DataPaths, kaggle: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture, content: str
) -> None:
    (tmp_path / "kaggle.json").write_text(content)
    kaggle(KAGGLE_USERNAME="ann")
    with caplog.at_level(logging.WARNING):
        assert read_credentials(settings()) is None
    assert "only one is set" in caplog.text
    assert "kaggle.json cannot be used" in caplog.text
    assert "a-secret" not in caplog.text
