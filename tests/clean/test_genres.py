import polars as pl
from hypothesis import given
from hypothesis import strategies as st

from tasks.clean.profiles import split_genres


def genres_of(texts: list[str]) -> list[list[str]]:
    lists = dict(split_genres(pl.Series(texts)).iter_rows())
    return [lists[text] for text in texts]


def test_genres_are_sorted_stripped_and_distinct() -> None:
    assert genres_of(["War, Drama", "Drama,Action ,\u2003Drama", " , ,", "", "War, Drama"]) == [
        ["Drama", "War"], ["Action", "Drama"], [], [], ["Drama", "War"],
    ]  # fmt: skip


@given(st.lists(st.lists(st.integers(0, 200).map("g{:03d}".format), max_size=80), min_size=1, max_size=5))
def test_any_number_of_genres(rows: list[list[str]]) -> None:
    assert genres_of([", ".join(names) for names in rows]) == [sorted(set(names)) for names in rows]
