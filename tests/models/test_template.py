"""Templates: their syntax, what is left out, and what movies give for their names."""

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from tasks.models.inputs import fill_template, read_template
from tasks.models.spec import PLACEHOLDER, PLACEHOLDERS, InputSpec, TransformerSpec

CASED = InputSpec(lowercase=False)
ALL_FIELDS = (
    "{title}[ ({year})].[ {certificate}.][ {runtime} min.][ Directed by {director}.][ With {star}.] {description}"
)


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        ("{title}. {description}", "Dust. Cows."),
        ("{description}{title}", "Cows.Dust"),
        ("{title}[ ({year})]. {description}", "Dust (1952). Cows."),
        ("{title}[ by {director}]. {description}", "Dust. Cows."),
        ("[{title} by {director}: ]{description}", "Cows."),
        ("{director}{description}", "Cows."),
        ("[{title}, {year}]", "Dust, 1952"),
        ("[always]{title}[]", "alwaysDust"),
        ("{title}\n[{year}\n]{description}", "Dust\n1952\nCows."),
    ],
)
def test_a_template_is_filled(template, expected):
    assert TransformerSpec(name="mine", template=template).template == template
    values = {"title": ["Dust"], "description": ["Cows."], "year": ["1952"], "director": [""]}
    assert fill_template(template, values, 1) == [expected]


@pytest.mark.parametrize(
    ("template", "message"),
    [
        ("", "must have placeholders"),
        ("no names", "must have placeholders"),
        ("{plot}", "unknown placeholder 'plot'; there are: title, description"),
        ("{}", "unknown placeholder ''"),
        ("{ title }", "unknown placeholder ' title '"),
        ("{Title}", "unknown placeholder 'Title'"),
        ("{title!r}", "unknown placeholder 'title!r'"),
        ("{title", "must have placeholders"),
        ("{title}}", "braces in pairs"),
        ("{{title}}", "braces in pairs"),
        ("[{title}", "square brackets must be in pairs"),
        ("{title}]", "square brackets must be in pairs"),
        ("[{title} [{year}]]", "not within each other"),
        ("][{title}", "square brackets must be in pairs"),
        ("{ti[tle}]", "unknown placeholder"),
    ],
)
def test_what_cannot_be_filled_is_refused(template, message):
    with pytest.raises(ValidationError, match=message):
        TransformerSpec(name="mine", template=template)


@given(st.text(alphabet="{}[] .ab", max_size=12).map(lambda text: text.replace("a", "title").replace("b", "year")))
def test_what_is_accepted_can_be_filled(template):
    try:
        TransformerSpec(name="mine", template=template)
    except ValueError:
        return
    values = {name: ["x", ""] for name in PLACEHOLDER.findall(template)}
    both = fill_template(template, values, 2)
    assert "x" in both[0]
    assert not set("".join(both)) & set("{}[]")


@given(st.lists(st.text(), min_size=1, max_size=3))
def test_texts_are_taken_as_they_are(texts):
    assert fill_template("[{title}]{title}", {"title": texts}, len(texts)) == [2 * text for text in texts]


@pytest.fixture
def western():
    """A movie as in the clean table, and one of which only the description is known."""
    return pl.DataFrame(
        {
            "movie_name": ["Dust", None],
            "description": ["Cows.", "Ghosts."],
            "year": [1952, None],
            "certificate": ["PG", None],
            "runtime_min": [95, None],
            "directors": [["Ann Lee"], []],
            "stars": [["Bo Ek", "Cy Dee"], None],
        },
        schema_overrides={"year": pl.Int32, "runtime_min": pl.Int32, "directors": pl.List(pl.String)},
    )


def test_every_name_stands_for_what_is_known(western):
    template = "; ".join(f"{{{name}}}" for name in PLACEHOLDERS)
    full, bare = read_template(western, CASED, template)
    assert full == "Dust; Cows.; 1950; 1952; PG; 95; Ann Lee; Bo Ek, Cy Dee"
    assert bare == "; Ghosts.; ; ; ; ; ; "


def test_what_is_not_known_is_left_out(western):
    assert read_template(western, CASED, ALL_FIELDS) == [
        "Dust (1952). PG. 95 min. Directed by Ann Lee. With Bo Ek, Cy Dee. Cows.",
        ". Ghosts.",
    ]


def test_a_listing_gives_the_same_text(western):
    listing = pl.DataFrame(
        {
            "movie_name": ["Dust"],
            "description": ["Cows."],
            "year": ["1952"],
            "certificate": ["PG"],
            "runtime": ["95 min"],
            "director": ["Ann Lee"],
            "star": ["Bo Ek, \nCy Dee"],
        }
    )
    assert read_template(listing, CASED, ALL_FIELDS) == read_template(western.head(1), CASED, ALL_FIELDS)


def test_columns_that_are_missing_are_not_known():
    movies = pl.DataFrame({"description": ["Cows."]})
    assert read_template(movies, CASED, "{title}[{year}][{star}, {director}]{description}") == ["Cows."]


def test_lower_case_is_for_all_of_it(western):
    assert read_template(western, InputSpec(), "PLOT: {title}, {star}. {description}")[0] == (
        "plot: dust, bo ek, cy dee. cows."
    )


def test_no_movies_give_no_texts(western):
    assert read_template(western.head(0), CASED, ALL_FIELDS) == []


def test_the_description_may_be_lemmas(western):
    lemmas = western.with_columns(lemmas=pl.Series([["cow"], ["ghost"]]))
    assert read_template(lemmas, InputSpec(text="lemmas"), "{title}: {description}") == ["dust: cow", ": ghost"]
