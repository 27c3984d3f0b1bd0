"""Rules as people write them: what each form means, and what is told about a mistake."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.core.errors import ConfigError
from tasks.decision.rules import ExpectedJaccardSet, GlobalThreshold, PerGenreThresholds, Rule, TopGenres, parse_rule

GENRES = ("Drama", "Horror", "Sci-Fi")
STORED: dict[str, Rule] = {
    "fixed": GlobalThreshold(0.5),
    "per-genre": PerGenreThresholds((0.1, 0.2, 0.3)),
    "per-genre-f1": PerGenreThresholds((0.2, 0.3, 1.5), fallback="none"),
    "expected-jaccard": ExpectedJaccardSet((1.0, 1.0, 1.0), (0.0, 0.0, 0.0)),
}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("expected-jaccard", STORED["expected-jaccard"]),
        (" per-genre ", STORED["per-genre"]),
        ("threshold=0.3", GlobalThreshold(0.3)),
        ("threshold=1", GlobalThreshold(1.0)),
        ("threshold=0.3,fallback=none", GlobalThreshold(0.3, "none")),
        ("Threshold = 3e-1 , fallback = sci-fi", GlobalThreshold(0.3, 2)),
        ("threshold=0.3,Horror=0.9", PerGenreThresholds((0.3, 0.9, 0.3))),
        ("top=2", TopGenres(2)),
        ("Horror=0.9", PerGenreThresholds((0.1, 0.9, 0.3))),
        ("sci-fi=0,drama=0.6", PerGenreThresholds((0.6, 0.2, 0.0))),
        ("fallback=highest-score", STORED["per-genre"]),
        ("per-genre,Drama=0.6", PerGenreThresholds((0.6, 0.2, 0.3))),
        ("per-genre-f1,Drama=0.6", PerGenreThresholds((0.6, 0.3, 1.5), "none")),
        ("fixed,fallback=Drama", GlobalThreshold(0.5, 0)),
        ("fixed,Drama=0.6", PerGenreThresholds((0.6, 0.5, 0.5))),
    ],
)
def test_each_form_is_understood(text: str, expected: Rule) -> None:
    assert parse_rule(text, STORED, GENRES) == expected


def test_genres_that_differ_in_case_alone_are_told_apart() -> None:
    genres = ("Go", "go", "Top")
    assert parse_rule("Go=0.9,go=0.8", STORED, genres) == PerGenreThresholds((0.9, 0.8, 0.3))
    assert parse_rule("threshold=0.5,fallback=Go", STORED, genres) == GlobalThreshold(0.5, 0)
    assert parse_rule("top=2", STORED, genres) == TopGenres(2)
    assert parse_rule("Top=0.7", STORED, genres) == PerGenreThresholds((0.1, 0.2, 0.7))


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "no rule is named ''; there are: fixed, per-genre, per-genre-f1, expected-jaccard; or give threshold=0.3"),
        ("per-gnre", "no rule is named 'per-gnre', did you mean per-genre?"),
        ("expected-jaccard,Drama=0.5", "has no thresholds to change; there are: fixed, per-genre, per-genre-f1"),
        ("Horor=0.5", "no genre is named 'Horor', did you mean Horror? there are: Drama, Horror, Sci-Fi"),
        ("=0.5", "no genre is named ''"),
        ("Drama=0.5,", "'' is not NAME=VALUE"),
        ("Drama=0.5,fixed", "'fixed' is not NAME=VALUE"),
        ("Drama=1.5", "Drama must be a number from 0 to 1, not '1.5'"),
        ("threshold=nan", "threshold must be a number from 0 to 1, not 'nan'"),
        ("threshold=", "threshold must be a number from 0 to 1, not ''"),
        ("Drama=-0.1", "Drama must be a number"),
        ("Drama=much", "Drama must be a number"),
        ("Drama=0.1,drama=0.2", "Drama is given twice"),
        ("top=0", "top must be a whole number from 1 to 3, not '0'"),
        ("top=4", "top must be a whole number from 1 to 3"),
        ("top=1.5", "top must be a whole number from 1 to 3"),
        ("top=2,Drama=0.5", "give only one of"),
        ("fixed,threshold=0.5", "give only one of"),
        ("top=2,threshold=0.5", "give only one of"),
        ("threshold=0.5,fallback=Musik", "highest-score, none or a genre; no genre is named 'Musik'"),
    ],
)
def test_a_mistake_is_told_with_what_there_is(text: str, complaint: str) -> None:
    with pytest.raises(ConfigError) as error:
        parse_rule(text, STORED, GENRES)
    assert complaint in str(error.value)


def test_thresholds_need_stored_ones_for_the_other_genres() -> None:
    with pytest.raises(ConfigError, match="no rule is named 'per-genre'"):
        parse_rule("Drama=0.5", {"fixed": GlobalThreshold(0.5)}, GENRES)


PIECES = st.sampled_from(
    [*GENRES, *STORED, "threshold", "top", "fallback", "none", "=", ",", " ", "0.5", "2", "-", "nan"]
)


@given(st.text() | st.lists(PIECES, max_size=9).map("".join))
def test_any_text_gives_a_rule_or_a_message(text: str) -> None:
    with suppress(ConfigError):
        assert isinstance(parse_rule(text, STORED, GENRES), Rule)
