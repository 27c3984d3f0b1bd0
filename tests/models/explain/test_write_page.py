"""The page of explanations: its words, its numbers, and nothing of a text as markup."""

import re
from html import unescape

import polars as pl
import pytest

from tasks.decision.rules import GlobalThreshold
from tasks.models.explain.attribution import reasons
from tasks.models.explain.page import explain_file, say_reasons, write_page
from tasks.models.genre_classifier import GenreClassifier

EVIL = "<script>alert('haunted')</script> haunted & \"ghosts\" </p>"


@pytest.fixture(scope="module")
def classifier(fit):
    return GenreClassifier(fit("words-and-fields"), {"half": GlobalThreshold(0.5, fallback="none")}, "half")


def test_the_page_says_all_that_was_read_and_no_text_is_markup(classifier, tmp_path):
    movies = pl.DataFrame(
        {"movie_id": ["1"], "movie_name": ["<b>Haunted</b>"], "description": [EVIL], "star": ["<i>Ann Other</i>"]}
    )
    table = write_page(classifier, movies, None, tmp_path / "new" / "page.html")
    html = (tmp_path / "new" / "page.html").read_text(encoding="utf-8")
    assert table["genre"].unique().to_list() == ["Horror"]
    assert not re.search(r"<(script>alert|b>|i>)", html)
    text = unescape(re.sub(r"<[^>]+>", "", html))
    assert EVIL in text
    assert "http:" not in html
    assert "https:" not in html
    assert len(re.findall(r'class="raises"[^>]*>[Hh]aunted<', html)) == 3


def test_the_sentence_names_each_word_once_with_its_sum(classifier, tmp_path):
    movies = pl.DataFrame({"movie_id": ["1"], "description": ["Haunted by ghosts, haunted by a mother"]})
    rows = write_page(classifier, movies, "threshold=0", tmp_path / "page.html").filter(genre="Horror")
    words = [word for word, _ in reasons(rows)]
    assert (words.count("Haunted"), words.count("haunted")) == (1, 0)
    total = rows.filter(pl.col("piece").str.to_lowercase() == "haunted")["contribution"].sum()
    assert f"Haunted +{total:.2f}" in say_reasons(rows)
    score = classifier.predict(movies)["score_Horror"][0]
    assert say_reasons(rows).startswith(f"Score {score:.2f} (baseline ")
    assert re.search(r"Lowered most by: .*mother −", say_reasons(rows))


def test_a_movie_without_a_genre_is_shown_plainly(classifier, tmp_path):
    movies = pl.DataFrame({"movie_id": ["x"], "description": ["<nothing>"]})
    assert write_page(classifier, movies, "threshold=1,fallback=none", tmp_path / "page.html").height == 0
    html = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert "&lt;nothing&gt;" in html
    assert "None of the genres." in html


def test_first_rows_of_a_file_are_explained_even_if_their_ids_are_equal(fit, tmp_path):
    folder = tmp_path / "stored"
    (folder / "model").mkdir(parents=True)
    fit("words-and-fields").save(folder / "model")
    rules = {"chosen": "g", "rules": {"g": {"kind": "global-threshold", "threshold": 0.5}}}
    (folder / "rules.json").write_text(str(rules).replace("'", '"'))
    source = tmp_path / "in.csv"
    source.write_text("movie_id,description,genres\na,haunted ghosts,x\na,saloon sheriff,x\na,third,x\n")
    explain_file(folder, source, tmp_path / "out.html", None, 2)
    html = (tmp_path / "out.html").read_text(encoding="utf-8")
    assert re.findall(r"<h2[^>]*>(.*?)</h2>", html) == ["1. a", "2. a"]
    assert re.findall(r"<h3>(.*?)</h3>", html)[0] == "Horror"
    first = (tmp_path / "out.html").read_bytes()
    explain_file(folder, source, tmp_path / "out.html", None, 2)
    assert (tmp_path / "out.html").read_bytes() == first
