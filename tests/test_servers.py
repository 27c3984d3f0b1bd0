"""Every server that the project starts listens on this machine alone, unless its user says otherwise."""

import re
import subprocess

import pytest
import yaml

from tasks.core.settings import PROJECT_ROOT

STARTS = re.compile(
    r"mlflow (?:ui|server|models serve)\b|prefect server start\b|flows\.prefect_server\b.*--host|mlflow, \"ui\""
)
LOOPBACK = re.compile(r"--host\"?[ ,=]+\"?127\.0\.0\.1")
EVERYWHERE = re.compile(r"""(?<![\w.])0\.0\.0\.0(?![\w.])|host\s*[=:]\s*["']["']|--host[= ]["']?::["']?(?:\s|$)""")
# Containers have to listen to all of their own addresses; what counts is what is published of them.
IN_CONTAINERS = ("deployments/Dockerfile", "deployments/compose.yaml", "deployments/kubernetes.yaml")


def files() -> dict[str, str]:
    """The texts of all files in the checkout that can start something, by name."""
    listed = subprocess.run(
        ["git", "-C", str(PROJECT_ROOT), "ls-files", "*.py", "*.yaml", "*.sh", "*.md", "Makefile"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    if listed.returncode:
        pytest.skip("this is no git checkout, so which files belong to the project is not known")
    names = [name for name in listed.stdout.split() if not name.startswith("tests/") and name not in IN_CONTAINERS]
    return {
        name: (PROJECT_ROOT / name).read_text(encoding="utf-8") for name in names if (PROJECT_ROOT / name).is_file()
    }


def test_nothing_listens_on_all_addresses():
    assert {name: found.group() for name, text in files().items() if (found := EVERYWHERE.search(text))} == {}


def test_every_server_is_told_to_listen_on_loopback():
    started = []
    for name, text in files().items():
        for line in text.replace("\\\n", " ").splitlines():
            if STARTS.search(line) and not name.endswith(".md"):
                started.append(name)
                assert LOOPBACK.search(line), f"{name}: {line.strip()}"
    assert set(started) >= {"Makefile", "flows/compare.py"}


def test_containers_are_published_on_loopback_alone():
    compose = yaml.safe_load((PROJECT_ROOT / "deployments" / "compose.yaml").read_text(encoding="utf-8"))
    published = [port for service in compose["services"].values() for port in service.get("ports", [])]
    assert published
    assert all(str(port).startswith("127.0.0.1:") for port in published)


@pytest.mark.parametrize("text", ["host: 0.0.0.0", "--host 0.0.0.0", "host = ''", "--host :: --port 1"])
def test_the_search_finds_what_it_looks_for(text):
    assert EVERYWHERE.search(text)
