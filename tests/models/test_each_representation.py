"""Behaviour of a model with every kind of representation: direction, unseen and empty text, and the stored form."""

import numpy as np
import polars as pl
import pytest

from tasks.models import spec
from tasks.models.linear import LogisticRegression
from tasks.models.pipeline import FILES, GenreModel
from tasks.models.vectorizers import BagOfWords, CharacterNgrams, SideFields
from tasks.models.word_vectors import PretrainedVectors, WordVectors

GENRES = ("Drama", "Horror", "Western")
WORD2VEC = WordVectors(dimensions=20, epochs=40)
FASTTEXT = WordVectors(algorithm="fasttext", dimensions=20, epochs=200, buckets=2000)
KINDS = ["words", "characters", "words-and-fields", "word2vec", "fasttext", "pretrained", "words-and-word2vec"]
READ_PARTS_OF_WORDS = {"characters", "fasttext"}


@pytest.fixture(scope="module")
def vector_file(movies, tmp_path_factory):
    """A GloVe file with a random vector for each word of the invented movies."""
    words = sorted(set(" ".join(movies.get_column("description")).split()))
    vectors = np.random.default_rng(1).normal(size=(len(words), 20))
    file = tmp_path_factory.mktemp("glove") / "invented.txt"
    lines = (f"{word} {' '.join(map(str, vector))}\n" for word, vector in zip(words, vectors.tolist(), strict=True))
    file.write_text("".join(lines), encoding="utf-8")
    return file


@pytest.fixture(scope="module", params=KINDS)
def model_spec(request, vector_file):
    representations = {
        "words": (BagOfWords(),),
        "characters": (CharacterNgrams(),),
        "words-and-fields": (BagOfWords(), SideFields()),
        "word2vec": (WORD2VEC,),
        "fasttext": (FASTTEXT,),
        "pretrained": (PretrainedVectors(file=vector_file),),
        "words-and-word2vec": (BagOfWords(), WORD2VEC),
    }[request.param]
    return spec.ModelSpec(name=request.param, representations=representations, classifier=LogisticRegression(C=10))


@pytest.fixture(scope="module")
def listed(movies):
    """The movies with a year that tells Westerns from the others."""
    is_western = pl.col("genres").list.contains("Western")
    return movies.with_columns(year=pl.when(is_western).then(1950).otherwise(2000).cast(pl.Int32))


@pytest.fixture(scope="module")
def fitted(model_spec, listed):
    return GenreModel(model_spec, GENRES, 1).fit(listed)


def scores_of(model, *descriptions):
    return model.scores(pl.DataFrame({"description": list(descriptions)}))


def test_most_movies_get_their_genres(fitted, listed):
    scores = fitted.scores(listed)
    assert scores.shape == (300, 3)
    assert scores.dtype == np.float32
    truth = np.column_stack([listed.get_column("genres").list.contains(genre).to_numpy() for genre in GENRES])
    assert ((scores >= 0.5) == truth).mean() > 0.9


def test_telling_words_raise_their_genre(fitted):
    plain, haunted = scores_of(fitted, "young people in an old town", "haunted house, ghosts, people in an old town")
    assert haunted[1] > plain[1] + 0.2


def test_unseen_words_change_nothing_unless_their_parts_are_read(fitted, model_spec):
    known, with_unseen = scores_of(fitted, "the sheriff returns", "the sheriff returns sheriffly")
    assert np.array_equal(known, with_unseen) == (model_spec.name not in READ_PARTS_OF_WORDS)


def test_parts_of_an_unseen_word_tell_its_genre(fitted, model_spec):
    if model_spec.name in READ_PARTS_OF_WORDS:
        western, horror = scores_of(fitted, "sheriffs", "terrifiedly")
        assert western[2] > horror[2]
        assert horror[1] > western[1]


def test_empty_text_has_scores_of_its_own(fitted):
    scores = scores_of(fitted, "", "?!")
    assert np.isfinite(scores).all()
    np.testing.assert_array_equal(scores[0], scores[1])


def test_a_movie_scores_the_same_beside_any_others(fitted, listed):
    together = fitted.scores(listed)
    np.testing.assert_array_equal(fitted.scores(listed.reverse())[::-1], together)
    np.testing.assert_array_equal(fitted.scores(listed[7:8])[0], together[7])


def test_order_of_train_rows_does_not_matter(model_spec, listed, fitted):
    shuffled = GenreModel(model_spec, GENRES, 1).fit(listed.sample(fraction=1, shuffle=True, seed=3))
    np.testing.assert_array_equal(shuffled.scores(listed), fitted.scores(listed))


def test_stored_model_gives_the_same_bits(fitted, model_spec, listed, tmp_path):
    fitted.save(tmp_path)
    stored = {str(file.relative_to(tmp_path)) for file in tmp_path.rglob("*") if file.is_file()}
    assert stored == set(FILES)
    np.testing.assert_array_equal(GenreModel.load(tmp_path).scores(listed), fitted.scores(listed))
