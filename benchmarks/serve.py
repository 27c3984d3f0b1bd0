"""Latency and throughput of a served model over HTTP, measured on a running server.

    make serve                                          # in another shell
    python benchmarks/serve.py [http://127.0.0.1:8000] [--clients 8] [--requests 200]

Several clients at once send requests of one movie, then one client sends requests of 1,000 movies; the movies are
invented. Latency is the time from sending to the complete response. Clients and server share the machine. Times depend
on the machine.
"""

import argparse
import json
import os
import platform
import time
from concurrent.futures import ThreadPoolExecutor
from itertools import cycle, islice

import httpx
import numpy as np

from tasks.acquire.sample import generate_movies
from tasks.core.schema import RAW_COLUMNS

WARM_UP, ROWS, LARGE_REQUESTS = 10, 1000, 10


def measure(address: str, batches: list[list[dict[str, str]]], clients: int) -> dict[str, float]:
    """Send each batch of rows as one request, and return latencies in milliseconds and rows per second."""
    with httpx.Client(base_url=address, trust_env=False, timeout=300) as client:

        def ask(rows: list[dict[str, str]]) -> float:
            start_s = time.perf_counter()
            answer = client.post("/invocations", json={"dataframe_records": rows}).raise_for_status()
            assert len(answer.json()["predictions"]) == len(rows)
            return time.perf_counter() - start_s

        start_s = time.perf_counter()
        with ThreadPoolExecutor(clients) as pool:
            latencies_ms = 1000 * np.array(list(pool.map(ask, batches)))
        wall_s = time.perf_counter() - start_s
    p50, p99 = np.percentile(latencies_ms, [50, 99])
    rows = sum(map(len, batches))
    return {
        "requests": len(batches),
        "p50_ms": round(float(p50), 1),
        "p99_ms": round(float(p99), 1),
        "rows_per_s": round(rows / wall_s, 1),
    }


def main() -> None:
    """Measure, and print a table and one line of JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("address", nargs="?", default="http://127.0.0.1:8000", help="of the server")
    parser.add_argument("--clients", type=int, default=8, help="at once")
    parser.add_argument("--requests", type=int, default=200, help="of one movie each")
    asked = parser.parse_args()
    rows = [dict(zip(RAW_COLUMNS, movie.rows[0][1], strict=True)) for movie in generate_movies(ROWS, seed=1)]
    movies = [{name: row[name] for name in ("movie_name", "description")} for row in rows]
    single = [[movie] for movie in islice(cycle(movies), asked.requests)]
    measure(asked.address, single[:WARM_UP], clients=1)
    measured = {
        f"1 row, {asked.clients} clients": measure(asked.address, single, asked.clients),
        f"{ROWS:,} rows, 1 client": measure(asked.address, [movies] * LARGE_REQUESTS, clients=1),
    }
    print(f"{'':24} {'requests':>8} {'p50 ms':>9} {'p99 ms':>9} {'rows/s':>9}")
    for name, cost in measured.items():
        print(f"{name:24} {cost['requests']:8} {cost['p50_ms']:9.1f} {cost['p99_ms']:9.1f} {cost['rows_per_s']:9.1f}")
    machine = f"{platform.machine()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}"
    print(json.dumps({"machine": machine, "measured": measured}))


if __name__ == "__main__":
    main()
