"""Groups of texts beside plain sets of shingles, which share nothing with the hashes."""

import random
import re
from collections import Counter
from collections.abc import Callable, Iterable
from itertools import combinations
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.clean import near_duplicates
from tasks.clean.near_duplicates import MIN_SHARED, MIN_SIMILARITY, RUN, SHINGLE, WINDOW, count_groups, group_texts

PLOT = (
    "On the last night of the year a ferryman who has never left his river takes seven strangers across and learns "
    "that one of them has come for the house in which he was born"
)


def groups(*texts: str) -> list[str]:
    ids = [f"tt{number}" for number in range(len(texts))]
    movies = pl.DataFrame(
        {"movie_id": ids, "description": texts}, schema=dict.fromkeys(("movie_id", "description"), pl.String)
    )
    return group_texts(movies)["text_group"].to_list()


def words_of(text: str) -> list[str]:
    return re.findall(r"[^\W_]+", text.lower())


def shingles(text: str) -> set[tuple[str, ...]]:
    words = words_of(text)
    return {tuple(words[start : start + SHINGLE]) for start in range(len(words) - SHINGLE + 1)}


def similar(one: str, other: str) -> bool:
    shared, either = shingles(one) & shingles(other), shingles(one) | shingles(other)
    return len(shared) >= MIN_SHARED and len(shared) >= MIN_SIMILARITY * len(either)


def groups_by_hand(texts: list[str], pairs: Iterable[tuple[int, int]]) -> list[str]:
    first = list(range(len(texts)))
    for one, other in pairs:
        same = words_of(texts[one]) == words_of(texts[other]) != []
        if first[one] != first[other] and (same or similar(texts[one], texts[other])):
            low, high = sorted((first[one], first[other]))
            first = [low if number == high else number for number in first]
    return [f"tt{number}" for number in first]


def test_the_first_of_the_same_words_names_the_group() -> None:
    texts = ("A ship sails.", "A cook.", "a SHIP -- sails", "A  ship,\u00a0sails!", "A cook", "“A cook…”", "A COOK?")
    assert groups(*texts) == ["tt0", "tt1", "tt0", "tt0", "tt1", "tt1", "tt1"]


def test_case_is_unicodes() -> None:
    assert groups("Éva läuft", "éva LÄUFT", "Eva läuft", "山 é", "山 É") == ["tt0", "tt0", "tt2", "tt3", "tt3"]


def test_texts_without_words_are_alone() -> None:
    assert groups("", "?!", "…", "", "—") == ["tt0", "tt1", "tt2", "tt3", "tt4"]
    assert groups() == []


@pytest.mark.parametrize(
    "other",
    [
        PLOT.replace("seven", "twelve"),
        PLOT.upper() + ".",
        "Based on true events. " + PLOT,
        PLOT[: len(PLOT) * 2 // 3],
        PLOT.replace("who has never left his river", "from the north"),
    ],
)
def test_a_retold_text_is_the_same(other: str) -> None:
    assert groups("A cook.", PLOT, "A ship.", other) == ["tt0", "tt1", "tt2", "tt1"]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("A documentary.", "A documentary about ships."),
        ("The long way home of Ann Other.", "The long way home of Bo Yi."),
        (PLOT, "On the last night of the year a baker burns her house, " + "and her cat watches it " * 9),
        (PLOT, " ".join(reversed(PLOT.split()))),
    ],
)
def test_a_shared_phrase_makes_no_group(one: str, other: str) -> None:
    assert groups(one, other) == ["tt0", "tt1"]


def test_groups_reach_from_neighbour_to_neighbour() -> None:
    words = [f"word{number}" for number in range(60)]
    chain = [" ".join(words[start : start + 30]) for start in (0, 10, 20, 30)]
    assert not similar(chain[0], chain[3])
    assert groups("Other.", *reversed(chain)) == ["tt0", "tt1", "tt1", "tt1", "tt1"]


def test_groups_are_counted() -> None:
    movies = pl.DataFrame({"text_group": ["a", "b", "a", "c", "a", "c"]})
    assert count_groups(movies) == {"groups": 2, "movies": 5, "largest": 3}
    assert count_groups(movies.head(2)) == {"groups": 0, "movies": 0, "largest": 0}


@settings(max_examples=40)
@given(seed=st.integers(0, 2**32), step=st.sampled_from([1, 3, 10_000]))
def test_groups_are_those_of_all_pairs(seed: int, step: int) -> None:
    chance = random.Random(seed)
    vocabulary = [f"wörd{number}" if number % 9 == 0 else f"remarkable{number}word" for number in range(3000)]
    texts = [" ".join(chance.choices(vocabulary, k=chance.choice([2, 8, 9, 14, 30]))) for _ in range(12)]
    for _ in range(20):  # each a run of another's words, so that winnowing cannot miss it, within more or less else
        words = chance.choice(texts).split()
        start, length = chance.randrange(len(words)), chance.randint(RUN + WINDOW - 1, 25)
        texts.append(" ".join([*chance.choices(vocabulary, k=chance.randint(0, 9)), *words[start : start + length]]))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(near_duplicates, "SLICE_MOVIES", step)
        patch.setattr(near_duplicates, "SLICE_PAIRS", step)
        patch.setattr(near_duplicates, "NEIGHBOURS", len(texts))
        assert groups(*texts) == groups_by_hand(texts, combinations(range(len(texts)), 2))


def test_no_pair_of_the_real_texts_is_missed(real_listings: Path, cleaned: Callable[..., tuple]) -> None:
    movies = cleaned(real_listings)[0].with_columns(movie_id=pl.format("tt{}", pl.int_range(pl.len())))
    texts = movies["description"].to_list()
    with_shingle: dict[object, list[int]] = {}
    for number, text in enumerate(texts):
        for shingle in shingles(text) or {tuple(words_of(text))}:
            with_shingle.setdefault(shingle, []).append(number)
    rare = (numbers for numbers in with_shingle.values() if len(numbers) <= 8)
    shared = Counter(pair for numbers in rare for pair in combinations(numbers, 2))
    likely = sorted(pair for pair, count in shared.items() if count > 1 or len(words_of(texts[pair[0]])) < SHINGLE + 1)
    assert group_texts(movies)["text_group"].to_list() == groups_by_hand(texts, likely)
