"""A crawled plot on its way: from a server that answers like OMDb, through `prepare`, to the cleaned table."""

import csv
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import polars as pl
import pytest
from filelock import FileLock
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import ArtifactFilter

from flows.acquire import acquire, acquire_or_plan, complete
from flows.config import AcquireConfig, PrepareConfig
from flows.prepare import prepare
from tasks.acquire.config import CrawlConfig
from tasks.acquire.crawl.journal import find_missing
from tasks.acquire.task import crawl
from tasks.core.errors import ConfigError, CrawlBlockedError
from tasks.core.settings import DataPaths, data_paths, settings

# Prefect, MLflow and SQLAlchemy warn about each other in depths that are not ours.
pytestmark = pytest.mark.filterwarnings("default")


class LikeOmdb(BaseHTTPRequestHandler):
    """Knows a whole plot of two ids of five, half a plot of one, the title alone of one, and nothing of the last."""

    protocol_version = "HTTP/1.1"
    asked: list[str]  # of the class made for a test
    refusal = ""  # what to say instead of all that

    @staticmethod
    def plot(movie_id: str) -> str:
        whole = f"Ferryman number {int(movie_id[2:])} refuses to cross the river."
        return (whole, whole, whole[:-1] + "...", "N/A", "")[int(movie_id[2:]) % 5]

    def do_GET(self) -> None:
        (movie_id,) = parse_qs(urlsplit(self.path).query)["i"]
        self.asked.append(movie_id)
        told = {"Response": "True", "imdbID": movie_id, "Plot": self.plot(movie_id)}
        if self.refusal or not told["Plot"]:
            told = {"Response": "False", "Error": self.refusal or "Movie not found!"}
        body = json.dumps(told).encode()
        self.send_response(401 if self.refusal else 200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def omdb() -> Iterator[ThreadingHTTPServer]:
    """The server, at a free port of this machine."""
    handler = type("Handler", (LikeOmdb,), {"asked": []})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


@pytest.fixture
def paths(
    prefect_harness: None, own_folders: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[DataPaths]:
    """A data folder of the test's own, and access to the server; the MLflow store is the session's."""
    monkeypatch.setenv("GENREFLOW_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("GENREFLOW_CONTACT", "someone@example.org")
    monkeypatch.setenv("GENREFLOW_OMDB_API_KEY", "k3y-0f-0mdb")
    settings.cache_clear()
    yield data_paths()
    monkeypatch.undo()
    settings.cache_clear()


def polite(omdb: ThreadingHTTPServer) -> CrawlConfig:
    """Return a configuration that asks the server, and does not keep it waiting."""
    address = f"http://127.0.0.1:{omdb.server_port}"
    return CrawlConfig(online=True, rate_hz=1e6, base_urls={"omdb": address})


def write_listing(paths: DataPaths) -> None:
    """Write a listing of two movies that lack their plots."""
    paths.raw.mkdir(parents=True)
    rows = "tt0000001,Mill,Drama,Add a Plot\ntt0000002,Fog,War,Add a Plot\n"
    (paths.raw / "drama.csv").write_text(f"movie_id,movie_name,genre,description\n{rows}", encoding="utf-8")


@pytest.mark.parametrize(
    ("refusal", "state", "share"),
    [("", "Completed", 100), ("Request limit reached!", "Stopped", 0), ("Invalid API key!", "Blocked", 0)],
)
def test_how_a_crawl_ended_is_seen_in_prefect(
    paths: DataPaths, omdb: ThreadingHTTPServer, refusal: str, state: str, share: int
) -> None:
    write_listing(paths)
    omdb.RequestHandlerClass.refusal = refusal
    ended = crawl(polite(omdb), return_state=True)
    assert (ended.name, ended.is_completed()) == (state, state != "Blocked")
    assert refusal in (ended.message or "")
    with get_client(sync_client=True) as client:
        found = client.read_artifacts(
            artifact_filter=ArtifactFilter(task_run_id={"any_": [ended.state_details.task_run_id]})
        )
    assert [(artifact.key, artifact.data) for artifact in found] == [("crawl", share)]


def test_to_stop_for_today_is_no_failure_and_a_block_is_one(paths: DataPaths, omdb: ThreadingHTTPServer) -> None:
    write_listing(paths)
    omdb.RequestHandlerClass.refusal = "Invalid API key!"
    with pytest.raises(CrawlBlockedError, match="GENREFLOW_OMDB_API_KEY"):
        complete(AcquireConfig(crawl=polite(omdb)))
    omdb.RequestHandlerClass.refusal = "Request limit reached!"
    (stage,) = complete(AcquireConfig(crawl=polite(omdb)))
    assert (stage.name, stage.counts["plots"]) == ("crawl", 0)


def test_a_crawl_that_cannot_begin_is_refused_before_the_listings_come(
    paths: DataPaths, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("GENREFLOW_CONTACT")
    settings.cache_clear()
    with pytest.raises(ConfigError, match="GENREFLOW_CONTACT"):
        acquire(AcquireConfig(crawl={"online": True}), "sample")
    assert not paths.raw.exists()


def test_a_plan_is_made_of_the_listings_at_hand_also_while_a_crawl_runs(
    paths: DataPaths, capsys: pytest.CaptureFixture[str]
) -> None:
    write_listing(paths)
    with FileLock(paths.lock):
        acquire_or_plan(config=AcquireConfig(plan=True))
    assert capsys.readouterr().out.startswith("2 of 2 movies lack a whole plot")
    with pytest.raises(ConfigError, match="acquire those of kaggle first"):
        acquire_or_plan(config=AcquireConfig(plan=True, source="kaggle"))


def test_crawled_plots_reach_the_cleaned_table_and_are_not_asked_for_again(
    paths: DataPaths, omdb: ThreadingHTTPServer
) -> None:
    config = PrepareConfig(source="sample", sample={"n_movies": 400}, crawl=polite(omdb), skip=("annotate",))
    stages = {stage.name: stage.counts for stage in prepare(config=config)}
    asked = omdb.RequestHandlerClass.asked
    missing = find_missing(paths.raw)
    assert sorted(asked) == sorted(missing.ids)

    # What is better than the listings' own text: each whole plot, and half a one where they have nothing.
    whole = {name: LikeOmdb.plot(name) for name in missing.ids if int(name[2:]) % 5 < 2}
    half = {name for name in missing.ids if int(name[2:]) % 5 == 2 and name not in missing.truncated}
    assert len(whole) > len(half) > 0
    rows = list(csv.reader(paths.crawl_sources_csv.read_text(encoding="utf-8").splitlines()))
    assert rows[1:] == [[name, "omdb", str(name in half).lower()] for name in sorted({*whole, *half})]

    movies = pl.read_parquet(paths.movies)
    crawled = movies.filter(pl.col("description_source") == "crawl")
    texts = dict(crawled.select("movie_id", "description").iter_rows())
    assert texts == {name: LikeOmdb.plot(name) for name in (*whole, *half) if name in set(movies["movie_id"])}
    assert len(texts) > 0.9 * len(rows)  # others lack a title or a genre
    assert set(crawled.filter("is_truncated")["movie_id"]) == half & texts.keys()
    counts = json.loads(paths.dropped.read_text(encoding="utf-8"))["counts"]
    assert counts["crawl/rows_read"] == len(whole) + len(half) == counts["crawl/unknown_id"] + len(texts)
    assert counts["changed/crawled_text"] == len(texts)

    assert stages["crawl"]["omdb/ok"] == len(whole)
    assert stages["clean"]["changed/crawled_text"] == len(texts)

    n_asked = len(asked)
    assert all(stage.skipped for stage in prepare(config=config))
    assert len(asked) == n_asked
