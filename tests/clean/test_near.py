import polars as pl

from tasks.clean.near import group_texts


def groups(*texts: str) -> list[str]:
    movies = pl.DataFrame({"movie_id": [f"tt{number}" for number in range(len(texts))], "description": texts})
    return group_texts(movies)["text_group"].to_list()


def test_the_first_of_the_same_words_names_the_group() -> None:
    texts = ("A ship sails.", "A cook.", "a SHIP -- sails", "A  ship, sails!", "A cook")
    assert groups(*texts) == ["tt0", "tt1", "tt0", "tt0", "tt1"]


def test_texts_without_words_are_alone() -> None:
    assert groups("", "?!", "…", "") == ["tt0", "tt1", "tt2", "tt3"]
