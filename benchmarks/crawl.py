"""Politeness and speed of the whole crawl, against a local server.

    python benchmarks/crawl.py [pace] [speed]        (default: both)

pace    one minute at each of two rates: requests in the busiest second, by the time at which the server's kernel
        received them, and the share of the configured rate that was reached over the minute.
speed   200,000 ids in batches of 100 at full speed, with client, journal and export on one core and the server on
        another: ids per CPU second of the client, which other work on the machine changes little, and its resident
        memory over time.

It prints a table with a goal for each figure, then all figures as one line of JSON, and fails if a goal is missed.
"""

import contextlib
import json
import os
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
from bisect import bisect_left
from itertools import pairwise
from statistics import median
from urllib.request import urlopen

import psutil

RATES_HZ = (20.0, 50.0)
PACE_S = 62
SPEED_IDS = 200_000
PLOT = "A ferryman who has never left the river refuses to cross it on the day of the flood. " * 4

LEAST_SHARE = 0.95
LEAST_IDS_PER_CPU_S = 2_000
LARGEST_GROWTH_MB = 10.0  # while nine tenths of the ids are answered, with 61 MB of texts

SO_TIMESTAMPING = 37  # of Linux; Python has no name for it
BY_THE_KERNEL = 1 << 3 | 1 << 4  # stamps are made when data is received, and handed out

Figures = dict[str, float]


class Answering:
    """Answers GraphQL questions about titles on kept connections; `GET /` returns when they arrived."""

    def __init__(self) -> None:
        self.arrivals: list[float] = []
        self.listener = socket.create_server(("127.0.0.1", 0))

    def serve(self) -> None:
        """Answer until killed; the first line on standard output is the port."""
        print(self.listener.getsockname()[1], flush=True)
        while True:
            connection, _ = self.listener.accept()
            with contextlib.suppress(OSError):  # only Linux has it
                connection.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPING, BY_THE_KERNEL)
            threading.Thread(target=self.answer_all, args=(connection,), daemon=True).start()

    def answer_all(self, connection: socket.socket) -> None:
        """Answer each request that has arrived completely."""
        data = b""
        while received := connection.recvmsg(1 << 18, 256):
            chunk, notes = received[:2]
            data += chunk
            head, end, body = data.partition(b"\r\n\r\n")
            lengths = [line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
            if not chunk:
                return
            if end and len(body) == int(lengths[0].split(b":")[1] if lengths else 0):
                connection.sendall(self.answer(head, body, time_of_arrival(notes)))
                data = b""

    def answer(self, head: bytes, body: bytes, at_s: float) -> bytes:
        """Return the answer to one request."""
        told: object = sorted(self.arrivals)
        if head.startswith(b"POST"):
            self.arrivals.append(at_s)
            ids = json.loads(body)["variables"]["ids"]
            told = {"data": {"titles": [{"id": name, "plot": {"plotText": {"plainText": PLOT}}} for name in ids]}}
        content = json.dumps(told).encode()
        kind = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: "
        return kind + str(len(content)).encode() + b"\r\n\r\n" + content


def time_of_arrival(notes: list[tuple[int, int, bytes]]) -> float:
    """Return when the kernel received the last bytes, in seconds; if it does not report that, now."""
    for level, kind, stamp in notes:
        if (level, kind) == (socket.SOL_SOCKET, SO_TIMESTAMPING):
            seconds, nanoseconds = struct.unpack("qq", stamp[:16])
            return float(seconds + nanoseconds / 1e9)
    return time.time()


def crawl(n_ids: int, port: str, choices: dict[str, object]) -> None:
    """Crawl a number of ids in a fresh data folder, and print the cost as JSON."""
    from tasks.acquire.config import CrawlConfig  # noqa: PLC0415 - the server does without
    from tasks.acquire.crawl.crawl import run_crawl  # noqa: PLC0415
    from tasks.core.logs import Progress  # noqa: PLC0415
    from tasks.core.settings import data_paths  # noqa: PLC0415

    paths = data_paths()
    paths.raw.mkdir(parents=True)
    rows = "".join(f"tt{number:07},Mill,Drama,Add a Plot\n" for number in range(n_ids))
    (paths.raw / "drama.csv").write_text("movie_id,movie_name,genre,description\n" + rows, encoding="utf-8")
    fixed = {"sources": ("imdb_graphql",), "online": True, "accept_imdb_terms": True}
    config = CrawlConfig.model_validate({**fixed, "base_urls": {"imdb_graphql": f"http://127.0.0.1:{port}"}, **choices})
    process = psutil.Process()
    memory: list[tuple[int, float]] = []  # ids answered, megabytes
    seen: list[Progress] = []
    ended = threading.Event()

    def watch_memory() -> None:
        while not ended.wait(0.1):
            memory.append((seen[-1].done if seen else 0, process.memory_info().rss / 1e6))

    watcher = threading.Thread(target=watch_memory)
    before_s = cpu_s(process)
    watcher.start()
    result = run_crawl(paths, config, seen.append)
    ended.set()
    watcher.join()
    assert result.outcome == "done", result
    assert result.stage.counts["plots"] == n_ids
    print(json.dumps({"cpu_s": cpu_s(process) - before_s, "memory": memory}))


def cpu_s(process: psutil.Process) -> float:
    """Return the CPU time of all threads of a process so far."""
    times = process.cpu_times()
    return float(times.user + times.system)


def measure(n_ids: int, choices: dict[str, object]) -> tuple[dict[str, object], list[float]]:
    """Run server and crawl in separate processes, each on one core, and return the cost and the arrivals."""

    def start(*arguments: str) -> subprocess.Popen[str]:
        command = [sys.executable, __file__, *arguments]
        return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)

    with tempfile.TemporaryDirectory() as folder:
        own = {"DATA_DIR": folder, "CONTACT": "someone@example.org", "IMDB_GRAPHQL_HEADERS": '{"x-api-key": "none"}'}
        environment = {**os.environ, **{f"GENREFLOW_{name}": value for name, value in own.items()}}
        with start("serve") as server:
            try:
                assert server.stdout is not None
                port = server.stdout.readline().strip()
                with start("crawl", str(n_ids), port, json.dumps(choices)) as client:
                    assert client.stdout is not None
                    took = json.loads(client.stdout.read())
                with urlopen(f"http://127.0.0.1:{port}/") as answer:  # nosec B310
                    return took, json.load(answer)
            finally:
                server.kill()


def pin_to_core(number: int) -> None:
    """Pin this process to one of the cores that it may use, if the system supports it."""
    if hasattr(os, "sched_setaffinity"):
        cores = sorted(os.sched_getaffinity(0))
        os.sched_setaffinity(0, {cores[number % len(cores)]})


def measure_pace(rate_hz: float) -> Figures:
    """Return how well the configured rate was kept."""
    _, arrivals = measure(round(PACE_S * rate_hz), {"rate_hz": rate_hz, "batch_size": 1})
    gaps_s = [after - before for before, after in pairwise(arrivals)]
    return {
        "rate_hz": rate_hz,
        "busiest_second": max(bisect_left(arrivals, at + 1.0) - index for index, at in enumerate(arrivals)),
        "share_over_minute": round(bisect_left(arrivals, arrivals[0] + 60.0) / 60 / rate_hz, 4),
        "gap_ms_shortest": round(1000 * min(gaps_s), 1),
        "gap_ms_median": round(1000 * median(gaps_s), 1),
        "gap_ms_longest": round(1000 * max(gaps_s), 1),
    }


def measure_speed() -> Figures:
    """Return the highest speed of the crawl and its memory."""
    took, arrivals = measure(SPEED_IDS, {"rate_hz": 1e6, "batch_size": 100})
    cost_s, memory = took["cpu_s"], took["memory"]
    assert isinstance(cost_s, float)
    assert isinstance(memory, list)
    while_asking = [mb for done, mb in memory if SPEED_IDS / 10 < done < SPEED_IDS]
    return {
        "ids": SPEED_IDS,
        "requests": len(arrivals),
        "ids_per_cpu_s": round(SPEED_IDS / cost_s),
        "ids_per_s": round(SPEED_IDS / (arrivals[-1] - arrivals[0])),
        "memory_mb_growth": round(max(while_asking) - while_asking[0], 1),
        "memory_mb_peak": round(max(mb for _, mb in memory), 1),  # with what is missing worked out, and the export
    }


def report(speed: Figures | None, paces: list[Figures]) -> bool:
    """Print table and JSON; return whether all goals were reached."""
    rows: list[tuple[str, str, str, bool]] = []
    for pace in paces:
        what, rate_hz = f"at {pace['rate_hz']:g} requests a second, ", pace["rate_hz"]
        busiest, share = pace["busiest_second"], pace["share_over_minute"]
        rows.append((f"{what}busiest second", f"{busiest:g}", f"<= {rate_hz:g}", busiest <= rate_hz))
        rows.append((f"{what}share over a minute", f"{share:.1%}", f">= {LEAST_SHARE:.0%}", share >= LEAST_SHARE))
    if speed:
        ids, growth_mb = speed["ids_per_cpu_s"], speed["memory_mb_growth"]
        goal = f">= {LEAST_IDS_PER_CPU_S:,}"
        rows.append(("unlimited, ids a second of CPU time", f"{ids:,}", goal, ids >= LEAST_IDS_PER_CPU_S))
        what = f"growth of memory over {speed['ids']:,} ids, MB"
        rows.append((what, f"{growth_mb:g}", f"<= {LARGEST_GROWTH_MB:g}", growth_mb <= LARGEST_GROWTH_MB))
    for what, figure, goal, is_reached in rows:
        print(f"{what:<50} {figure:>10}   {goal:<8} {'reached' if is_reached else 'MISSED'}")
    print(json.dumps({"benchmark": "crawl", "speed": speed, "pace": paces}))
    return all(is_reached for *_, is_reached in rows)


def main(arguments: list[str]) -> int:
    """Run the server, run the client, or measure."""
    if arguments[:1] == ["serve"]:
        pin_to_core(1)
        Answering().serve()
    elif arguments[:1] == ["crawl"]:
        pin_to_core(0)
        crawl(int(arguments[1]), arguments[2], json.loads(arguments[3]))
    else:
        speed = measure_speed() if not arguments or "speed" in arguments else None
        paces = [measure_pace(rate_hz) for rate_hz in RATES_HZ] if not arguments or "pace" in arguments else []
        return 0 if report(speed, paces) else 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
