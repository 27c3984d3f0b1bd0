"""Open the UIs of Prefect and MLflow, the report of the last run and the demo in a browser, and take pictures.

It checks that they show what should be seen. Prefect's page is that of a run of 1,000 invented movies.

`make screenshots` makes those of the README from the sample; `python docs/screenshots.py FOLDER` works on the store and
the data folder in force (`MLFLOW_TRACKING_URI`, `GENREFLOW_DATA_DIR`). Needs Chromium on the PATH. Ends with an error
where something that should be seen is not.
"""

import argparse
import contextlib
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from urllib.parse import quote, urlencode

import httpx
from playwright.sync_api import Page, expect, sync_playwright

from tasks.core.settings import data_paths, settings
from tasks.tracking.past_runs import load_last_run
from tasks.tracking.store import VIEW_METRICS, VIEW_PAGE

WIDTH, HEIGHT = 1500, 900
WAIT_MS = 180_000  # the UI is a large page, and machines may be slow
COMPARED = 6  # runs
ROOT = Path(__file__).resolve().parents[1]
PLOT = (
    "A young nurse takes the night shift in an abandoned ward. When she hears the voices of the dead, she and a "
    "retired detective look for the killer who haunts the old hospital."
)


def take_screenshots(folder: Path) -> None:
    """Write the pictures into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    run, models = load_last_run(data_paths())
    with running_ui() as address, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium(), args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": WIDTH, "height": HEIGHT})
        page.set_default_timeout(WAIT_MS)
        expect.set_options(timeout=WAIT_MS)
        experiment = f"{address}/#/experiments/{run.experiment.experiment_id}"
        ids = [model.run_id for model in models]
        show_runs(page, f"{address}/{VIEW_PAGE.format(run.experiment.experiment_id)}", models[0].name)
        take(page, folder / "mlflow-runs.png")
        show_genres(page)
        take(page, folder / "mlflow-genres.png")
        compare_runs(page, address, run.experiment.experiment_id, ids[:COMPARED])
        take(page, folder / "mlflow-compare.png")
        open_artifact(page, f"{experiment}/runs/{run.run_id}/artifacts/leaderboard.svg")
        report = data_paths().results / "report.html"
        page.goto(report.as_uri())
        expect(page.get_by_role("heading", level=1)).to_be_visible()
        take(page, folder / "report.png")
        with running_prefect() as (prefect, run_id):
            show_flow_run(page, prefect, run_id)
            take(page, folder / "prefect-run.png")
        with running_demo() as demo:
            show_answer(page, demo)
            take(page, folder / "demo.png")
        browser.close()


def show_runs(page: Page, address: str, model: str) -> None:
    """Open the view of the experiment that its description names: the models, the best on test first."""
    page.goto(address)
    expect(page.get_by_text(model, exact=True).first).to_be_visible()
    for metric in VIEW_METRICS:
        expect(page.get_by_role("columnheader", name=metric).first).to_be_attached()
    close = page.get_by_role("button", name="Close")  # of the assistant, which takes a third of the page
    if close.count():
        close.first.click()


def show_genres(page: Page) -> None:
    """Change from the table of runs to charts, those of the F1 of each genre."""
    page.locator("label", has=page.locator("input[value=CHART]")).click()
    page.get_by_placeholder("Search metric charts").fill("verbose/genres/")
    expect(page.get_by_text("verbose/genres/", exact=False).first).to_be_visible()
    expect(page.locator(".js-plotly-plot .bars").first).to_be_visible()


def compare_runs(page: Page, address: str, experiment_id: str, run_ids: list[str]) -> None:
    """Open the comparison of runs, which begins with parallel coordinates."""
    ids, experiments = (quote(json.dumps(each)) for each in (run_ids, [experiment_id]))
    page.goto(f"{address}/#/compare-runs?runs={ids}&experiments={experiments}")
    expect(page.get_by_text(f"Comparing {len(run_ids)} Runs from 1 Experiment")).to_be_visible()
    expect(page.locator(".js-plotly-plot .parcoords").first).to_be_attached()


def open_artifact(page: Page, address: str) -> None:
    """Open a picture that a run has logged."""
    page.goto(address)
    expect(page.get_by_text("leaderboard.svg").first).to_be_visible()
    expect(page.locator("img[src^='blob:'], .image-outer-container, canvas").first).to_be_attached()


def show_flow_run(page: Page, address: str, run_id: str) -> None:
    """Open the graph of a flow run, as large as the page."""
    page.goto(f"{address}/runs/flow-run/{run_id}")
    page.get_by_text("Artifacts", exact=True).click()
    for key in ("leaderboard", "champion", "cleaning", "report"):
        expect(page.get_by_text(key, exact=True).first).to_be_visible()
    expect(page.locator("canvas").first).to_be_visible()


def show_answer(page: Page, address: str) -> None:
    """Ask the demo's page about a plot."""
    page.goto(f"{address}/#{urlencode({'title': 'Night Shift', 'text': PLOT, 'rule': 'top=2'})}")
    expect(page.locator(".answer .decided")).to_have_count(2)
    expect(page.locator(".answer .raises").first).to_be_visible()


def take(page: Page, path: Path) -> None:
    """Write what the page shows, once it has stopped moving."""
    page.wait_for_timeout(1500)
    page.screenshot(path=path)


def chromium() -> str:
    """Return the browser's path, or end the command with what to install."""
    found = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if found is None:
        sys.exit("error: no Chromium on the PATH; on Debian: apt install chromium")
    return found


def running_ui() -> contextlib.AbstractContextManager[str]:
    """Return an MLflow UI on the store in force."""
    mlflow = [str(Path(sys.executable).with_name("mlflow")), "ui", "--host", "127.0.0.1", "--workers", "1"]
    return running(mlflow, "/health")


@contextlib.contextmanager
def running_prefect() -> Iterator[tuple[str, str]]:
    """A Prefect server of its own, on which the pipeline was run: its address, and the run's id."""
    with tempfile.TemporaryDirectory() as home:
        own = {
            "PREFECT_HOME": home,
            "GENREFLOW_DATA_DIR": f"{home}/data",
            "MLFLOW_TRACKING_URI": f"sqlite:///{home}/mlflow.db",
        }
        command = [sys.executable, "-m", "flows.prefect_server", "--host", "127.0.0.1"]
        with running(command, "/api/health", own) as address:
            own["PREFECT_API_URL"] = f"{address}/api"
            pipeline = [sys.executable, str(ROOT / "flows" / "full_pipeline.py"), "--sample.n-movies", "1000"]
            subprocess.run(pipeline, env={**os.environ, **own}, check=True, stdout=subprocess.DEVNULL)
            (run,) = httpx.post(f"{address}/api/flow_runs/filter", json={}, trust_env=False).json()
            yield address, run["id"]


def running_demo() -> contextlib.AbstractContextManager[str]:
    """Return the demo on the store in force."""
    return running([sys.executable, str(ROOT / "flows" / "demo.py")], "/")


@contextlib.contextmanager
def running(command: list[str], path: str, own: Mapping[str, str] = MappingProxyType({})) -> Iterator[str]:
    """A server that is started on a free port of this machine, and ended; its address once it answers at a path."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    quiet = {"DO_NOT_TRACK": "1", "MLFLOW_DISABLE_TELEMETRY": "true", "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    store = {"MLFLOW_BACKEND_STORE_URI": settings().tracking_uri}  # others see the words of a command
    store["PREFECT_SERVER_UI_API_URL"] = f"http://127.0.0.1:{port}/api"
    environment = {**os.environ, **quiet, **store, **own}
    process = subprocess.Popen([*command, "--port", str(port)], env=environment, stdout=subprocess.DEVNULL)
    try:
        wait_for(f"http://127.0.0.1:{port}{path}", process)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(timeout=30)
        process.kill()


def wait_for(address: str, process: "subprocess.Popen[bytes]") -> None:
    """Wait until a server answers, or end the command."""
    deadline_s = time.monotonic() + WAIT_MS / 1000
    while time.monotonic() < deadline_s and process.poll() is None:
        with contextlib.suppress(httpx.TransportError):
            if httpx.get(address, trust_env=False).status_code == 200:
                return
        time.sleep(0.5)
    sys.exit(f"error: nothing answers at {address}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, nargs="?", default=Path("docs/images"), help="where the pictures go")
    take_screenshots(parser.parse_args().folder)
