import random
import re

import pytest

from tasks.acquire.sample import GENRE_FILES, PlotWriter, capitalise, dress_words, inflect, sample_words
from tasks.core.schema import GENRES

ROLES = {"person", "place", "thing", "aim", "event", "mood", "people", "things", "aims", "aiming"}


@pytest.mark.parametrize(
    ("phrase", "form", "expected"),
    [
        ("prisoner of war", "people", "prisoners of war"),
        ("best man", "people", "best men"),
        ("witch", "people", "witches"),
        ("spy", "people", "spies"),
        ("wife of the captain", "people", "wives of the captain"),
        ("little boy", "things", "little boys"),
        ("rob a bank", "aims", "robs a bank"),
        ("marry for money", "aims", "marries for money"),
        ("search for love", "aims", "searches for love"),
        ("go home", "aims", "goes home"),
        ("rob a bank", "aiming", "robbing a bank"),
        ("make a friend", "aiming", "making a friend"),
        ("free the hostages", "aiming", "freeing the hostages"),
        ("see Paris", "aiming", "seeing Paris"),
    ],
)
def test_phrases_are_inflected(phrase: str, form: str, expected: str) -> None:
    assert inflect(phrase, form) == expected


def test_phrases_get_capitals() -> None:
    assert capitalise("at the end", title=False) == "At the end"
    assert capitalise("a letter from the FBI", title=True) == "A Letter from the FBI"


def test_the_article_follows_the_sound() -> None:
    assert dress_words(["boat", "honest man", "uniform"], "a ", str) == ["a boat", "an honest man", "a uniform"]
    assert dress_words(["old boat"], "A ", str) == ["An old boat"]


@pytest.fixture(scope="module")
def writer() -> PlotWriter:
    return PlotWriter(random.Random(3).random)


def test_every_genre_has_words_for_every_role(writer: PlotWriter) -> None:
    assert tuple(sample_words().genre_words) == GENRES
    assert set(GENRE_FILES) < set(GENRES)
    for genre, roles in writer._of_genre.items():
        assert roles.keys() == ROLES, genre
        assert all(len(words) >= 5 and all(words) for words in roles.values()), genre


def test_plots_are_whole_english_sentences(writer: PlotWriter) -> None:
    for _ in range(500):
        sentences = writer.plot(("Crime", "Drama"), 2)
        assert len(sentences) in {2, 3}
        for sentence in sentences:
            assert re.fullmatch(r"[A-ZÀ-Þ][^{}]+[.?]", sentence), sentence
            assert "  " not in sentence
            assert not re.search(r"\b[Aa] [aeio]", sentence), sentence


def test_titles_have_no_slot_left(writer: PlotWriter) -> None:
    titles = {writer.title(("Western",)) for _ in range(500)}
    assert len(titles) > 300
    assert all(re.fullmatch(r"[A-ZÀ-Þ][^{}.]*", title) for title in titles)


def test_words_carry_the_genre_but_not_alone(writer: PlotWriter) -> None:
    plots = [" ".join(writer.plot(("Western",), 2)) for _ in range(300)]
    telling = sum(bool(re.search("gunslinger|sheriff|cowboy|saloon|outlaw|ranch|prairie|stagecoach", p)) for p in plots)
    assert 150 < telling < 300
    others = " ".join(plots)
    assert re.search("wizard|astronaut|detective|gangster|boxer|samurai", others)
