"""A browser shows a page of another site, or one whose name resolves to this machine, beside our servers.

Neither page may read an answer of a server, nor change anything there.
"""

import os
import shutil
import sys
from pathlib import Path

import httpx
import pytest

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
ANOTHER = "http://another.test"  # the page's own site
REBOUND = "rebound.test"  # resolves to this machine
PYTHON = sys.executable

pytestmark = [
    pytest.mark.services,
    pytest.mark.filterwarnings("default"),
    pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed (Debian: apt install chromium)"),
]

POOL = '{"name": "planted", "type": "process"}'
MODEL = '{"name": "planted"}'
ROWS = '{"dataframe_records": [{"description": "a haunted house"}]}'
# Each server's command, a path that answers when it runs, what a page would read, and what it would change or run.
SERVERS = {
    "prefect": (
        lambda port: [PYTHON, "-m", "flows.prefect_server", "--port", f"{port}"],
        "/api/health",
        "/api/admin/version",
        ("/api/work_pools/", POOL),
    ),
    "mlflow": (
        lambda port: [
            str(Path(PYTHON).with_name("mlflow")), "ui", "--host", "127.0.0.1", "--port", f"{port}", "--workers", "1",
        ],
        "/health",
        "/api/2.0/mlflow/experiments/get?experiment_id=0",
        ("/api/2.0/mlflow/registered-models/create", MODEL),
    ),
    "scoring": (
        lambda port: [PYTHON, "flows/serve.py", "--port", f"{port}"],
        "/ping",
        "/version",
        ("/invocations", ROWS),
    ),
    "demo": (
        lambda port: [PYTHON, "flows/demo.py", "--port", f"{port}"],
        "/",
        "/config",
        ("/gradio_api/queue/join", '{"data": ["", "a", "champion", ""], "fn_index": 3, "session_hash": "planted"}'),
    ),
}  # fmt: skip
# A page's script: read with and without credentials, send as a form would and as a program would, open a socket.
ATTACK = """async ([address, read, change, body]) => {
    const seen = {};
    const attempt = async (name, path, options) => {
        try {
            const answer = await fetch(address + path, options);
            seen[name] = [answer.type, answer.status, (await answer.text()).slice(0, 200)];
        } catch (error) { seen[name] = ['blocked', 0, '']; }
    };
    const json = {'content-type': 'application/json'};
    await attempt('read', read, {});
    await attempt('send', change, {method: 'POST', body, headers: json});
    await attempt('send as a form', change, {method: 'POST', body, mode: 'no-cors'});
    await attempt('send as text', change, {method: 'POST', body, headers: {'content-type': 'text/plain'}});
    await new Promise(done => {
        const socket = new WebSocket(address.replace('http', 'ws') + '/api/events/out');
        socket.onopen = () => { seen.socket = ['open', 101, 'open']; done(); };
        socket.onerror = () => { seen.socket = ['blocked', 0, '']; done(); };
    });
    return seen;
}"""


@pytest.fixture(scope="module")
def browser():
    with playwright.sync_playwright() as play:
        rules = f"--host-resolver-rules=MAP {REBOUND} 127.0.0.1"
        yield play.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", rules])


@pytest.fixture(scope="module", params=SERVERS)
def server(request, start, registry, tmp_path_factory):
    command, ready, read, (change, body) = SERVERS[request.param]
    home = tmp_path_factory.mktemp(request.param)
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(os.environ, "PREFECT_HOME", str(home))
        patch.setitem(os.environ, "MLFLOW_BACKEND_STORE_URI", registry.tracking_uri)
        address = start(command, ready)
    return request.param, address, read, change, body


def visit(browser, site: str, server: tuple[str, ...]) -> dict[str, list]:
    """Return what a page of a site got from a server."""
    _, address, read, change, body = server
    page = browser.new_page()
    page.route(f"{site}/", lambda route: route.fulfill(body="<title>A page</title>", content_type="text/html"))
    page.goto(f"{site}/")
    target = site if REBOUND in site else address
    seen = page.evaluate(ATTACK, [target, read, change, body])
    page.close()
    return seen


def made(name: str, address: str) -> bool:
    """Return whether the server has what the page tried to make."""
    if name == "prefect":
        return httpx.get(f"{address}/api/work_pools/planted", trust_env=False).status_code == 200
    if name == "mlflow":
        return "planted" in httpx.get(f"{address}/api/2.0/mlflow/registered-models/search", trust_env=False).text
    return False  # it only answers


def test_a_page_of_another_site_gets_nothing(browser, server):
    name, address, *_ = server
    seen = visit(browser, ANOTHER, server)
    assert {what: text for what, (_, _, text) in seen.items() if text} == {}
    assert {what for what, (kind, *_) in seen.items() if kind not in ("blocked", "opaque")} == set()
    assert not made(name, address)


def test_a_page_whose_name_is_bound_to_this_machine_is_refused(browser, server):
    name, address, *_ = server
    seen = visit(browser, f"http://{REBOUND}:{httpx.URL(address).port}", server)
    assert {what: code for what, (_, code, _) in seen.items() if code not in (0, 403)} == {}
    assert not made(name, address)


def test_the_servers_own_page_is_answered(browser, server):
    _, address, read, *_ = server
    page = browser.new_page()
    assert page.goto(address + "/").status in (200, 404)  # the scoring server has no page
    assert page.evaluate("async path => (await fetch(path)).status", read) == 200
    page.close()
