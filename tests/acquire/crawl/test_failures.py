"""What a broken, hostile or busy server does to us, for each way that is known: the reaction, and what is recorded."""

import gzip
import json
import socket
import struct
import time
import tracemalloc
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import format_datetime

import pytest

from tasks.acquire.crawl.client import MAX_BYTES

ID = "tt0000001"
GOOD = {"Response": "True", "imdbID": ID, "Plot": "A ferryman refuses to cross."}
BODY = json.dumps(GOOD).encode()


def reply(body: bytes = BODY, status: str = "200 OK", kind: str = "application/json", **headers: str) -> bytes:
    lines = {"Content-Type": kind, "Content-Length": str(len(body)), "Connection": "close"}
    lines |= {name.replace("_", "-"): value for name, value in headers.items()}
    head = "".join(f"{name}: {value}\r\n" for name, value in lines.items() if value)
    return f"HTTP/1.1 {status}\r\n{head}\r\n".encode() + body


def reset_mid_body(connection: socket.socket) -> None:
    connection.sendall(reply()[:-10])
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def drip(connection: socket.socket) -> None:
    for byte in reply():
        connection.sendall(bytes([byte]))
        time.sleep(0.05)


def say_nothing(connection: socket.socket) -> None:
    connection.settimeout(3)
    connection.recv(1)


PAGE = b"<!DOCTYPE html><title>Are you human?</title>"
MANY_BYTES = gzip.compress(b'{"Plot": "' + b"a" * (64 << 20) + b'"}')
CHUNKED = reply(b"", Transfer_Encoding="chunked", Content_Length="") + b"40\r\n" + BODY[:20]
PACKED = gzip.compress(BODY)

HEALS = {
    "reset mid-body": reset_mid_body,
    "closed mid-body": reply()[:-10],
    "cut chunk": CHUNKED,
    "no reply": b"",
    "garbage": b"\x00\xff nothing like HTTP\r\n\r\n",
    "200 KB of headers": reply(Noise="x" * 200_000),
    "body cut without a length": reply(BODY[:-10], Content_Length=""),
    "packed body cut, its length right": reply(PACKED[:-12], Content_Encoding="gzip"),
    "packed body damaged": reply(b"\x1f\x8b\x08\x00" + b"\xff" * 40, Content_Encoding="gzip"),
    "a byte at a time": drip,
    "accepts and says nothing": say_nothing,
    "500": reply(PAGE, "500 Internal Server Error", "text/html"),
    "502": reply(PAGE, "502 Bad Gateway", "text/html"),
    "504": reply(b"", "504 Gateway Timeout"),
    "408": reply(b"", "408 Request Timeout"),
    "in words": reply(b'{"Response": "False", "Error": "Error getting data."}'),
}
GARBLED = {
    "invalid UTF-8": reply(b'{"Response": "True", "imdbID": "tt0000001", "Plot": "caf\xe9"}'),
    "bomb": reply(MANY_BYTES, Content_Encoding="gzip"),
    "bomb without packing": reply(b" " * (9 << 20)),
    "packing that was not offered": reply(b"...", Content_Encoding="br"),
    "200,000 brackets": reply(b"[" * 200_000),
    "NaN": reply(BODY[:-1] + b', "rating": NaN}'),
    "endless number": reply(BODY[:-1] + b', "votes": ' + b"9" * 5_000 + b"}"),
    "a list": reply(b"[]"),
    "another id": reply(BODY.replace(b"tt0000001", b"tt0000002")),
}
BLOCKS = {
    "403 page": reply(PAGE, "403 Forbidden", "text/html"),
    "403 JSON": reply(b'{"message": "Forbidden"}', "403 Forbidden"),
    "403 whose body never ends": lambda connection: (
        connection.sendall(reply(b"{", "403 Forbidden", Content_Length="9")),
        say_nothing(connection),
    ),
    "202 challenge": reply(PAGE, "202 Accepted", "text/html"),
    "200 page": reply(PAGE, kind="text/html; charset=utf-8"),
    "200 page that claims to be JSON": reply(b"\n " + PAGE),
    "404 page": reply(PAGE, "404 Not Found", "text/html"),
    "302": reply(b"", "302 Found", Location="https://elsewhere.example/?apikey=k3y-0f-0mdb"),
    "redirect to itself": reply(b"", "301 Moved Permanently", Location="/"),
    "bad key": reply(b'{"Response": "False", "Error": "Invalid API key!"}', "401 Unauthorized"),
}


@pytest.mark.parametrize("fault", HEALS.values(), ids=HEALS)
def test_what_may_heal_is_retried(campaign, fault):
    campaign.lack(ID)
    campaign.server.script.extend([fault, fault, reply()])
    result = campaign.run(deadline_s=0.5)
    assert len(campaign.server.requests) == 3
    assert campaign.states() == {ID: "ok"}
    assert result.outcome == "done"
    assert [seconds for seconds in campaign.clock.slept if seconds >= 1] == [1, 2]


@pytest.mark.parametrize("name", ["no reply", "cut chunk", "accepts and says nothing", "packed body damaged", "500"])
def test_what_does_not_heal_is_recorded_as_failed_and_asked_again_by_the_next_run(campaign, name):
    campaign.lack(ID)
    campaign.server.script.extend([HEALS[name], HEALS[name]])
    result = campaign.run(retries=1, deadline_s=0.5)
    assert campaign.states() == {ID: "failed"}
    assert result.outcome == "stopped"
    campaign.server.script.append(reply())
    assert campaign.run().outcome == "done"
    assert campaign.states() == {ID: "ok"}


@pytest.mark.parametrize("fault", GARBLED.values(), ids=GARBLED)
def test_what_makes_no_sense_is_asked_for_twice_and_then_settled(campaign, fault):
    campaign.lack(ID)
    campaign.server.script.extend([fault, fault])
    result = campaign.run()
    assert campaign.states() == {ID: "bad_payload"}
    assert len(campaign.server.requests) == 2
    assert result.outcome == "done"
    campaign.run()
    assert len(campaign.server.requests) == 2


def test_a_bomb_takes_no_more_memory_than_is_accepted(campaign):
    campaign.lack(ID)
    campaign.server.script.extend([GARBLED["bomb"], reply()])
    tracemalloc.start()
    campaign.run()
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert campaign.states() == {ID: "ok"}
    assert peak < 3 * MAX_BYTES


def test_what_was_garbled_on_its_way_is_right_at_the_second_try(campaign):
    campaign.lack(ID)
    campaign.server.script.extend([GARBLED["invalid UTF-8"], reply()])
    campaign.run()
    assert campaign.plots() == {ID: "A ferryman refuses to cross."}


@pytest.mark.parametrize("fault", BLOCKS.values(), ids=BLOCKS)
def test_a_block_ends_the_run_at_once_and_settles_nothing(campaign, fault):
    campaign.lack(ID, "tt0000002")
    campaign.server.script.append(fault)
    result = campaign.run(deadline_s=1.0)
    assert result.outcome == "blocked"
    assert len(campaign.server.requests) == 1
    assert campaign.states() == {}
    assert "k3y-0f-0mdb" not in str(result)


@pytest.mark.parametrize(
    ("status", "body"), [("400 Bad Request", b'{"message": "bad id"}'), ("404 Not Found", b"{}"), ("422 No", b"no")]
)
def test_a_refused_question_about_one_id_is_not_found(campaign, status, body):
    campaign.lack(ID)
    campaign.server.script.append(reply(body, status))
    campaign.run()
    assert campaign.states() == {ID: "not_found"}


def test_a_lone_surrogate_is_taken_out(campaign):
    campaign.lack(ID)
    campaign.server.script.append(reply(rb'{"Response": "True", "imdbID": "tt0000001", "Plot": "A \ud83d cat\u0000."}'))
    campaign.run()
    assert campaign.states() == {ID: "ok"}
    assert campaign.plots() == {ID: "A  cat."}


@dataclass(frozen=True)
class InSeconds:
    """A header with the date that comes so many seconds after now."""

    seconds: float

    def __call__(self, now: float) -> str:
        return format_datetime(datetime.fromtimestamp(now + self.seconds, UTC), usegmt=True)


@pytest.mark.parametrize("status", ["429 Too Many Requests", "503 Service Unavailable"])
@pytest.mark.parametrize(
    ("header", "pause_s"),
    [
        ("7", 7.0),
        ("2.5", 2.5),
        (InSeconds(20), 20.0),
        (InSeconds(-500), 1.0),
        ("0", 1.0),
        ("-5", 1.0),
        ("nan", 1.0),
        ("inf", 1.0),
        ("abc", 1.0),
        ("", 1.0),
        (None, 1.0),
    ],
    ids=str,
)
def test_a_busy_source_gets_the_pause_that_it_asks_for(campaign, status, header, pause_s):
    campaign.lack(ID)
    value = header(campaign.clock.now()) if callable(header) else header
    headers = {} if value is None else {"Retry_After": value}
    page = reply(PAGE, status, "text/html", **headers)
    campaign.server.script.extend([page, reply()])
    assert campaign.run().outcome == "done"
    assert campaign.states() == {ID: "ok"}
    assert sum(campaign.clock.slept) == pytest.approx(pause_s, abs=1)


@pytest.mark.parametrize("status", ["429 Too Many Requests", "503 Service Unavailable"])
@pytest.mark.parametrize("header", ["301", "1000000000", InSeconds(4000)], ids=str)
def test_a_pause_beyond_the_cap_stops_the_run_and_is_kept_in_mind(campaign, status, header):
    campaign.lack(ID, "tt0000002")
    value = header(campaign.clock.now()) if callable(header) else header
    campaign.server.script.append(reply(b"", status, Retry_After=value))
    assert campaign.run().outcome == "stopped"
    assert campaign.states() == {}
    assert campaign.run().outcome == "stopped"  # and sends nothing
    assert len(campaign.server.requests) == 1
    campaign.clock.seconds += 86_401
    campaign.server.answer = lambda request: reply(BODY.replace(b"tt0000001", request.ids[0].encode()))
    assert campaign.run().outcome == "done"


def test_a_source_that_stays_busy_stops_the_run(campaign):
    campaign.lack(ID, "tt0000002")
    campaign.server.answer = lambda _: reply(b"", "429 Too Many Requests")
    assert campaign.run(retries=2).outcome == "stopped"
    assert len(campaign.server.requests) == 3
    assert campaign.states() == {}


def test_a_source_that_is_down_is_left_alone_after_some_failures(campaign):
    campaign.lack(*(f"tt{number:07}" for number in range(1, 50)))
    campaign.server.answer = lambda _: reply(b"", "500 Internal Server Error")
    result = campaign.run(retries=0, failures_in_a_row=3)
    assert result.outcome == "stopped"
    assert list(campaign.states().values()) == ["failed"] * 3
    assert len(campaign.server.requests) == 3
