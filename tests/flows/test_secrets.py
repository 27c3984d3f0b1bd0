"""Secrets are planted wherever a user may have one; then whatever the commands leave or say is searched for them.

The MLflow store is a server whose address has a password; a server that refuses repeats what it was sent.
"""

import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx
import pytest
from prefect.settings import PREFECT_API_URL, get_current_settings

from tasks.core.settings import PROJECT_ROOT

PATIENCE_S = 1800  # with a busy machine
USER = "planted-user"
SECRETS = {
    "GENREFLOW_OMDB_API_KEY": "planted-omdb",
    "GENREFLOW_NOTIFY_URL": "http://127.0.0.1:9/planted-notify",
    "KAGGLE_KEY": "planted-kaggle",
    "AWS_SECRET_ACCESS_KEY": "planted-aws",
    "HF_TOKEN": "planted-hf",
    "PREFECT_API_AUTH_STRING": "admin:planted-prefect",
}
OTHERS = ("planted-tracking", "planted-proxy", "planted-header")


class Repeats(BaseHTTPRequestHandler):
    """Refuses every request, and says all that it was told."""

    def do_GET(self) -> None:
        body = json.dumps({"Response": "False", "Error": f"{self.path} {self.headers}"}).encode()
        self.send_response(403)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_POST(self) -> None:
        self.do_GET()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def refusing() -> Iterator[str]:
    """The address of a server that refuses."""
    with ThreadingHTTPServer(("127.0.0.1", 0), Repeats) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.fixture
def mlflow_server(tmp_path: Path) -> Iterator[str]:
    """Host and port of an MLflow server on this machine, whose files lie in the test's folder."""
    with closing(socket.create_server(("127.0.0.1", 0))) as probe:
        port = probe.getsockname()[1]
    command = [
        str(Path(sys.executable).with_name("mlflow")), "server", "--host", "127.0.0.1", "--port", str(port),
        "--workers", "1", "--backend-store-uri", f"sqlite:///{tmp_path / 'server.db'}",
        "--artifacts-destination", str(tmp_path / "artifacts"),
    ]  # fmt: skip
    environment = {**without_the_session_s(), "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    with (tmp_path / "server.log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, env=environment, cwd=tmp_path)
        try:
            wait_for(f"http://127.0.0.1:{port}/health", process)
            yield f"127.0.0.1:{port}"
        finally:
            process.terminate()
            process.wait(PATIENCE_S)


def wait_for(address: str, process: "subprocess.Popen[bytes]") -> None:
    deadline_s = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline_s and process.poll() is None:
        try:
            if httpx.get(address, trust_env=False).status_code == 200:
                return
        except httpx.TransportError:
            time.sleep(0.5)
    raise AssertionError("the MLflow server did not start")


def without_the_session_s() -> dict[str, str]:
    return {key: value for key, value in os.environ.items() if not key.startswith(("PREFECT_", "MLFLOW_"))}


@pytest.fixture
def environment(prefect_harness: None, tmp_path: Path, mlflow_server: str) -> dict[str, str]:
    """An environment full of secrets, in which commands write to the test's folder and use the session's Prefect."""
    proxy = "http://someone:planted-proxy@127.0.0.1:9"
    return {
        **without_the_session_s(),
        **SECRETS,
        "GENREFLOW_DATA_DIR": str(tmp_path / "data"),
        "GENREFLOW_CONTACT": "someone@example.org",
        "GENREFLOW_IMDB_GRAPHQL_HEADERS": '{"x-api-key": "planted-header"}',
        "KAGGLE_USERNAME": "ann",
        "MLFLOW_TRACKING_URI": f"http://{USER}:planted-tracking@{mlflow_server}",
        "PREFECT_API_URL": str(PREFECT_API_URL.value()),
        "PREFECT_HOME": str(tmp_path / "prefect"),
        "HTTPS_PROXY": proxy,
        "HTTP_PROXY": proxy,
        "NO_PROXY": "127.0.0.1,localhost",
    }


def run(environment: dict[str, str], flow: str, *options: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(PROJECT_ROOT / "flows" / f"{flow}.py"), *options]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=PATIENCE_S)


def prefect_files() -> list[Path]:
    """Return the database of the session's Prefect server, and what is not yet written into it."""
    address = get_current_settings().server.database.connection_url
    database = Path(address.get_secret_value().partition(":///")[2]) if address else Path("none")
    return [path for path in database.parent.glob(f"{database.name}*") if path.is_file()]


def leaks(root: Path, *said: str) -> list[str]:
    """Return where a secret stands, in any file under a folder or in what commands said."""
    hidden = [*SECRETS.values(), "planted-prefect", *OTHERS]
    places = {str(path): path.read_bytes() for path in root.rglob("*") if path.is_file()}
    places |= {str(path): path.read_bytes() for path in prefect_files()}
    places |= {f"output {number}": text.encode() for number, text in enumerate(said)}
    assert len(places) > 20, "the search has to have something to search"
    return [
        f"{place}: {secret}" for place, content in places.items() for secret in hidden if secret.encode() in content
    ]


@pytest.mark.services
def test_no_secret_is_said_or_kept(tmp_path, environment, refusing):
    trained = run(
        environment, "full_pipeline", "--sample.n-movies", "200", "--models", "nb-counts,logreg-title",
        "--model-params", '{"nb-counts": {"min_movies": 100000}}', "--skip", "annotate", "--verbose",
    )  # fmt: skip
    assert "1 model(s) failed" in trained.stderr, trained.stderr
    assert "logreg-title" in trained.stdout
    last_run = json.loads((tmp_path / "data" / "results" / "last_run.json").read_text(encoding="utf-8"))
    assert USER not in last_run["run"]["experiment"]["tracking_uri"]

    compared = run(environment, "compare", "--no-report")  # which finds the store by the environment
    assert compared.returncode == 0, compared.stderr

    # Kaggle's client then asks for localhost, which the proxy answers.
    proxied = {**environment, "KAGGLE_API_ENVIRONMENT": "LOCALHOST", "HTTP_PROXY": refusing, "NO_PROXY": "127.0.0.1"}
    refused = run(proxied, "acquire", "--source", "kaggle", "--verbose")
    assert "error: Kaggle refuses access to" in refused.stderr, refused.stderr

    raw = tmp_path / "listings"
    raw.mkdir()
    (raw / "drama.csv").write_text("movie_id,movie_name,genre,description\ntt0000001,Mill,Drama,Add a Plot\n")
    crawled = run(
        environment, "acquire", "--source", str(raw), "--crawl.online", "--crawl.sources", "omdb",
        "--crawl.base-urls", json.dumps({"omdb": refusing}), "--verbose",
    )  # fmt: skip
    assert crawled.returncode == 1, crawled.stderr
    assert "omdb" in crawled.stderr

    gone = {**environment, "MLFLOW_TRACKING_URI": "http://someone:planted-tracking@127.0.0.1:9",
            "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0"}  # fmt: skip
    unanswered = run(gone, "predict", "--text", "A ghost haunts the old house.")
    assert unanswered.returncode == 1
    assert "http://127.0.0.1:9" in unanswered.stderr

    assert prefect_files(), "what Prefect keeps was to be searched as well"
    said = [text for done in (trained, compared, refused, crawled, unanswered) for text in (done.stdout, done.stderr)]
    assert leaks(tmp_path, *said) == []


def test_the_search_finds_what_was_planted(tmp_path):
    for number in range(21):
        (tmp_path / str(number)).write_text("planted-kaggle" if number == 7 else "", encoding="utf-8")
    assert leaks(tmp_path, "... planted-proxy ...") == [f"{tmp_path / '7'}: planted-kaggle", "output 0: planted-proxy"]


def test_an_unexpected_error_says_no_secret(tmp_path):
    code = (
        "from flows.cli import run_command\n"
        "from flows.config import CompareConfig\n"
        "def fail(config): raise RuntimeError('asked with planted-kaggle at http://a:planted-else@host')\n"
        "run_command(CompareConfig, fail)\n"
    )
    environment = {**os.environ, "KAGGLE_KEY": "planted-kaggle", "PYTHONPATH": str(PROJECT_ROOT)}
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "Traceback" in done.stderr
    assert "RuntimeError: asked with *** at http://a:***@host" in done.stderr
    assert "planted" not in done.stderr.partition("RuntimeError")[2]
