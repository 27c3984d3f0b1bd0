"""How a movie is cut into pieces, and put together again from some of them."""

import numpy as np
import polars as pl
from hypothesis import given
from hypothesis import strategies as st

from tasks.models.explain.pieces import Piece, cut_movies, rows_with, texts_of


@given(st.text(), st.text())
def test_every_character_but_white_space_is_in_one_piece(title, description):
    movies = pl.DataFrame({"movie_name": [title], "description": [description]})
    (pieces,) = cut_movies(movies)
    for source, text in zip(("movie_name", "description"), (title, description), strict=True):
        of_text = [piece for piece in pieces if piece.source == source]
        assert all(text[piece.start : piece.end] == piece.text for piece in of_text)
        covered = "".join(piece.text for piece in of_text)
        assert covered == "".join(text.split())


def test_fields_are_pieces_without_a_place(listed):
    movie = listed.filter(pl.col("year").is_not_null(), pl.col("stars").list.len() == 2).head(1)
    fields = [piece for piece in cut_movies(movie)[0] if piece.start is None]
    assert [piece.source for piece in fields if piece.source != "certificate"] == [
        "year", "runtime", "director", "star", "star",
    ]  # fmt: skip
    assert Piece("runtime", f"{movie['runtime_min'][0]} min") in fields


def test_a_movie_of_all_its_pieces_is_the_movie_and_of_none_is_nothing(listed, fit):
    movie = listed[[5]]
    (pieces,), (texts,) = cut_movies(movie), texts_of(movie)
    present = np.array([[True] * len(pieces), [False] * len(pieces)])
    whole, nothing = rows_with(texts, pieces, present).iter_slices(1)
    model = fit("words-and-fields")
    np.testing.assert_array_equal(model.scores(whole), model.scores(movie))
    np.testing.assert_array_equal(model.scores(nothing), model.scores(pl.DataFrame({"description": [""]})))


def test_only_what_is_gone_is_cut_out():
    movie = pl.DataFrame({"movie_name": ["No"], "description": ["It's a  dog's life."]})
    (pieces,), (texts,) = cut_movies(movie), texts_of(movie)
    assert [piece.text for piece in pieces] == ["No", "It's", "a", "dog's", "life", "."]
    row = rows_with(texts, pieces, np.array([[True, True, False, False, True, True]])).row(0, named=True)
    assert (row["movie_name"], row["description"]) == ("No", "It's      life.")


def test_what_only_some_take_for_a_line_break_is_part_of_a_value(listed, fit, explain_all):
    movie = listed[[5]].with_columns(stars=pl.lit(["Ann\x1cOther"]))
    (pieces,), (explanation,) = explain_all(fit("words-and-fields"), movie)
    assert Piece("star", "Ann\x1cOther") in pieces
    np.testing.assert_allclose(explanation.rest, 0, atol=1e-9)
