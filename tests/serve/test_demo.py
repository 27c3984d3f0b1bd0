"""The page to try the models on: what it answers, and how it looks to a browser, with keyboard and address alone."""

import shutil
import socket
import sys
from urllib.parse import urlencode

import pytest
from starlette.testclient import TestClient

from flows.config import DemoConfig
from flows.demo import UPLOADS, Asked, answer_html, open_address, page_app, serve_page
from flows.web import OwnPagesOnly
from tasks.core.errors import ConfigError
from tasks.core.settings import PROJECT_ROOT, DataPaths, data_paths
from tasks.models.explain.page import render_answer
from tasks.models.genre_classifier import GenreClassifier
from tasks.tracking.registry import demo_models

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
PATIENCE_MS = 120_000
PLOT = "A mother finds ghosts in a haunted house"
HOSTILE = "ghosts </textarea><img src=x onerror=alert(1)> ${alert(2)} {{value}} `haunted` <script>alert(3)</script>"

pytestmark = pytest.mark.filterwarnings("default")


@pytest.fixture(scope="module")
def classifier(registry):
    return GenreClassifier.load(registry.folders["logreg-words"])


def uri_of(name: str) -> str:
    return next(model.uri for model in demo_models(data_paths()) if name in model.label)


def test_the_champion_comes_first_then_versions_then_the_last_run(registry):
    labels = [model.label for model in demo_models(data_paths())]
    assert labels == ["champion: logreg-words (version 2)", "nb-words (version 1)", "forest-words (last run)"]


def test_a_data_folder_without_a_run_still_has_the_registry(registry, tmp_path):
    assert [model.label for model in demo_models(DataPaths(tmp_path))] == [
        "champion: logreg-words (version 2)", "nb-words (version 1)",
    ]  # fmt: skip


@pytest.mark.parametrize(
    "asked",
    [Asked(), Asked("A & B", "a=b #c ä\n東京 " * 50, "models:/m/1", "Horror=0.5,Drama=1"), Asked(text=HOSTILE)],
    ids=["nothing", "everything", "hostile"],
)
def test_an_address_gives_back_what_was_asked(asked):
    assert Asked.from_address(asked.to_address()) == asked


def test_unknown_fields_of_an_address_do_not_count():
    assert Asked.from_address("text=a&class=b&text") == Asked(text="a")


def test_an_answer_has_genres_scores_and_words(classifier):
    html = render_answer(classifier, "", PLOT, "top=2")
    assert '<p class="verdict">Drama, Horror</p>' in html
    assert "logreg-words, rule top=2" in html
    assert html.count('class="bar"') == 3
    assert html.count('<tr class="decided">') == 2
    assert 'class="raises"' in html
    assert ">haunted</span>" in html


def test_a_text_of_too_many_words_is_not_explained(registry):
    answer = answer_html(Asked(text="a " * 1001, model=uri_of("nb-words")))
    assert "This is 1,001 words long; give at most 1,000." in answer


def test_nothing_can_be_uploaded():
    client = TestClient(OwnPagesOnly(page_app(), 10_000, UPLOADS), base_url="http://127.0.0.1")
    assert client.post("/gradio_api/upload", files={"files": b"x"}).status_code == 404
    assert client.post("/gradio_api/queue/join", content=b"x" * 10_001).status_code == 413
    assert client.get("/").status_code == 200


def test_an_answer_of_no_genre_says_so(classifier):
    html = render_answer(classifier, "", PLOT, "threshold=1,fallback=none")
    assert '<p class="verdict">None of the genres</p>' in html
    assert "<section>" not in html


def test_nothing_that_is_given_becomes_markup(classifier):
    html = render_answer(classifier, HOSTILE, HOSTILE, "top=1")
    assert "<img" not in html
    assert "<script" not in html


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        (Asked(text=" \n "), "There is no plot yet"),
        (Asked(text="a" * 20_001), "20,001 characters long; give at most 20,000"),
        (Asked(text=PLOT, model="models:/another/1"), "there is no model models:/another/1"),
        (Asked(text=PLOT, model="models:/movie-genre-classifier/2", rule="dice"), "no rule is named &#x27;dice&#x27;"),
    ],
    ids=["empty", "too long", "unknown model", "unknown rule"],
)
def test_what_cannot_be_answered_is_told(registry, asked, message):
    html = answer_html(asked)
    assert 'role="status"' in html
    assert message in html


def test_an_address_of_a_model_that_is_gone_says_so_and_offers_the_champion(registry):
    *_, model, _, answer = open_address(urlencode({"text": PLOT, "model": "models:/m-gone"}))
    assert model.value == uri_of("champion")
    assert "models:/m-gone" in answer


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_a_port_that_is_taken_is_told(registry, host, monkeypatch):
    monkeypatch.setattr("flows.demo.page_app", lambda: None)  # Gradio leaves event loops open
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        taken = socket.create_server((host, 0), family=family)
    except OSError:
        pytest.skip(f"this machine has no {host}")
    with taken:
        port = taken.getsockname()[1]
        with pytest.raises(ConfigError, match=rf"cannot listen on {host}, port {port} \(Address already in"):
            serve_page(DemoConfig(host=host, port=port))


def test_without_gradio_it_is_told_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "flows.demo", None)  # which stands for an import that fails
    with pytest.raises(ConfigError, match=r"the page needs Gradio .*install\.py demo"):
        serve_page(DemoConfig())


@pytest.fixture(scope="module")
def address(start) -> str:
    return start(lambda port: [sys.executable, str(PROJECT_ROOT / "flows/demo.py"), "--port", str(port)], "/")


@pytest.fixture(scope="module")
def browser():
    with playwright.sync_playwright() as started:
        browser = started.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def page(browser, address):
    """A page that may ask nobody but its own server, and open no dialog."""
    page = browser.new_page(viewport={"width": 1280, "height": 900})
    page.set_default_timeout(PATIENCE_MS)
    playwright.expect.set_options(timeout=PATIENCE_MS)
    asked, dialogs = [], []
    page.on("request", lambda request: asked.append(request.url))
    page.on("dialog", lambda dialog: (dialogs.append(dialog.message), dialog.dismiss()))
    yield page
    assert [url for url in asked if not url.startswith((address, "data:", "blob:"))] == []
    assert dialogs == []
    page.close()


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium: `apt-get install chromium`")
class TestInBrowser:
    def test_the_keyboard_finds_genres_and_the_address_brings_them_back(self, page, address):
        page.goto(address)
        page.get_by_label("Plot").focus()
        page.keyboard.type(PLOT)
        page.keyboard.press("Tab")
        page.keyboard.type("A title")
        page.keyboard.press("Enter")
        verdict = page.locator(".answer .verdict")
        playwright.expect(verdict).to_have_text("Drama, Horror")
        page.wait_for_url("**/#*text=*")
        kept = page.url
        page.goto("about:blank")
        page.goto(kept)
        playwright.expect(verdict).to_have_text("Drama, Horror")
        assert page.get_by_label("Plot").input_value() == PLOT
        assert page.get_by_label("Title").input_value() == "A title"

    def test_shift_and_enter_in_the_plot_ask_too(self, page, address):
        page.goto(address)
        page.get_by_label("Plot").fill(PLOT)
        page.keyboard.press("Shift+Enter")
        playwright.expect(page.locator(".answer .verdict")).to_have_text("Drama, Horror")

    def test_another_model_and_rule_of_an_address(self, page, address):
        page.goto(f"{address}/#{Asked('', PLOT, uri_of('forest-words'), 'top=1').to_address()}")
        playwright.expect(page.locator(".answer .by")).to_have_text("forest-words, rule top=1")
        playwright.expect(page.locator(".answer .decided")).to_have_count(1)
        assert page.get_by_label("Model").input_value() == "forest-words (last run)"

    def test_hostile_text_is_only_text(self, page, address):
        page.goto(f"{address}/#{Asked(HOSTILE, HOSTILE, '', 'top=1').to_address()}")
        playwright.expect(page.locator(".answer section p").last).to_have_text(f"{HOSTILE}{HOSTILE}")

    def test_no_plot_gets_a_friendly_message(self, page, address):
        page.goto(address)
        page.get_by_role("button", name="Find the genres").click()
        playwright.expect(page.get_by_text("There is no plot yet")).to_be_visible()

    def test_nothing_is_wider_than_a_phone(self, page, address):
        page.set_viewport_size({"width": 400, "height": 900})
        page.goto(f"{address}/#{Asked('', PLOT).to_address()}")
        playwright.expect(page.locator(".answer .verdict")).to_be_visible()
        assert page.evaluate("document.documentElement.scrollWidth") <= 400
