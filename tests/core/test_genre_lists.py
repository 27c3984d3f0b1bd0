import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.core.errors import DataError
from tasks.core.schema import GENRES, parse_genres, read_genre_names

NAMES = ("Crime", "Drama", "War")
LISTS = st.lists(st.sampled_from(GENRES), unique=True, max_size=5)


@pytest.mark.parametrize(
    "text",
    [
        "Drama, War",
        "War,Drama,Drama, ",
        "['Drama', 'War']",
        "['Drama' 'War']",
        '["War", "Drama"]',
        "('Drama', 'War')",
        "{'War', 'Drama'}",
        "array(['Drama', 'War'], dtype=object)",
        "frozenset({'War', 'Drama'})",
        "[Drama, War]",
        "array([0, 1, 1])",
        "011",
        "[0, 1, 1]",
        "[0 1 1]",
        "[0. 1. 1.]",
        "0,1,1",
        " (0.0, 1.0, 1.0) ",
    ],
)
def test_every_form_gives_the_same(text: str) -> None:
    assert parse_genres(text, NAMES) == ("Drama", "War")


@pytest.mark.parametrize("text", ["", " ", "[]", "()", "set()", "[0 0 0]", "['']", ","])
def test_nothing_is_no_genre(text: str) -> None:
    assert parse_genres(text, NAMES) == ()


@pytest.mark.parametrize("text", ["Children's, Women's", '["Children\'s", "Women\'s"]'])
def test_apostrophes_are_parts_of_names(text: str) -> None:
    assert parse_genres(text, NAMES) == ("Children's", "Women's")


def test_what_only_begins_like_an_encoding_takes_no_time() -> None:
    text = "0" * 10_000 + "x"
    assert parse_genres(text, NAMES) == (text,)


def test_an_encoding_of_other_genres_is_refused() -> None:
    with pytest.raises(ValueError, match="2 numbers encode 2 genres, but 3 are known"):
        parse_genres("[0, 1]", NAMES)


@given(LISTS)
def test_lists_come_back_from_every_form(genres: list[str]) -> None:
    expected = tuple(sorted(genres))
    encoded = str([int(name in genres) for name in GENRES])
    for text in (str(genres), json.dumps(genres), ", ".join(genres), str(tuple(genres)), encoded):
        assert parse_genres(text, GENRES) == expected


def test_the_names_are_those_of_the_file_or_the_known_ones(tmp_path: Path) -> None:
    path = tmp_path / "genres.json"
    assert read_genre_names(path) == tuple(sorted(GENRES))
    path.write_text('["War", "Drama"]')
    assert read_genre_names(path) == ("War", "Drama")


@pytest.mark.parametrize("content", ["{", "{}", "[1]", "\x00"])
def test_a_file_without_names_is_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / "genres.json").write_text(content)
    with pytest.raises(DataError, match=r"genres\.json is no"):
        read_genre_names(tmp_path / "genres.json")
