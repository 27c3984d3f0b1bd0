"""What the drill shares: processes that fork its commands, a Prefect server, an undisturbed pipeline run."""

import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import mlflow
import pytest

sys.path.insert(0, str(Path(__file__).parent))  # beside the tests, as these are no package

from harness import STORE_MODULES, Home, Nursery, new_home, quiet_environment

ENOUGH_MB = 1500  # of memory for a run on the small sample


@dataclass(frozen=True)
class Undisturbed:
    """A run to its end without a fault, and how many file events it had."""

    home: Home
    n_events: int


@pytest.fixture(scope="session")
def drill_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of the whole drill."""
    return tmp_path_factory.mktemp("drill")


@pytest.fixture(scope="session")
def empty_store(drill_root: Path) -> Path:
    """An MLflow database with its tables, which take seconds to make, and nothing in them."""
    database = drill_root / "empty.db"
    mlflow.MlflowClient(f"sqlite:///{database}").search_experiments()
    return database


@pytest.fixture(scope="session")
def prefect_api(drill_root: Path) -> Iterator[str]:
    """The address of a Prefect server of the drill's own."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [Path(sys.executable).with_name("prefect"), "server", "start", "--host", "127.0.0.1", "--port", str(port)]
    environment = quiet_environment(drill_root)
    with subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as server:
        address = f"http://127.0.0.1:{port}/api"
        deadline_s = time.monotonic() + 600
        while not _answers(address):
            assert server.poll() is None, "the Prefect server ended"
            assert time.monotonic() < deadline_s, "the Prefect server does not start"
            time.sleep(0.2)
        yield address
        server.kill()


def _answers(address: str) -> bool:
    try:
        return httpx.get(f"{address}/health", trust_env=False).status_code == 200
    except httpx.TransportError:
        return False


@pytest.fixture(scope="session")
def nursery(drill_root: Path, prefect_api: str) -> Iterator[Nursery]:
    """The process that forks whole pipelines."""
    modules = ("flows.full_pipeline", "flows.run_context", "small_flow", *STORE_MODULES)
    nursery = Nursery(drill_root, modules, prefect_api)
    yield nursery
    nursery.close()


@pytest.fixture
def home(tmp_path: Path, empty_store: Path) -> Home:
    """Fresh folders with an empty store."""
    return new_home(tmp_path / "home", empty_store)


@pytest.fixture(scope="session")
def undisturbed(drill_root: Path, empty_store: Path, nursery: Nursery) -> Undisturbed:
    """What the pipeline leaves when nothing goes wrong, with no more memory than docs/failures.md says it needs."""
    home = new_home(drill_root / "undisturbed", empty_store)
    counted = drill_root / "events"
    limit = {"do": "limit_memory", "at": 1, "to": ENOUGH_MB}
    ended = nursery.run(home, {"do": "count", "at": 0, "to": str(counted)}, limit)
    assert ended.code == 0, ended.output
    return Undisturbed(home, int(counted.read_text(encoding="ascii")))


@pytest.fixture
def finished(home: Home, undisturbed: Undisturbed) -> Home:
    """Fresh folders with a copy of what the undisturbed run made of the data; the store is empty."""
    home.copy_data(undisturbed.home)
    return home
