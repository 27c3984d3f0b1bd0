"""The services of `deployments/compose.yaml`, started natively on loopback with the commands that stand there."""

import contextlib
import os
import re
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any
from uuid import uuid4

import httpx
import psutil
import pytest
import yaml

from tasks.core.settings import PROJECT_ROOT

DEPLOYMENTS = PROJECT_ROOT / "deployments"
BIN = Path(sys.executable).parent
POSTGRESQL = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
STARTUP_S = 900  # a busy machine takes long to import Prefect and MLflow
SILENT = "genreflow: mark silent runs as crashed"  # in automations.yaml
# What a server of a team looks at every few seconds to half a minute; and MLflow's jobs, which nothing here uses.
IN_HASTE = {
    "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
    "PREFECT_SERVER_DEPLOYMENTS_CONCURRENCY_SLOT_WAIT_SECONDS": "1",
    "PREFECT_SERVER_EVENTS_PROACTIVE_GRANULARITY": "PT0.5S",
    "PREFECT_SERVER_SERVICES_SCHEDULER_LOOP_SECONDS": "2",
}


@dataclass
class Stack:
    """PostgreSQL, a Prefect server and an MLflow server that run, and what workers and commands find them by."""

    environment: dict[str, str]
    mlflow_uri: str
    database: Callable[[str, str], str]  # the answer to a query in a database
    told: list[bytes] = field(default_factory=list)  # bodies that were posted to the address to notify

    def call(self, *words: str, folder: Path = PROJECT_ROOT) -> str:
        """Run a command of the environment in the project's folder or another; return what it printed."""
        done = self.ask(*words, folder=folder)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def ask(self, *words: str, folder: Path = PROJECT_ROOT) -> "subprocess.CompletedProcess[str]":
        """Run a command that may fail."""
        return subprocess.run(
            [str(BIN / words[0]), *words[1:]],
            env={**self.environment, "PWD": str(folder)}, cwd=folder, capture_output=True, text=True, check=False,
            timeout=STARTUP_S,
        )  # fmt: skip

    def api(self, path: str, content: Any, method: str = "POST") -> Any:
        """Send something to Prefect's API; return its answer."""
        url = f"{self.environment['PREFECT_API_URL']}{path}"
        answer = httpx.request(method, url, json=content, trust_env=False, timeout=STARTUP_S)
        assert answer.is_success, answer.text
        return answer.json() if answer.content else None

    @contextlib.contextmanager
    def taken_for_crashed(self, run_id: str) -> Iterator[None]:
        """Have the server wait ten seconds for a run's next sign of life, not two minutes, and give it the last one.

        Prefect allows no less, and lets flow runs give one no oftener than every 30 seconds.
        """
        (automation,) = self.api("/automations/filter", {"automations": {"name": {"any_": [SILENT]}}})
        path = f"/automations/{automation['id']}"
        asked = {key: automation[key] for key in ("name", "description", "enabled", "trigger", "actions")}
        self.api(path, {**asked, "trigger": {**asked["trigger"], "within": 10}}, "PUT")
        sign_of_life = {
            "event": "prefect.flow-run.heartbeat",
            "occurred": datetime.now(UTC).isoformat(),
            "resource": {"prefect.resource.id": f"prefect.flow-run.{run_id}"},
            "related": [{"prefect.resource.id": "prefect.tag.genreflow", "prefect.resource.role": "tag"}],
            "payload": {},
            "id": str(uuid4()),
        }
        self.api("/events", [sign_of_life])
        yield
        self.api(path, asked, "PUT")

    def states(self, run_id: str) -> list[dict[str, Any]]:
        """Return all states that a flow run had, the first first."""
        url = f"{self.environment['PREFECT_API_URL']}/flow_run_states/"
        answer = httpx.get(url, params={"flow_run_id": run_id}, trust_env=False, timeout=STARTUP_S)
        return sorted(answer.json(), key=lambda state: state["timestamp"])

    def wait_for(self, what: Callable[[], Any], timeout_s: float = STARTUP_S) -> Any:
        """Return the first true value of a function that is called again and again."""
        deadline_s = time.monotonic() + timeout_s
        while time.monotonic() < deadline_s:
            if found := what():
                return found
            time.sleep(0.5)
        raise AssertionError("waited in vain")

    @contextlib.contextmanager
    def worker(self, name: str) -> Iterator[psutil.Process]:
        """A worker that ends with the block, unless it was killed in it."""
        command = [str(BIN / "prefect"), "worker", "start", "--pool", "genreflow", "--name", name]
        with running(command, self.environment) as process:
            yield psutil.Process(process.pid)


@contextlib.contextmanager
def running(command: list[str], environment: dict[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    """A process that ends with the block."""
    log = Path(environment["STACK_LOGS"]) / f"{Path(command[0]).name}-{secrets.token_hex(3)}.log"
    with log.open("wb") as output:
        process = subprocess.Popen(command, env=environment, cwd=PROJECT_ROOT, stdout=output, stderr=output)
        try:
            yield process
        finally:
            family = psutil.Process(process.pid).children(recursive=True) if process.poll() is None else []
            process.send_signal(signal.SIGINT)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(timeout=60)
            for left in family:
                with contextlib.suppress(psutil.NoSuchProcess):
                    left.kill()
            process.kill()
            process.wait()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_until_answers(url: str, process: subprocess.Popen[bytes]) -> None:
    deadline_s = time.monotonic() + STARTUP_S
    while time.monotonic() < deadline_s:
        assert process.poll() is None, f"{process.args} ended"
        with contextlib.suppress(httpx.TransportError):
            if httpx.get(url, trust_env=False).is_success:
                return
        time.sleep(0.5)
    raise AssertionError(f"{url} did not answer")


def service(name: str, addresses: dict[str, str], secret: dict[str, str]) -> tuple[list[str], dict[str, str]]:
    """Return a service's command and environment in compose.yaml, with the addresses that it has here."""
    entry = yaml.safe_load((DEPLOYMENTS / "compose.yaml").read_text(encoding="utf-8"))["services"][name]

    def here(text: str) -> str:
        text = re.sub(r"\$\{(\w+)(:[?-][^}]*)?\}", lambda match: secret[match[1]], text)
        for there, address in addresses.items():
            text = text.replace(there, address)
        return text

    command = [here(word) for word in entry["command"]]
    return [str(BIN / command[0]), *command[1:]], {key: here(value) for key, value in entry["environment"].items()}


@pytest.fixture(scope="module")
def postgres_port() -> Iterator[tuple[int, dict[str, str]]]:
    """A PostgreSQL server with the roles and databases of databases.sh; its port and the passwords."""
    if not POSTGRESQL:
        pytest.skip("PostgreSQL is not installed: apt-get install postgresql")
    bin_, port = POSTGRESQL[-1].parent, free_port()
    secret = {
        name: secrets.token_hex(12) for name in ("POSTGRES_PASSWORD", "PREFECT_DB_PASSWORD", "MLFLOW_DB_PASSWORD")
    }
    # PostgreSQL refuses to run as root; its own user cannot look into pytest's folders.
    as_owner = ["runuser", "-u", "postgres", "--"] if os.geteuid() == 0 else []
    folder = Path(tempfile.mkdtemp(prefix="genreflow-postgres-"))
    (folder / "password").write_text(secret["POSTGRES_PASSWORD"], encoding="utf-8")
    if as_owner:
        for path in (folder, folder / "password"):
            shutil.chown(path, "postgres", "postgres")

    def owner(*command: str) -> None:
        done = subprocess.run([*as_owner, *command], cwd=folder, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr

    data = str(folder / "data")
    owner(str(bin_ / "initdb"), "--pgdata", data, "--username", "postgres", "--encoding", "UTF8", "--no-sync",
          "--auth", "scram-sha-256", "--pwfile", str(folder / "password"))  # fmt: skip
    options = f"-c listen_addresses=127.0.0.1 -c port={port} -c unix_socket_directories={folder} -c fsync=off"
    log = str(folder / "server.log")
    owner(str(bin_ / "pg_ctl"), "start", "--pgdata", data, "--wait", "--options", options, "--log", log)
    try:
        given = {"PGHOST": "127.0.0.1", "PGPORT": str(port), "PGPASSWORD": secret["POSTGRES_PASSWORD"]}
        given |= {"POSTGRES_USER": "postgres", "PATH": f"{bin_}:{os.environ['PATH']}"}
        subprocess.run([str(DEPLOYMENTS / "databases.sh")], env={**os.environ, **secret, **given}, check=True)
        yield port, secret
    finally:
        owner(str(bin_ / "pg_ctl"), "stop", "--pgdata", data, "--mode", "immediate")
        shutil.rmtree(folder)


@pytest.fixture(scope="module")
def told() -> Iterator[tuple[str, list[bytes]]]:
    """An address that can be posted to, and the bodies that were."""
    bodies: list[bytes] = []

    class Receiver(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            bodies.append(self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *arguments: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Receiver)
    Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/hook/s3cret", bodies
    server.shutdown()
    server.server_close()


@pytest.fixture(scope="module")
def stack(postgres_port, told, tmp_path_factory) -> Iterator[Stack]:
    """All services, with everything registered."""
    root = tmp_path_factory.mktemp("stack")
    port, secret = postgres_port
    prefect, mlflow = free_port(), free_port()
    addresses = {
        "postgres:5432": f"127.0.0.1:{port}",
        "0.0.0.0": "127.0.0.1",
        "127.0.0.1:4200": f"127.0.0.1:{prefect}",
        "127.0.0.1:5000": f"127.0.0.1:{mlflow}",  # the one address of MLflow that clients may use here
        "/var/lib/mlflow": str(root / "mlflow"),
    }
    base = {
        key: value for key, value in os.environ.items() if not key.startswith(("PREFECT_", "MLFLOW_", "GENREFLOW_"))
    }
    for name in ("prefect", "work", "logs"):
        (root / name).mkdir()
    base |= {"DO_NOT_TRACK": "1", "PREFECT_SERVER_ANALYTICS_ENABLED": "false", "STACK_LOGS": str(root / "logs")}
    clients = {
        "PREFECT_API_URL": f"http://127.0.0.1:{prefect}/api",
        "PREFECT_HOME": str(root / "work"),
        "PREFECT_WORKER_QUERY_SECONDS": "1",
        "MLFLOW_TRACKING_URI": f"http://127.0.0.1:{mlflow}",
        "GENREFLOW_DATA_DIR": str(root / "data"),
        "GENREFLOW_NOTIFY_URL": told[0],
    }
    with contextlib.ExitStack() as services:
        started = {}
        for name, own_port, path in (("prefect", prefect, "/api/health"), ("mlflow", mlflow, "/health")):
            command, environment = service(name, addresses, secret)
            command = [str(own_port) if word in {"4200", "5000"} else word for word in command]
            home = {"PREFECT_HOME": str(root / "prefect"), **IN_HASTE}
            process = services.enter_context(running(command, {**base, **home, **environment}))
            started[f"http://127.0.0.1:{own_port}{path}"] = process
        for address, process in started.items():
            wait_until_answers(address, process)

        def query(database: str, sql: str) -> str:
            done = subprocess.run(
                [str(POSTGRESQL[-1].parent / "psql"), "--no-psqlrc", "--tuples-only", "--no-align", "--command", sql,
                 "--host", "127.0.0.1", "--port", str(port), "--username", database, database],
                env={**base, "PGPASSWORD": secret[f"{database.upper()}_DB_PASSWORD"]},
                capture_output=True, text=True, check=True,
            )  # fmt: skip
            return done.stdout.strip()

        stack = Stack({**base, **clients}, clients["MLFLOW_TRACKING_URI"], query, told[1])
        stack.call("python", str(DEPLOYMENTS / "register.py"), folder=root)  # a folder that is not the project's
        yield stack
