"""How politely and how fast the crawl asks: against a server of its own on this machine, through the whole of it.

    python benchmarks/crawl.py [pace] [speed]        (default: both)

pace    a minute at each of two rates: requests in the busiest second, as the server saw them arrive, and the share of
        the configured rate that was reached over the minute.
speed   200,000 ids in batches of 100, as fast as it goes: ids a second with the client, the journal and the export on
        one core and the server on another, and the client's resident memory on the way.
"""

import asyncio
import json
import os
import subprocess
import sys
import tempfile
import time
from bisect import bisect_left
from itertools import pairwise
from urllib.request import urlopen

import psutil

RATES_HZ = (20.0, 50.0)
PACE_S = 62
SPEED_IDS = 200_000
PLOT = "A ferryman who has never left the river refuses to cross it on the day of the flood. " * 4


class Answering(asyncio.Protocol):
    """Answers GraphQL questions about titles on a kept connection; `GET /` tells when they arrived."""

    arrivals: list[float] = []  # noqa: RUF012 - of all connections

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin a connection."""
        self.transport, self.data = transport, b""

    def data_received(self, data: bytes) -> None:
        """Answer each request that is there as a whole."""
        self.data += data
        while b"\r\n\r\n" in self.data:
            head, _, body = self.data.partition(b"\r\n\r\n")
            lengths = [line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
            length = int(lengths[0].split(b":")[1]) if lengths else 0
            if len(body) < length:
                return
            self.data = body[length:]
            self.transport.write(self.answer(head, body[:length]))

    def answer(self, head: bytes, body: bytes) -> bytes:
        """Return the answer to one request."""
        told: object = self.arrivals
        if head.startswith(b"POST"):
            self.arrivals.append(time.perf_counter())
            ids = json.loads(body)["variables"]["ids"]
            told = {"data": {"titles": [{"id": name, "plot": {"plotText": {"plainText": PLOT}}} for name in ids]}}
        content = json.dumps(told).encode()
        kind = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: "
        return kind + str(len(content)).encode() + b"\r\n\r\n" + content


async def serve() -> None:
    """Answer until killed; the first line on standard output is the port."""
    server = await asyncio.get_running_loop().create_server(Answering, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


def crawl(n_ids: int, port: str, choices: dict[str, object]) -> None:
    """Crawl so many ids in a fresh data folder, and print what it took as JSON."""
    from tasks.acquire.config import CrawlConfig  # noqa: PLC0415 - the server does without
    from tasks.acquire.crawl.crawl import run_crawl  # noqa: PLC0415
    from tasks.paths import data_paths  # noqa: PLC0415

    paths = data_paths()
    paths.raw.mkdir(parents=True)
    rows = "".join(f"tt{number:07},Mill,Drama,Add a Plot\n" for number in range(n_ids))
    (paths.raw / "drama.csv").write_text("movie_id,movie_name,genre,description\n" + rows, encoding="utf-8")
    fixed = {"sources": ("imdb_graphql",), "online": True, "accept_imdb_terms": True}
    config = CrawlConfig.model_validate({**fixed, "base_urls": {"imdb_graphql": f"http://127.0.0.1:{port}"}, **choices})
    memory: list[tuple[int, float]] = []
    process = psutil.Process()
    start_s = time.perf_counter()
    result = run_crawl(paths, config, lambda now: memory.append((now.done, process.memory_info().rss / 1e6)))
    took = {"seconds": time.perf_counter() - start_s, "cpu_s": sum(process.cpu_times()[:2]), "memory": memory}
    assert result.outcome == "done", result
    print(json.dumps(took | {"plots": result.stage.counts["plots"]}))


def measure(n_ids: int, choices: dict[str, object]) -> tuple[dict[str, object], list[float]]:
    """Run server and crawl in processes of their own, each on its core, and return the cost and the arrivals."""

    def start(*arguments: str) -> subprocess.Popen[str]:
        command = [sys.executable, __file__, *arguments]
        return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)

    with tempfile.TemporaryDirectory() as folder:
        own = {"DATA_DIR": folder, "CONTACT": "someone@example.org", "IMDB_GRAPHQL_HEADERS": '{"x-api-key": "none"}'}
        environment = {**os.environ, **{f"GENREFLOW_{name}": value for name, value in own.items()}}
        with start("serve") as server, start("crawl", str(n_ids), port(server), json.dumps(choices)) as client:
            try:
                assert client.stdout is not None
                took = json.loads(client.stdout.read())
                with urlopen(f"http://127.0.0.1:{server.args[-1]}/") as answer:
                    arrivals = json.load(answer)
            finally:
                server.kill()
    return took, arrivals


def pin_to_core(number: int) -> None:
    """Keep this process to one of the cores that it may use, where the system knows that."""
    if hasattr(os, "sched_setaffinity"):
        cores = sorted(os.sched_getaffinity(0))
        os.sched_setaffinity(0, {cores[number % len(cores)]})


def port(server: subprocess.Popen[str]) -> str:
    """Return the port that a server says it has, and keep it with its arguments."""
    assert server.stdout is not None
    assert isinstance(server.args, list)
    server.args.append(server.stdout.readline().strip())
    return str(server.args[-1])


def measure_pace() -> None:
    """Print how the configured rate was kept."""
    for rate_hz in RATES_HZ:
        _, arrivals = measure(round(PACE_S * rate_hz), {"rate_hz": rate_hz, "batch_size": 1})
        busiest = max(bisect_left(arrivals, at + 1.0) - index for index, at in enumerate(arrivals))
        reached = bisect_left(arrivals, arrivals[0] + 60.0) / 60 / rate_hz
        gaps_ms = sorted(1000 * (after - before) for before, after in pairwise(arrivals))
        print(
            f"pace: {rate_hz:g} requests a second configured: {busiest} in the busiest second, {reached:.1%} of the "
            f"rate over a minute; gaps of {gaps_ms[0]:.1f} to {gaps_ms[-1]:.1f} ms"
        )


def measure_speed() -> None:
    """Print what the crawl does at most."""
    took, arrivals = measure(SPEED_IDS, {"rate_hz": 1e6, "batch_size": 100})
    asking_s = arrivals[-1] - arrivals[0]
    print(
        f"speed: {SPEED_IDS:,} ids in {len(arrivals):,} requests: {SPEED_IDS / asking_s:,.0f} ids a second; with "
        f"finding what is missing and the export {took['seconds']:.1f} s, {took['cpu_s']:.1f} s of CPU time"
    )
    memory = took["memory"]
    assert isinstance(memory, list)
    print("memory: " + ", ".join(f"{mb:.0f} MB after {done:,}" for done, mb in memory if done))


def main(arguments: list[str]) -> None:
    """Be the server, be the client, or measure."""
    if arguments[:1] == ["serve"]:
        pin_to_core(1)
        asyncio.run(serve())
    elif arguments[:1] == ["crawl"]:
        pin_to_core(0)
        crawl(int(arguments[1]), arguments[2], json.loads(arguments[3]))
    else:
        if not arguments or "speed" in arguments:
            measure_speed()
        if not arguments or "pace" in arguments:
            measure_pace()


if __name__ == "__main__":
    main(sys.argv[1:])
