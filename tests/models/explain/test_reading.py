"""Tracing what a model reads back to the movie's pieces."""

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.models.explain.pieces import (
    NONE,
    ExplainedMovies,
    cut_movies,
    trace_documents,
    trace_fields,
    trace_template,
)
from tasks.models.inputs import read_documents, read_fields, read_template
from tasks.models.registry import choose_models
from tasks.models.spec import InputSpec
from tasks.models.vectorizers import SideFields

(TUNED,) = choose_models(["minilm-tuned-fields"])
ALL_FIELDS = TUNED.template


def cut(movies):
    return ExplainedMovies(movies, cut_movies(movies), [()] * movies.height)


def words_of(reading, pieces):
    """The read text of each piece, in the order of reading, with what is of none in between."""
    runs = []
    for character, origin in zip(reading.text, reading.origins.tolist(), strict=True):
        if runs and runs[-1][0] == origin:
            runs[-1][1] += character
        else:
            runs.append([origin, character])
    return [(None if origin == NONE else pieces[origin].text, text) for origin, text in runs]


@given(st.text(), st.text())
def test_characters_come_from_the_words_that_hold_them(title, description):
    movies = pl.DataFrame({"movie_name": [title], "description": [description]})
    pieces = cut_movies(movies)
    spec = InputSpec(title=True)
    (reading,) = trace_documents(cut(movies), spec)
    assert [reading.text] == read_documents(movies, spec)
    for word, text in words_of(reading, pieces[0]):
        assert text.isspace() if word is None else "".join(text.split()) in word.lower() * 2


def test_letters_that_are_two_in_lower_case_stay_in_their_word():
    movies = pl.DataFrame({"description": ["İİ Gülüş KÖY"]})
    pieces = cut_movies(movies)
    (reading,) = trace_documents(cut(movies), InputSpec())
    assert words_of(reading, pieces[0]) == [
        ("İİ", "İİ".lower()), (None, " "), ("Gülüş", "gülüş"), (None, " "), ("KÖY", "köy"),
    ]  # fmt: skip


def test_lemmas_come_from_their_words():
    movies = pl.DataFrame({"movie_name": ["Mice"], "description": ["Two mice\u200b didn't run, he said."]})
    pieces = cut_movies(movies)
    (reading,) = trace_documents(cut(movies), InputSpec(title=True, text="lemmas"))
    traced = dict(reversed([pair for pair in words_of(reading, pieces[0]) if pair[0]]))
    assert traced["Mice"] == "mouse"
    assert traced["said"] == "say"
    assert traced["run"] == "run"


def test_fields_of_a_template_are_distinguished_from_its_words():
    movies = pl.DataFrame(
        {
            "movie_name": ["Directed"],
            "description": ["With min."],
            "year": [1980],
            "certificate": ["R"],
            "runtime_min": [95],
            "directors": [["D", "Ed By"]],
            "stars": [["Ann, Jr.", "Ann"]],
        },
        schema_overrides={"year": pl.Int32, "runtime_min": pl.Int32},
    )
    pieces = cut_movies(movies)
    spec = InputSpec(lowercase=False)
    (reading,) = trace_template(cut(movies), spec, ALL_FIELDS)
    assert [reading.text] == read_template(movies, spec, ALL_FIELDS)
    assert words_of(reading, pieces[0]) == [
        ("Directed", "Directed"), (None, " ("), ("1980", "1980"), (None, "). "), ("R", "R"), (None, ". "),
        ("95 min", "95"), (None, " min. Directed by "), ("D", "D"), (None, ", "), ("Ed By", "Ed By"), (None, ". With "),
        ("Ann, Jr.", "Ann, Jr."), (None, ", "), ("Ann", "Ann"), (None, ". "),
        ("With", "With"), (None, " "), ("min", "min"), (".", "."),
    ]  # fmt: skip


@pytest.mark.parametrize("template", ["[{title}: ]{description}", "{year} {description} {year}", ALL_FIELDS])
@pytest.mark.parametrize("text", ["surface", "lemmas"])
@pytest.mark.parametrize("lowercase", [True, False])
def test_any_template_is_traced_whole(listed, template, text, lowercase):
    spec = InputSpec(text=text, lowercase=lowercase)
    some = listed.head(4)
    readings = trace_template(cut(some), spec, template)
    assert [reading.text for reading in readings] == read_template(some, spec, template)


def test_lines_of_fields_lead_to_what_they_were_read_from(listed):
    pieces = cut_movies(listed)
    for row, lines in enumerate(trace_fields(cut(listed), SideFields().fields)):
        assert [line for line, _ in lines] == read_fields(listed[[row]], SideFields().fields)[0].splitlines()
        for line, number in lines:
            field, value = line.split("=")
            piece = pieces[row][number]
            assert piece.source == {"decade": "year"}.get(field, field)
            if field not in ("decade", "runtime"):
                assert piece.text == value
