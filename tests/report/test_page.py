import json
import re
from collections import Counter
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from tasks.core.errors import DataError
from tasks.core.figures import ALL_FORMS
from tasks.core.page import Picture, write_safe_csv
from tasks.core.settings import DataPaths
from tasks.report import page
from tasks.report.genres import labels_section
from tasks.report.movies import EXHIBITS_FILE
from tasks.report.page import REPORT_FILE, write_report
from tasks.report.sources import PreviousRun, RunFacts, read_sources

WriteRun = Callable[..., list[Path]]

ATTACK = "<script>alert(1)</script><img src=x onerror='alert(2)'> a farmer & his \"war\""
TRUE = [("Comedy",), ("Drama",), ("Comedy", "Drama")] * 20  # War has no test movie
FACTS = RunFacts(
    "pipeline /home/somebody/data/raw",
    "abc123",
    {"seed": "1", "source": "/home/somebody/data/raw", "promotion.registered_model": "own"},
    {},
    90.0,
    "tree-2 is significantly worse than svm-1: jaccard -0.0487 [-0.0604, -0.0384]",
    "http://127.0.0.1:5000/#/experiments/1/runs/abc123",
    PreviousRun("earlier", "svm-b", 0.25, ""),
    {"clean": 2.5},
)
SECTIONS = {
    "summary", "leaderboard", "cost", "genres", "movies", "features", "predictions", "labels", "training", "limits",
    "quality", "run",
}  # fmt: skip


class Page(HTMLParser):
    """What the tests ask of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: Counter[str] = Counter()
        self.ids: list[str] = []
        self.links: list[str] = []
        self.addresses: list[str] = []
        self.images: list[dict[str, str | None]] = []
        self.headings: list[int] = []
        self.scopeless = 0
        self.feed(text)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        given = dict(attributes)
        self.tags[tag] += 1
        self.ids += [given["id"] or ""] if "id" in given else []
        self.links += [given["href"] or ""] if tag == "a" else []
        self.addresses += [given[name] or "" for name in ("src", "srcset", "data", "action", "poster") if name in given]
        self.images += [given] if tag == "img" else []
        self.headings += [int(tag[1])] if re.fullmatch(r"h\d", tag) else []
        self.scopeless += tag == "th" and "scope" not in given
        assert not any(name.startswith("on") for name in given), (tag, given)


@pytest.fixture(scope="module")
def paths(tmp_path_factory: pytest.TempPathFactory) -> DataPaths:
    return DataPaths(tmp_path_factory.mktemp("finished"))


@pytest.fixture(scope="module")
def text(paths: DataPaths, write_run: WriteRun) -> str:
    """The page of a run with everything that a page can show, and an attack in every text of the data."""
    folders = write_everything(paths, write_run)
    result = write_report(folders, paths, FACTS, [feature_bars(paths)])
    assert write_report(folders, paths, FACTS, [feature_bars(paths)]).skipped
    return (result.folder / REPORT_FILE).read_text(encoding="utf-8")


def write_everything(paths: DataPaths, write_run: WriteRun) -> list[Path]:
    random = np.random.default_rng(3)
    scores = {name: random.random((60, 3)) for name in ("tree-a", "svm-b", "svm-c")}
    folders = write_run(paths, scores, TRUE, [f"{ATTACK} {'so ' * (number % 30)}" for number in range(60)])
    best = folders[0].parent / pl.read_csv(paths.results / "leaderboard.csv")["model"][0]
    exhibits = pl.read_parquet(paths.results / EXHIBITS_FILE)
    explanations = [
        (movie, genre, "description", start, start + 6, "farmer", 0.5)
        for movie in exhibits["movie_id"].unique(maintain_order=True)
        for genre in ("Comedy", "Drama", "War")
        for start in [ATTACK.index("farmer")]
    ]
    columns = ["movie_id", "genre", "source", "start", "end", "piece", "contribution"]
    pl.DataFrame(explanations, schema=columns, orient="row").write_parquet(best / "explanations.parquet")
    importance = {"genre": ["War"], "kind": ["word"], "feature": [ATTACK], "weight": [1.0], "movies": [4]}
    pl.DataFrame(importance).write_parquet(best / "importance.parquet")
    history = {"epoch": [1.0, 2.0], "train_loss": [2.0, 1.0], "validation_loss": [2.0, 1.0]}
    pl.DataFrame({**history, "validation_jaccard": [0.1, 0.2]}).write_csv(best / "history.csv")
    audit = {"movie_id": ["tt0001"], "movie_name": [ATTACK], "given_genres": ["Drama"], "doubted": ["lacks War"]}
    audit |= {"quality": [0.01], "reason": [ATTACK], "scores_from": ["tree-a, test"]}
    pl.DataFrame(audit).write_parquet(paths.results / "label_audit.parquet")
    counts = {"rows_read": 90, "movies_kept": 60, "dropped/tba": 30, "merged/same_movie": 0}
    paths.dropped.write_text(json.dumps({"counts": counts, "rules": [{"name": "tba", "reason": ATTACK}]}))
    return folders


def feature_bars(paths: DataPaths) -> Picture:
    return Picture("bars", "Bars", "What to see.", file=paths.results / "leaderboard.svg")


def test_every_section_is_there_and_every_entry_of_the_contents_leads_to_it(text: str) -> None:
    page = Page(text)
    assert set(page.ids) >= SECTIONS
    assert len(set(page.ids)) == len(page.ids)
    targets = [link.removeprefix("#") for link in page.links if link != FACTS.address]
    assert set(targets) == SECTIONS | {"content"}
    assert set(targets) <= set(page.ids)


def test_negative_numbers_have_the_minus_sign_of_the_pictures(text: str) -> None:
    assert "Tree-2 is significantly worse than svm-1: jaccard −0.0487 [−0.0604, −0.0384]" in text


def test_the_summary_leads_to_mlflow_and_to_prediction(text: str) -> None:
    assert f'<a href="{FACTS.address}">' in text
    assert "python flows/predict.py --model models:/own@champion --text" in text
    assert "Previous run (earlier): svm-b was best, with a Jaccard of 0.250 on the same data; now it is" in text
    assert 'id="table-task-times"' in text


def test_the_sample_is_called_invented_and_the_explored_data_is_linked(tmp_path: Path, write_run: WriteRun) -> None:
    paths = DataPaths(tmp_path)
    folders = write_run(paths, {"tree": [[0.0, 0.9, 0.0]] * 6})
    assert "Invented data" not in (write_report(folders, paths, RunFacts()).folder / REPORT_FILE).read_text()
    for path, content in ((paths.raw / "acquire.stage.json", '{"config": {"source": "sample"}}'),
                          (paths.explore / "index.html", "")):  # fmt: skip
        path.parent.mkdir(parents=True)
        path.write_text(content)
    text = (write_report(folders, paths, RunFacts()).folder / REPORT_FILE).read_text(encoding="utf-8")
    assert text.count("Invented data: ") == 2  # on top and among the limits
    assert '<a href="../explore/index.html">' in text


def test_the_best_constant_answer_is_a_row_of_the_leaderboard(tmp_path: Path, write_run: WriteRun) -> None:
    paths = DataPaths(tmp_path)
    folders = write_run(paths, {"tree": [[0.0, 0.9, 0.0]] * 6})  # true: see `conftest.TRUE`
    baseline = read_sources(folders, paths).baseline
    assert baseline is not None
    text = (write_report(folders, paths, RunFacts()).folder / REPORT_FILE).read_text(encoding="utf-8")
    assert f"Always predicting {', '.join(baseline.genres)}, the best constant answer" in text
    assert ">constant baseline</th>" in text


def test_nothing_comes_from_elsewhere(text: str) -> None:
    page = Page(text)
    assert page.addresses
    assert all(address.startswith("data:image/") for address in page.addresses)
    assert all(link.startswith("#") or link == FACTS.address for link in page.links)
    assert page.tags["script"] == 1
    assert not {"link", "iframe", "object", "base"} & page.tags.keys()
    assert "@import" not in text
    assert "url(" not in text
    assert "/home/somebody" not in text


def test_every_text_of_the_data_is_escaped(text: str) -> None:
    assert "<script>alert" not in text
    assert "<img src=x" not in text
    assert "&lt;script&gt;alert(1)" in text


def test_the_page_can_be_read_by_ear(text: str) -> None:
    page = Page(text)
    assert all(len(image["alt"] or "") > 15 for image in page.images)
    assert len(page.images) > 7
    assert page.tags["caption"] == page.tags["table"]
    assert not page.scopeless
    assert {"main", "nav", "header", "footer"} <= page.tags.keys()
    assert page.headings[0] == 1
    assert all(after <= before + 1 for before, after in zip(page.headings, page.headings[1:], strict=False))


def test_words_are_highlighted_where_they_were_explained(text: str) -> None:
    assert re.search(r"<span[^>]*>farmer</span>", text)
    assert "no words are highlighted" not in text


def test_a_genre_without_a_test_movie_is_undefined_and_not_zero(text: str) -> None:
    assert "War has no test movie" in text
    row = re.search(r'<th scope="row" data-key="War">War</th>.*?</tr>', text, re.DOTALL)
    assert row
    assert row[0].count("undefined") >= 3


def test_pictures_lie_beside_the_page_in_the_forms_asked_for(tmp_path: Path, write_run: WriteRun) -> None:
    paths = DataPaths(tmp_path)
    folders = write_everything(paths, write_run)

    def drawn() -> dict[str, set[str]]:
        names = [path.name.split(".") for path in sorted((paths.results / "pictures").iterdir())]
        return {stem: {form for other, form in names if other == stem} for stem, _ in names}

    write_report(folders, paths, RunFacts())
    assert len(drawn()) == 8
    assert all(forms == {"svg"} for forms in drawn().values())
    write_report(folders, paths, RunFacts(), forms=ALL_FORMS)
    assert all(forms == {"svg", "png"} for forms in drawn().values())


def test_pictures_stay_where_only_the_runs_name_is_new(tmp_path: Path, write_run: WriteRun, monkeypatch) -> None:
    paths = DataPaths(tmp_path)
    folders = write_everything(paths, write_run)
    write_report(folders, paths, RunFacts("first"))
    monkeypatch.setattr(page, "write_pictures", None)  # and so drawing would fail
    assert not write_report(folders, paths, RunFacts("second")).skipped


def test_the_page_is_small_and_its_bytes_are_the_same_each_time(text: str, tmp_path: Path, write_run: WriteRun) -> None:
    again = DataPaths(tmp_path)
    result = write_report(write_everything(again, write_run), again, FACTS, [feature_bars(again)])
    assert (result.folder / REPORT_FILE).read_text(encoding="utf-8") == text
    assert len(text.encode()) < 4_000_000


def test_one_model_whose_answers_are_all_the_same(tmp_path: Path, write_run: WriteRun) -> None:
    paths = DataPaths(tmp_path)
    folders = write_run(paths, {"original-logreg-tfidf": [[0.0, 0.9, 0.0]] * 60}, TRUE)
    (folders[0] / "fit.json").write_text("{}")
    text = (write_report(folders, paths, RunFacts()).folder / REPORT_FILE).read_text(encoding="utf-8")
    page = Page(text)
    assert "original-logreg-tfidf is the only model of this run" in text
    assert "Every movie gets 1 genre" in text
    assert "no words are highlighted" in text
    assert not {"labels", "features", "training", "movies-disagreement"} & set(page.ids)
    assert "disagree" not in text
    assert "table-published" in page.ids
    assert "Ours exceed 1 of 1 published Jaccard." in text


def test_the_audit_is_shown_without_what_spreadsheets_want(tmp_path: Path, write_run: WriteRun) -> None:
    paths = DataPaths(tmp_path)
    folders = write_run(paths, {"tree": [[0.0, 0.9, 0.0]] * 6})
    texts = {"movie_id": "tt0001", "movie_name": "-30-", "given_genres": "Drama", "doubted": "lacks War"}
    audit = pl.DataFrame({**texts, "quality": 0.01, "reason": "tree gives War 0.90", "scores_from": "tree, test"})
    write_safe_csv(audit, paths.results / "label_audit.csv")
    audit.write_parquet(paths.results / "label_audit.parquet")
    section = labels_section(read_sources(folders, paths))
    assert section is not None
    assert [row[0].text for row in section.blocks[1].rows] == ["-30-"]
    (paths.results / "label_audit.parquet").write_text("no table")
    with pytest.raises(DataError, match=r"label_audit\.parquet is missing or damaged"):
        labels_section(read_sources(folders, paths))


def test_a_report_without_exhibits_says_what_is_missing(tmp_path: Path, write_run: WriteRun) -> None:
    paths = DataPaths(tmp_path)
    folders = write_run(paths, {"tree": [[0.0, 0.9, 0.0]] * 6})
    (paths.results / EXHIBITS_FILE).unlink()
    with pytest.raises(DataError, match=r"exhibits\.parquet"):
        write_report(folders, paths, RunFacts())
