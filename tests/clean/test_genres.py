import polars as pl
from hypothesis import given
from hypothesis import strategies as st

from tasks.clean.profiles import GenreCoder


def united(texts: list[str]) -> list[str]:
    """The genres of one movie whose rows have these texts."""
    coder = GenreCoder(pl.Series(texts))
    rows = coder.encode(pl.DataFrame({"genre": texts}))
    movie = rows.select(pl.col(coder.columns).bitwise_or())
    return coder.decode(movie)["genres"].to_list()[0]


def test_the_union_is_sorted_and_stripped() -> None:
    assert united(["War, Drama", "Drama,Action ", " , "]) == ["Action", "Drama", "War"]


def test_no_genre_is_an_empty_list() -> None:
    assert united([" , ,", ""]) == []


@given(st.lists(st.lists(st.integers(0, 200).map("g{:03d}".format), max_size=80), min_size=1, max_size=5))
def test_any_number_of_genres(rows: list[list[str]]) -> None:
    assert united([", ".join(names) for names in rows]) == sorted({name for names in rows for name in names})


def test_rows_keep_their_order() -> None:
    texts = ["War", "Drama", "War", "Action, War"]
    coder = GenreCoder(pl.Series(texts))
    rows = coder.encode(pl.DataFrame({"row": [0, 1, 2, 3], "genre": texts}))
    assert rows["row"].to_list() == [0, 1, 2, 3]
    assert coder.decode(rows)["genres"].to_list() == [["War"], ["Drama"], ["War"], ["Action", "War"]]
