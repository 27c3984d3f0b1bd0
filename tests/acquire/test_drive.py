import random
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import requests

from tasks.acquire.config import DownloadConfig
from tasks.acquire.download import DRIVE_IDS, drive_targets, fetch_drive_files, summarise
from tasks.core.errors import DownloadError
from tasks.core.settings import DataPaths

CONTENT = b"movie_id,description\n" + b"tt1,A harbour at night.\n" * 40_000
ATTACHED = '\nContent-Type: application/octet-stream\nContent-Disposition: attachment; filename="x"'
QUOTA = (
    b'<!DOCTYPE html><html><p class="uc-error-caption">Sorry</p>\n'
    b'<p class="uc-error-subcaption">Too many users have viewed or downloaded this file recently.</p></html>'
)
WARNING = (
    b'<!DOCTYPE html><html><form id="download-form" action="https://drive.usercontent.google.com/download">'
    b'<input type="hidden" name="id" value="x"><input type="hidden" name="confirm" value="t"></form></html>'
)


@pytest.fixture
def fetch(paths: DataPaths, server: Any, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """Fetch with the real gdown, whose requests to Google go to the raw server."""
    get = requests.Session.get

    def get_locally(session: requests.Session, url: str, **options: Any) -> requests.Response:
        scheme, host, rest = url.split("/", 3)[0], url.split("/", 3)[2], url.split("/", 3)[3]
        assert (scheme, host.endswith(".google.com")) == ("https:", True)
        return get(session, f"{server.address}/{rest}", **options)

    monkeypatch.setattr(requests.Session, "get", get_locally)
    monkeypatch.setattr("random.uniform", lambda low, _: low)  # gdown's waits between attempts

    def run(*answers: object, names: Any = ("clean_data",), **config: Any) -> Any:
        server.answers, server.asked = list(answers), []
        return fetch_drive_files(paths, names, DownloadConfig(**{"stall_s": 5, **config}))

    return run


def sending(head: str, body: bytes = b"") -> Callable[[Any], None]:
    return lambda asked: asked.send(f"HTTP/1.1 {head}\nContent-Length: {len(body)}", body)


def page(body: bytes, status: str = "200 OK") -> Callable[[Any], None]:
    return sending(f"{status}\nContent-Type: text/html; charset=utf-8", body)


def test_a_file_comes_past_the_warning_and_is_not_fetched_again(
    paths: DataPaths, fetch: Any, server: Any, whole: Any
) -> None:
    first = fetch(page(WARNING), whole(CONTENT, head=ATTACHED))
    assert [asked.path.split("?")[0] for asked in server.asked] == ["/uc", "/download"]
    assert DRIVE_IDS["clean_data"] in server.asked[0].path
    assert "confirm=t" in server.asked[1].path
    assert (paths.download / "clean_data.csv").read_bytes() == CONTENT
    second = fetch(page(QUOTA))
    assert server.asked == []
    assert [summarise(files)["skipped"] for files in (first, second)] == [0, 1]
    assert [path.name for path in paths.download.iterdir()] == ["clean_data.csv"]


def test_a_cut_transfer_continues(paths: DataPaths, fetch: Any, server: Any, whole: Any) -> None:
    fetch(whole(CONTENT, head=ATTACHED, cut_after=600_000), whole(CONTENT, head=ATTACHED))
    assert server.asked[1].headers["range"].startswith("bytes=")
    assert (paths.download / "clean_data.csv").read_bytes() == CONTENT


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (page(QUOTA), "Too many users have viewed or downloaded this file recently"),
        (page(b"<html><body>Sign in</body></html>"), "Cannot retrieve the public link"),
        (page(b"<html>No</html>", "404 Not Found"), "Cannot retrieve the public link"),
        (sending(f"403 No{ATTACHED}"), "it answers 403"),
        (sending(f"429 No{ATTACHED}"), "it answers 429"),
        (sending("200 OK", b"?"), "it answers in an unknown form"),
    ],
)
def test_a_refusal_gives_the_address_and_the_place_and_is_not_repeated(
    paths: DataPaths, fetch: Any, server: Any, answer: object, reason: str
) -> None:
    with pytest.raises(DownloadError, match=reason) as caught:
        fetch(answer)
    assert f"https://drive.google.com/file/d/{DRIVE_IDS['clean_data']}/view" in str(caught.value)
    assert str(paths.download / "clean_data.csv") in str(caught.value)
    assert len(server.asked) == 1
    assert list(paths.download.iterdir()) == []


def test_a_page_that_calls_itself_a_file_is_refused(paths: DataPaths, fetch: Any) -> None:
    with pytest.raises(DownloadError, match="received a web page instead of the file"):
        fetch(sending(f"200 OK{ATTACHED}", b"\n<html>Sign in</html>"))
    assert list(paths.download.iterdir()) == []


def test_a_server_that_fails_or_hangs_up_is_reported(fetch: Any, server: Any) -> None:
    with pytest.raises(DownloadError, match=r"download from Drive failed \(.*503.*Run again later"):
        fetch(sending(f"503 Busy{ATTACHED}"))
    with pytest.raises(DownloadError, match=r"download from Drive failed \(.*Run again later"):
        fetch(lambda _: None, attempts=3)
    assert len(server.asked) == 3


def test_the_deadline_holds_against_a_drip(paths: DataPaths, fetch: Any) -> None:
    def drip(asked: Any) -> None:
        asked.send(f"HTTP/1.1 200 OK{ATTACHED}\nContent-Length: 9999")
        for _ in range(300):
            asked.socket.sendall(b"x")
            time.sleep(0.01)

    with pytest.raises(DownloadError, match=r"not finished after 0\.3 s"):
        fetch(drip, deadline_s=0.3)
    assert list(paths.download.iterdir()) == []


def test_more_than_is_accepted_is_refused(fetch: Any, whole: Any) -> None:
    with pytest.raises(DownloadError, match="larger than the limit of 1,000 bytes"):
        fetch(whole(CONTENT, head=ATTACHED), max_bytes=1000)


def test_what_a_killed_run_left_is_not_continued(paths: DataPaths, fetch: Any, server: Any, whole: Any) -> None:
    left = paths.download / ".unfinished-clean_data" / "clean_data.csv12345678.part"
    left.parent.mkdir(parents=True)
    left.write_bytes(random.Random(1).randbytes(99))
    fetch(whole(CONTENT, head=ATTACHED))
    assert "range" not in server.asked[0].headers
    assert (paths.download / "clean_data.csv").read_bytes() == CONTENT
    assert not left.parent.exists()


def test_several_files_go_to_their_places(paths: DataPaths, fetch: Any, whole: Any) -> None:
    files = fetch(whole(CONTENT, head=ATTACHED), names=("crawl_data", "conllu_data"))
    assert [file.path for file in files] == [paths.published_crawl_csv, paths.download / "conllu_data.conllu"]
    assert all(path.parent.is_relative_to(paths.root) for path in drive_targets(paths).values())
    assert all(path.read_bytes() == CONTENT for path in (file.path for file in files))


def test_the_published_crawl_is_used_where_there_is_no_other(paths: DataPaths, fetch: Any, whole: Any) -> None:
    fetch(whole(CONTENT, head=ATTACHED), names=("crawl_data",))
    assert paths.crawl_csv.read_bytes() == CONTENT
    paths.crawl_csv.write_text("mine")
    fetch(page(QUOTA), names=("crawl_data",))
    assert paths.crawl_csv.read_text() == "mine"


def test_a_file_that_was_never_published_is_taken_from_the_user(paths: DataPaths, fetch: Any, server: Any) -> None:
    with pytest.raises(DownloadError, match=r"genres\.json was never published.*save it as .*genres\.json\."):
        fetch(page(QUOTA), names=("genres",))
    assert server.asked == []
    (paths.download / "genres.json").parent.mkdir(parents=True, exist_ok=True)
    (paths.download / "genres.json").write_text('["Drama"]')
    assert fetch(page(QUOTA), names=("genres",))[0].is_new is False


def test_no_cookies_are_kept(fetch: Any, whole: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import gdown.download  # noqa: F401, PLC0415 - the module; `gdown.download` is a function of the same name

    jar = tmp_path / "cookies.txt"
    monkeypatch.setattr(sys.modules["gdown.download"], "DEFAULT_COOKIES_FILE", str(jar))
    fetch(whole(CONTENT, head=f"{ATTACHED}\nSet-Cookie: session=1"))
    assert not jar.exists()
