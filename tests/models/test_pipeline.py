"""Behaviour of every classifier: invariance, direction, minimum functionality, and the stored form."""

import numpy as np
import polars as pl
import pytest
from sklearn.exceptions import NotFittedError

from tasks.core.errors import DataError, ModelError
from tasks.models import linear, spec
from tasks.models.pipeline import FILES, GenreModel
from tasks.models.spec import InputSpec

GENRES = ("Drama", "Horror", "Western")


def scores_of(model, *descriptions):
    return model.scores(pl.DataFrame({"description": list(descriptions)}))


@pytest.fixture(scope="session")
def fitted(model_spec, movies):
    return GenreModel(model_spec, GENRES, 1).fit(movies)


def test_scores_are_probabilities_in_row_and_genre_order(fitted, movies):
    scores = fitted.scores(movies)
    assert scores.shape == (300, 3)
    assert scores.dtype == np.float32
    assert ((scores >= 0) & (scores <= 1)).all()
    reversed_scores = fitted.scores(movies.reverse())
    np.testing.assert_allclose(reversed_scores[::-1], scores, atol=1e-6)


def test_most_movies_get_their_genres(fitted, movies):
    truth = np.column_stack([movies.get_column("genres").list.contains(g).to_numpy() for g in GENRES])
    assert ((fitted.scores(movies) >= 0.5) == truth).mean() > 0.9


def test_telling_words_raise_their_genre(fitted):
    plain, haunted = scores_of(fitted, "young people in an old town", "haunted house, ghosts, people in an old town")
    assert haunted[1] > plain[1] + 0.2


def test_unseen_words_change_nothing(fitted):
    known, with_unseen = scores_of(fitted, "the sheriff rides", "the sheriff rides xylophonically")
    np.testing.assert_array_equal(known, with_unseen)


def test_empty_text_has_scores_of_its_own(fitted):
    scores = scores_of(fitted, "", "zzzz")
    assert np.isfinite(scores).all()
    np.testing.assert_array_equal(scores[0], scores[1])


def test_order_of_train_rows_does_not_matter(model_spec, movies, fitted):
    shuffled = GenreModel(model_spec, GENRES, 1).fit(movies.sample(fraction=1, shuffle=True, seed=3))
    np.testing.assert_array_equal(shuffled.scores(movies), fitted.scores(movies))


def test_order_of_genres_permutes_the_scores(model_spec, movies, fitted):
    turned = GenreModel(model_spec, GENRES[::-1], 1).fit(movies)
    np.testing.assert_allclose(turned.scores(movies)[:, ::-1], fitted.scores(movies), atol=1e-6)


def test_same_seed_same_bits(model_spec, movies, fitted):
    again = GenreModel(model_spec, GENRES, 1).fit(movies)
    np.testing.assert_array_equal(again.scores(movies), fitted.scores(movies))


def test_genre_absent_from_train_scores_zero(model_spec, movies):
    model = GenreModel(model_spec, (*GENRES, "Zombie"), 1).fit(movies)
    assert (model.scores(movies)[:, 3] == 0).all()


def test_single_genre_that_every_movie_has_scores_one(model_spec, movies):
    only = movies.with_columns(genres=pl.lit(["Drama"]))
    model = GenreModel(model_spec, ("Drama",), 1).fit(only)
    np.testing.assert_allclose(model.scores(only), 1, atol=1e-6)


def test_stored_model_gives_the_same_bits(fitted, model_spec, movies, tmp_path):
    fitted.save(tmp_path)
    assert {str(file.relative_to(tmp_path)) for file in tmp_path.rglob("*") if file.is_file()} == set(FILES)
    loaded = GenreModel.load(tmp_path)
    assert loaded.genres == GENRES
    np.testing.assert_array_equal(loaded.scores(movies), fitted.scores(movies))


def test_storing_twice_gives_the_same_bytes(fitted, model_spec, tmp_path):
    for folder in ("one", "two"):
        (tmp_path / folder).mkdir()
        fitted.save(tmp_path / folder)
    for name in FILES:
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()


def test_damaged_folder_is_refused(fitted, tmp_path):
    fitted.save(tmp_path)
    (tmp_path / "model.skops").write_text("[", encoding="utf-8")
    with pytest.raises(ModelError, match="incomplete or damaged"):
        GenreModel.load(tmp_path)


# NumPy leaves a file open that begins as an archive and is none.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize(
    "damage", [lambda _: b"", lambda whole: whole[: len(whole) // 2], lambda whole: bytes(len(whole))]
)
def test_no_damage_of_a_file_is_a_defect(fitted, tmp_path, damage):
    fitted.save(tmp_path)
    for file in [path for path in tmp_path.rglob("*") if path.is_file()]:
        whole = file.read_bytes()
        file.write_bytes(damage(whole))
        with pytest.raises(ModelError, match="incomplete or damaged"):
            GenreModel.load(tmp_path)
        file.write_bytes(whole)


def test_unfitted_model_does_not_score(model_spec):
    with pytest.raises(NotFittedError, match="not fitted"):
        GenreModel(model_spec, GENRES, 1).score_vectors(None)


def test_input_without_description_is_refused(fitted):
    with pytest.raises(DataError, match="no column 'description'"):
        fitted.scores(pl.DataFrame({"plot": ["x"]}))


def test_no_frequent_word_is_refused(model_spec):
    lonely = pl.DataFrame({"description": ["one", "two", "three"], "genres": [["Drama"]] * 3})
    with pytest.raises(ModelError, match="lower min_movies"):
        GenreModel(model_spec, GENRES, 1).fit(lonely)


def test_title_is_read_where_asked_for(movies):
    titled = movies.with_columns(movie_name=pl.col("genres").list.first() + "land")
    model = spec.ModelSpec(name="m", input=InputSpec(title=True), classifier=linear.LogisticRegression(C=10))
    fitted = GenreModel(model, GENRES, 1).fit(titled)
    with_title = fitted.scores(pl.DataFrame({"movie_name": ["Westernland"], "description": ["town"]}))
    without = fitted.scores(pl.DataFrame({"description": ["town"]}))
    assert with_title[0, 2] > without[0, 2]
