import base64
import gzip
import hashlib
import itertools
import logging
import random
import socket
import struct
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest

from tasks.acquire.config import DownloadConfig
from tasks.acquire.download import ANYTHING, Downloader, Expected, Fetched, Request
from tasks.core.errors import DownloadError

CONTENT = random.Random(7).randbytes(300_000)
MD5 = base64.b64encode(hashlib.md5(CONTENT).digest()).decode()
SHA256 = hashlib.sha256(CONTENT).hexdigest()


@dataclass
class Clock:
    """A clock that stands still but for sleeps, and for `step_s` each time it is read."""

    step_s: float = 0.0
    now_s: float = 0.0
    slept: list[float] = field(default_factory=list)

    def __call__(self) -> float:
        self.now_s += self.step_s
        return self.now_s

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now_s += seconds


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return tmp_path / "set.zip"


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def fetch(server: Any, target: Path, clock: Clock) -> Callable[..., Fetched]:
    """Fetch from the raw server."""

    def run(
        *answers: object, expected: Expected = ANYTHING, refusals: dict[int, str] | None = None, **config: Any
    ) -> Fetched:
        server.answers, server.asked = list(answers), []
        downloader = Downloader(DownloadConfig(**{"stall_s": 5, **config}), clock, clock.sleep, lambda: 1.0)
        auth = httpx.BasicAuth("ann", "very-secret")
        return downloader.fetch(Request(f"{server.address}/set", "set.zip", expected, auth, refusals or {}), target)

    return run


def left_over(target: Path) -> list[str]:
    return sorted(path.name for path in target.parent.iterdir() if path != target)


def sending(head: str, body: bytes = b"") -> Callable[[Any], None]:
    return lambda asked: asked.send(f"HTTP/1.1 {head}", body)


def test_a_file_comes_whole_and_nothing_else_is_left(fetch: Any, server: Any, whole: Any, target: Path) -> None:
    fetched = fetch(whole(CONTENT))
    assert fetched == Fetched("set.zip", target, len(CONTENT), SHA256, "fetched")
    assert target.read_bytes() == CONTENT
    assert left_over(target) == []
    headers = server.asked[0].headers
    assert headers["accept-encoding"] == "identity"
    assert headers["user-agent"].startswith("genreflow/")
    assert "range" not in headers


def test_it_replaces_what_is_there(fetch: Any, whole: Any, target: Path) -> None:
    target.write_bytes(b"old")
    fetch(whole(CONTENT))
    assert target.read_bytes() == CONTENT


def test_an_empty_file_is_a_file(fetch: Any, whole: Any, target: Path) -> None:
    assert fetch(whole(b"")).size == 0
    assert target.read_bytes() == b""


def test_a_transfer_that_is_cut_at_random_points_continues_where_it_was(
    fetch: Any, server: Any, whole: Any, target: Path, clock: Clock
) -> None:
    cuts = [random.Random(3).randrange(1, 60_000) for _ in range(5)]
    fetched = fetch(*(whole(CONTENT, cut_after=cut) for cut in cuts), whole(CONTENT))
    assert target.read_bytes() == CONTENT
    assert fetched.state == "fetched"
    ranges = [asked.headers.get("range") for asked in server.asked]
    offsets = itertools.accumulate(cuts)
    assert ranges == [None, *(f"bytes={offset}-" for offset in offsets)]
    assert {asked.headers.get("if-range") for asked in server.asked[1:]} == {'"v1"'}
    assert clock.slept == [1, 2, 4, 8, 16]


def test_a_later_run_continues_and_says_so(fetch: Any, server: Any, whole: Any, target: Path) -> None:
    with pytest.raises(DownloadError, match=r"1 times in a row\)\. What came is kept: run again later"):
        fetch(whole(CONTENT, cut_after=100_000), attempts=1)
    assert left_over(target) == ["set.zip.partial", "set.zip.partial.json"]
    assert not target.exists()
    fetched = fetch(whole(CONTENT))
    assert (fetched.state, server.asked[0].headers["range"]) == ("resumed", "bytes=100000-")
    assert target.read_bytes() == CONTENT
    assert left_over(target) == []


def test_last_modified_serves_where_there_is_no_strong_tag(fetch: Any, server: Any, whole: Any, target: Path) -> None:
    when = "Sun, 01 Mar 2026 12:00:00 GMT"
    head = f'200 OK\nContent-Length: {len(CONTENT)}\nETag: W/"weak"\nLast-Modified: {when}'
    fetch(sending(head, CONTENT[:5]), whole(CONTENT, etag=when))
    assert server.asked[1].headers["if-range"] == when
    assert target.read_bytes() == CONTENT


def test_without_any_validator_nothing_is_spliced(fetch: Any, server: Any, target: Path) -> None:
    head = f"200 OK\nContent-Length: {len(CONTENT)}"
    fetch(sending(head, CONTENT[:9]), sending(head, CONTENT))
    assert "range" not in server.asked[1].headers
    assert target.read_bytes() == CONTENT


def test_a_server_without_ranges_sends_it_all_again(fetch: Any, server: Any, target: Path) -> None:
    head = f'200 OK\nContent-Length: {len(CONTENT)}\nETag: "v1"'
    with pytest.raises(DownloadError):
        fetch(sending(head, CONTENT[:999]), attempts=1)
    fetched = fetch(sending(head, CONTENT))
    assert server.asked[0].headers["range"] == "bytes=999-"
    assert (fetched.state, target.read_bytes()) == ("fetched", CONTENT)


def test_a_file_that_changed_in_between_is_fetched_anew(fetch: Any, whole: Any, target: Path) -> None:
    other = CONTENT[::-1]
    fetch(whole(CONTENT, cut_after=1000), whole(other, etag='"v2"'))
    assert target.read_bytes() == other


@pytest.mark.parametrize(
    "head",
    [
        'ETag: "v2"\nContent-Range: bytes 1000-299999/300000\nContent-Length: 299000',
        'ETag: "v1"\nContent-Range: bytes 1000-299999/300001\nContent-Length: 299000',
        'ETag: "v1"\nContent-Range: bytes 0-299999/300000\nContent-Length: 300000',
        'ETag: "v1"\nContent-Length: 299000',
        'ETag: "v1"\nContent-Range: nonsense\nContent-Length: 299000',
    ],
)
def test_a_part_that_does_not_fit_is_never_spliced(fetch: Any, whole: Any, target: Path, head: str) -> None:
    fetch(whole(CONTENT, cut_after=1000), sending(f"206 Partial Content\n{head}", CONTENT[1000:]), whole(CONTENT))
    assert target.read_bytes() == CONTENT


def test_a_part_that_nobody_asked_for_is_refused(fetch: Any, target: Path) -> None:
    part = sending("206 Partial Content\nContent-Range: bytes 0-9/300000\nContent-Length: 10", CONTENT[:10])
    with pytest.raises(DownloadError, match="answers with a part although all of it was asked for"):
        fetch(part)
    assert left_over(target) == []


def test_a_run_killed_after_the_last_byte_only_asks_whether_it_was_the_last(
    fetch: Any, server: Any, whole: Any, target: Path
) -> None:
    with pytest.raises(DownloadError):
        fetch(whole(CONTENT, cut_after=len(CONTENT) - 1), attempts=1)
    with target.with_name("set.zip.partial").open("ab") as file:
        file.write(CONTENT[-1:])
    assert fetch(whole(CONTENT)).state == "resumed"
    assert len(server.asked) == 1
    assert target.read_bytes() == CONTENT


def test_a_partial_file_longer_than_the_file_is_thrown_away(fetch: Any, whole: Any, target: Path) -> None:
    with pytest.raises(DownloadError):
        fetch(whole(CONTENT, cut_after=10), attempts=1)
    with target.with_name("set.zip.partial").open("ab") as file:
        file.write(CONTENT * 2)
    fetch(whole(CONTENT))
    assert target.read_bytes() == CONTENT


def test_what_a_process_left_that_was_killed_while_it_wrote_is_removed(fetch: Any, whole: Any, target: Path) -> None:
    target.with_name(".unfinished-set.zip.partial.json-1234").write_text('{"addr')
    fetch(whole(CONTENT))
    assert left_over(target) == []


@pytest.mark.parametrize("note", ["", "{", "[1]", '{"address": "elsewhere"}'])
def test_a_partial_file_of_unknown_origin_is_not_continued(
    fetch: Any, server: Any, whole: Any, target: Path, note: str
) -> None:
    target.with_name("set.zip.partial").write_bytes(b"what is this")
    if note:
        target.with_name("set.zip.partial.json").write_text(note)
    fetch(whole(CONTENT))
    assert "range" not in server.asked[0].headers
    assert target.read_bytes() == CONTENT


def test_a_cut_chunked_body_is_noticed(fetch: Any, target: Path) -> None:
    head = '200 OK\nTransfer-Encoding: chunked\nETag: "v1"'
    chunk = f"{len(CONTENT):x}\r\n".encode() + CONTENT + b"\r\n"
    fetch(sending(head, chunk[:5000]), sending(head, chunk), sending(head, chunk + b"0\r\n\r\n"))
    assert target.read_bytes() == CONTENT


def test_a_body_without_an_end_is_refused_unless_its_hash_is_known(fetch: Any, target: Path) -> None:
    with pytest.raises(DownloadError, match="does not say how long it is"):
        fetch(sending("200 OK", CONTENT))
    cut, rest = sending(f"200 OK\nx-goog-hash: md5={MD5}", CONTENT[:-1]), sending("200 OK", CONTENT)
    fetch(cut, rest, expected=Expected(sha256=SHA256))
    assert target.read_bytes() == CONTENT


def test_a_length_that_is_too_small_is_caught_by_the_hash(fetch: Any, target: Path) -> None:
    head = f"200 OK\nContent-Length: 1000\nx-goog-hash: crc32c=AAAAAA==,md5={MD5}"
    with pytest.raises(DownloadError, match="not those of the MD5 that the server gives"):
        fetch(sending(head, CONTENT))
    assert left_over(target) == []


def test_a_length_that_is_too_large_never_gives_a_file(fetch: Any, target: Path, clock: Clock) -> None:
    with pytest.raises(DownloadError, match=r"6 times in a row"):
        fetch(sending(f"200 OK\nContent-Length: {len(CONTENT) + 1}", CONTENT), attempts=6)
    assert not target.exists()
    assert clock.slept == [1, 2, 4, 8, 16]


def test_wrong_bytes_are_fetched_once_more(fetch: Any, server: Any, whole: Any, target: Path) -> None:
    hashed = f"\nx-goog-hash: crc32c=AAAAAA==\nx-goog-hash: md5={MD5}"
    wrong = b"x" + CONTENT[1:]
    fetch(whole(wrong, head=hashed), whole(CONTENT, head=hashed))
    assert target.read_bytes() == CONTENT
    target.unlink()
    with pytest.raises(DownloadError, match="MD5 that the server gives"):
        fetch(whole(wrong, head=hashed))
    assert len(server.asked) == 2
    assert not target.exists()


def test_a_file_other_than_the_one_on_record_is_refused_with_the_remedy(
    fetch: Any, server: Any, whole: Any, target: Path
) -> None:
    on_record = Expected(len(CONTENT), SHA256, remedy="Remove its entry.")
    assert fetch(whole(CONTENT), expected=on_record).sha256 == SHA256
    target.unlink()
    with pytest.raises(DownloadError, match=r"has changed: it has 5 bytes .* 300,000 on record\. Remove its entry\."):
        fetch(whole(b"other"), expected=on_record)
    for head, times in (("", 2), (f"\nx-goog-hash: md5={base64.b64encode(hashlib.md5(b'y').digest()).decode()}", 1)):
        with pytest.raises(DownloadError, match=r"has changed: 1 bytes came.*Remove its entry\."):
            fetch(whole(b"y", head=head), expected=Expected(1, SHA256, "Remove its entry."))
        assert len(server.asked) == times
    assert left_over(target) == []


def test_silence_is_a_stall(fetch: Any, whole: Any, target: Path) -> None:
    def stall(asked: Any) -> None:
        whole(CONTENT, cut_after=50_000)(asked)
        time.sleep(1)

    fetch(stall, whole(CONTENT), stall_s=0.2)
    assert target.read_bytes() == CONTENT


def test_a_drip_that_keeps_the_connection_alive_is_a_stall_too(
    fetch: Any, whole: Any, target: Path, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    def drip(asked: Any) -> None:
        whole(CONTENT, cut_after=2)(asked)
        for byte in CONTENT[2:40]:
            asked.socket.sendall(bytes([byte]))
            time.sleep(0.02)

    clock.step_s = 3
    with caplog.at_level(logging.WARNING):
        fetch(drip, whole(CONTENT), stall_s=60)
    assert "bytes came in 60 s; again in 1 s" in caplog.text
    assert target.read_bytes() == CONTENT


@pytest.mark.parametrize("part", ["head", "body"])
def test_the_deadline_holds_for_the_whole_request(fetch: Any, target: Path, part: str) -> None:
    def drip(asked: Any) -> None:
        asked.socket.sendall(
            b"HTTP/1.1 200 OK\r\n" if part == "head" else b"HTTP/1.1 200 OK\r\nContent-Length: 9999\r\n\r\n"
        )
        for _ in range(300):
            asked.socket.sendall(b"x")
            time.sleep(0.01)

    with pytest.raises(DownloadError, match=r"0\.3 s were not enough.*run again to continue"):
        fetch(drip, deadline_s=0.3)
    assert not target.exists()


def test_no_wait_goes_past_the_deadline(fetch: Any, clock: Clock) -> None:
    with pytest.raises(DownloadError, match="503 Busy, and no time is left"):
        fetch(sending("503 Busy\nRetry-After: 100\nContent-Length: 0"), deadline_s=250)
    assert clock.slept == [100, 100]


@pytest.mark.parametrize(
    ("head", "slept"),
    [
        ("429 Slow\nRetry-After: 7", 7),
        ("503 Busy\nRetry-After: 7", 7),
        ("503 Busy\nRetry-After: 0", 1),
        ("429 Slow\nRetry-After: Sun, 01 Mar 2020 12:00:00 GMT", 1),
        ("429 Slow\nRetry-After: -5", 1),
        ("429 Slow\nRetry-After: nan", 1),
        ("429 Slow\nRetry-After: abc", 1),
        ("500 Oops", 1),
        ("502 Gate", 1),
        ("504 Gate", 1),
        ("408 Late", 1),
    ],
)
def test_a_bad_moment_is_waited_out(fetch: Any, whole: Any, clock: Clock, head: str, slept: float) -> None:
    fetched = fetch(sending(f"{head}\nContent-Length: 0"), whole(CONTENT))
    assert fetched.sha256 == SHA256
    assert clock.slept == [slept]


@pytest.mark.parametrize("retry_after", ["301", "1000000000", "9" * 400, "Fri, 01 Jan 2100 12:00:00 GMT"])
def test_a_wait_longer_than_the_longest_ends_the_run(fetch: Any, clock: Clock, retry_after: str) -> None:
    with pytest.raises(DownloadError, match=r"429 Slow and asks to wait .* s\. What came is kept: run again later"):
        fetch(sending(f"429 Slow\nRetry-After: {retry_after}\nContent-Length: 0"))
    assert clock.slept == []


@pytest.mark.parametrize("status", ["401 No", "403 No", "404 No", "410 No", "202 Challenge", "304 Same", "300 Many"])
def test_a_refusal_is_not_argued_with(fetch: Any, server: Any, target: Path, clock: Clock, status: str) -> None:
    with pytest.raises(DownloadError, match=rf"127\.0\.0\.1 answers {status}, which no retry mends"):
        fetch(sending(f"{status}\nContent-Length: 0"))
    with pytest.raises(DownloadError, match=r"^ask Ann$"):
        fetch(sending(f"{status}\nContent-Length: 0"), refusals={int(status[:3]): "ask Ann"})
    assert (len(server.asked), clock.slept, left_over(target)) == (1, [], [])


@pytest.mark.parametrize(
    "answer",
    [
        sending("200 OK\nContent-Type: text/html; charset=utf-8\nContent-Length: 5", b"hello"),
        sending("200 OK\nContent-Length: 24", b" \n<!DOCTYPE html><html>  "),
        sending("200 OK\nContent-Length: 12", b"\xef\xbb\xbf<HTML>Log"),
    ],
)
def test_a_login_page_is_no_file(fetch: Any, server: Any, target: Path, answer: object) -> None:
    with pytest.raises(DownloadError, match="a web page came instead of the file"):
        fetch(answer)
    assert (len(server.asked), left_over(target)) == (1, [])


def test_a_packed_body_is_refused_and_not_unpacked(fetch: Any, target: Path) -> None:
    bomb = gzip.compress(b"0" * 50_000_000)
    with pytest.raises(DownloadError, match=r"sends it packed \(gzip\)"):
        fetch(sending(f"200 OK\nContent-Encoding: gzip\nContent-Length: {len(bomb)}", bomb))
    assert left_over(target) == []


def test_more_than_is_accepted_is_refused_announced_or_not(fetch: Any, target: Path) -> None:
    with pytest.raises(DownloadError, match=r"has 300,000 bytes; 1,000 are accepted"):
        fetch(sending(f"200 OK\nContent-Length: {len(CONTENT)}", CONTENT), max_bytes=1000)
    chunk = f"{len(CONTENT):x}\r\n".encode() + CONTENT + b"\r\n"
    with pytest.raises(DownloadError, match="larger than the 1,000 bytes accepted"):
        fetch(sending("200 OK\nTransfer-Encoding: chunked", chunk), max_bytes=1000)
    assert left_over(target) == []


def test_garbage_and_hang_ups_are_failures_of_the_connection(fetch: Any, whole: Any, target: Path) -> None:
    def reset(asked: Any) -> None:
        whole(CONTENT, cut_after=1000)(asked)
        asked.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        asked.socket.close()

    long_head = sending(f"200 OK\nNoise: {'x' * 200_000}\nContent-Length: 0")
    fetch(lambda _: None, lambda asked: asked.socket.sendall(b"\x00" * 99), reset, long_head, whole(CONTENT))
    assert target.read_bytes() == CONTENT


def test_nobody_there_is_said_after_the_last_attempt(target: Path, clock: Clock) -> None:
    downloader = Downloader(DownloadConfig(attempts=3), clock, clock.sleep, lambda: 0.0)
    with pytest.raises(DownloadError, match=r"the connection failed .*3 times in a row"):
        downloader.fetch(Request("http://127.0.0.1:9/set", "set.zip"), target)
    assert clock.slept == [0.5, 1]


def test_redirects_are_followed_without_the_credentials(
    fetch: Any, server: Any, other_server: Any, whole: Any, target: Path
) -> None:
    other_server.answers = [whole(CONTENT)]
    moved = sending("302 Found\nLocation: /storage\nContent-Length: 0")
    away = sending(f"302 Found\nLocation: {other_server.address}/bucket\nContent-Length: 0")
    fetch(moved, away)
    assert [asked.path for asked in server.asked] == ["/set", "/storage"]
    assert all("authorization" in asked.headers for asked in server.asked)
    assert "authorization" not in other_server.asked[0].headers
    assert target.read_bytes() == CONTENT


def test_a_redirect_is_asked_for_anew_on_resume(fetch: Any, server: Any, other_server: Any, whole: Any) -> None:
    other_server.answers = [whole(CONTENT, cut_after=1000), whole(CONTENT)]
    numbers = itertools.count()
    fetch(
        lambda asked: asked.send(
            f"HTTP/1.1 302 Found\nLocation: {other_server.address}/signed-{next(numbers)}\nContent-Length: 0"
        )
    )
    assert [asked.path for asked in server.asked] == ["/set", "/set"]
    assert [asked.path for asked in other_server.asked] == ["/signed-0", "/signed-1"]
    assert other_server.asked[1].headers["range"] == "bytes=1000-"


@pytest.mark.parametrize(
    "away", ["http://example.org/x", "ftp://example.org/x", "file:///etc/passwd", "//example.org/x"]
)
def test_a_redirect_off_https_is_not_followed(fetch: Any, server: Any, away: str) -> None:
    with pytest.raises(DownloadError, match="Files are only taken over https"):
        fetch(sending(f"302 Found\nLocation: {away}\nContent-Length: 0"))
    assert len(server.asked) == 1


@pytest.mark.parametrize("away", ["http://[::bad", "https://example.org:port/"])
def test_a_redirect_to_nowhere_is_an_error(fetch: Any, away: str) -> None:
    with pytest.raises(DownloadError, match="Invalid URL in location header"):
        fetch(sending(f"302 Found\nLocation: {away}\nContent-Length: 0"))


def test_a_redirect_loop_ends(fetch: Any, server: Any) -> None:
    with pytest.raises(DownloadError, match="redirects more than 10 times"):
        fetch(sending("302 Found\nLocation: /set\nContent-Length: 0"))
    assert len(server.asked) == 11


def test_this_machine_is_no_place_for_others_to_lead_to(target: Path) -> None:
    downloader = Downloader(DownloadConfig())
    with pytest.raises(DownloadError, match=r"leads to http://example\.org"):
        downloader.fetch(Request("http://example.org/set", "set.zip"), target)


def test_a_full_disk_is_said(fetch: Any, whole: Any, target: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device", "set.zip.partial")

    monkeypatch.setattr("tasks.acquire.download.PartialFile.begin", full)
    with pytest.raises(DownloadError, match=r"set\.zip\.partial cannot be written: No space left.*run again"):
        fetch(whole(CONTENT))


def test_no_secret_is_logged_or_said(
    fetch: Any, other_server: Any, target: Path, caplog: pytest.LogCaptureFixture
) -> None:
    other_server.answers = [sending("503 Busy\nContent-Length: 0")]
    with caplog.at_level(logging.INFO, "tasks"), pytest.raises(DownloadError) as caught:
        fetch(sending(f"302 Found\nLocation: {other_server.address}/x?signature=abc\nContent-Length: 0"))
    said = f"{caught.value} {caplog.messages} {[path.read_text() for path in target.parent.glob('*.json')]}"
    assert "503 Busy" in said
    for secret in ("very-secret", "signature", base64.b64encode(b"ann:very-secret").decode()):
        assert secret not in said


def test_progress_says_how_far_and_how_long_still(
    fetch: Any, whole: Any, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    clock.step_s = 1
    with caplog.at_level(logging.INFO, "tasks.core.logs"):
        fetch(whole(CONTENT))
    assert "download set.zip, bytes: 300,000 of 300,000 (100%)" in caplog.text
