"""The page as a browser shows it, with keyboard, screen reader's view and printer."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from tasks.core.settings import DataPaths
from tasks.report.page import REPORT_FILE, write_report
from tasks.report.sources import RunFacts

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe-playwright-python is not installed")

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")

pytestmark = [
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium: `apt-get install chromium`"),
]


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory, write_run: Callable[..., list[Path]]) -> str:
    random = np.random.default_rng(3)
    paths = DataPaths(tmp_path_factory.mktemp("finished"))
    scores = {name: random.random((30, 3)) for name in ("tree-a", "svm-b", "svm-c")}
    folders = write_run(paths, scores, [("Comedy",), ("Drama", "War"), ("War",)] * 10, ["A <b>farm</b> at war"] * 30)
    result = write_report(folders, paths, RunFacts("run", "abc", {"seed": "1"}, {}, 3.0))
    return (result.folder / REPORT_FILE).as_uri()


@pytest.fixture(scope="module")
def browser() -> Iterator["playwright.Browser"]:
    with playwright.sync_playwright() as started:
        browser = started.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def page(browser: "playwright.Browser", address: str) -> Iterator["playwright.Page"]:
    """The page, which must say nothing to the console and ask nothing of anyone."""
    page = browser.new_page(viewport={"width": 1280, "height": 900})
    noises: list[str] = []
    page.on("console", lambda message: noises.append(message.text))
    page.on("pageerror", lambda error: noises.append(str(error)))
    page.on("request", lambda request: noises.append(request.url) if not request.url.startswith("data:") else None)
    page.goto(address)
    yield page
    assert noises == [address]
    page.close()


@pytest.mark.parametrize("width", [400, 1280])
def test_axe_finds_nothing(page: "playwright.Page", width: int) -> None:
    page.set_viewport_size({"width": width, "height": 900})
    page.evaluate("document.querySelectorAll('details').forEach(each => each.open = true)")
    result = axe.Axe().run(page)
    assert result.violations_count == 0, result.generate_report()


def test_nothing_is_wider_than_a_phone(page: "playwright.Page") -> None:
    page.set_viewport_size({"width": 400, "height": 900})
    assert page.evaluate("document.documentElement.scrollWidth") <= 400


def test_the_leaderboard_is_whole_beside_the_contents(page: "playwright.Page") -> None:
    page.set_viewport_size({"width": 1200, "height": 900})
    box = page.locator(".scroll:has(#table-leaderboard)")
    assert box.locator("thead th").count() == 8
    assert box.evaluate("box => box.scrollWidth <= box.clientWidth")
    assert box.get_attribute("tabindex") is None


def test_what_is_cut_off_on_a_phone_says_so_until_its_end(page: "playwright.Page") -> None:
    page.set_viewport_size({"width": 400, "height": 900})
    continuing = page.locator(".scroll.continues:has(#table-leaderboard)")
    continuing.wait_for()
    assert "scrolls sideways" in continuing.evaluate("box => getComputedStyle(box, '::before').content")
    continuing.evaluate("box => box.scrollLeft = box.scrollWidth")
    continuing.wait_for(state="detached")


def test_pictures_shrink_only_as_far_as_their_text_can_be_read(page: "playwright.Page") -> None:
    page.set_viewport_size({"width": 400, "height": 900})
    page.evaluate("document.querySelectorAll('details').forEach(each => each.open = true)")
    shown = page.evaluate("[...document.images].map(each => each.clientWidth / each.getAttribute('width'))")
    assert min(shown) > 0.74  # of text that has 8 pt, which is 10.7 px
    assert min(shown) < 0.9


def test_the_keyboard_reaches_contents_and_skips_them(page: "playwright.Page") -> None:
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip to the content"
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.hash") == "#summary"
    page.keyboard.press("Tab")
    assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") != "none"
    page.keyboard.press("Enter")
    assert page.url.endswith("#leaderboard")


def test_the_keyboard_sorts_a_table_both_ways(page: "playwright.Page") -> None:
    page.evaluate("document.querySelectorAll('details').forEach(each => each.open = true)")
    head = page.locator("#table-costs thead th").nth(1)
    cells = page.locator("#table-costs tbody td:nth-child(2)")
    head.locator("button").focus()
    page.keyboard.press("Enter")
    assert head.get_attribute("aria-sort") == "descending"
    values = [float(text.split()[0]) for text in cells.all_text_contents()]
    assert values == sorted(values, reverse=True)
    page.keyboard.press("Space")
    assert head.get_attribute("aria-sort") == "ascending"
    assert [float(text.split()[0]) for text in cells.all_text_contents()] == values[::-1]


def test_the_tables_are_whole_without_script(browser: "playwright.Browser", address: str) -> None:
    page = browser.new_page(java_script_enabled=False)
    page.goto(address)
    assert page.locator("#table-costs tbody tr").count() == 3
    assert page.locator("thead button").count() == 0
    page.close()


def test_it_prints(page: "playwright.Page") -> None:
    pdf = page.pdf(format="A4", prefer_css_page_size=True)
    assert pdf.startswith(b"%PDF")
    assert 5 < pdf.count(b"/Type /Page\n") < 40
