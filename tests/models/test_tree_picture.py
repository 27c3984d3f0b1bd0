"""The picture of a decision tree, and what it says in a sentence."""

import numpy as np
import pytest
from sklearn.tree import DecisionTreeClassifier

from tasks.core.errors import ModelError
from tasks.models import task
from tasks.models.explain.importance import FittedTree, describe_tree, draw_tree, write_tree_picture
from tasks.models.linear import NaiveBayes
from tasks.models.pipeline import GenreModel
from tasks.models.spec import ModelSpec
from tasks.models.vectorizers import BagOfWords
from tasks.models.word_vectors import WordVectors

GENRES = ("Drama", "Horror", "Western")


@pytest.fixture(scope="module")
def model(movies):
    counts = BagOfWords(weighting="counts")
    tree = DecisionTreeClassifier(max_depth=4, min_samples_leaf=5)
    return GenreModel(ModelSpec(name="tree", representations=(counts,), classifier=tree), GENRES, 1).fit(movies)


@pytest.fixture
def folder(model, tmp_path):
    stored = tmp_path / "tree"
    (stored / "model").mkdir(parents=True)
    model.save(stored / "model")
    return stored


def test_shares_and_movies_are_those_of_train(model, movies):
    tree = FittedTree(model)
    assert tree.movies[0] == movies.height
    shares = [movies["genres"].list.contains(genre).mean() for genre in GENRES]
    np.testing.assert_allclose(tree.shares[0], shares)
    (left, without), (right, with_it) = tree.children(0)
    asked = tree.question(0)
    assert (without, with_it) == (f"with little or no “{asked}”", f"with “{asked}”")
    has = movies["description"].str.contains(rf"\b{asked}\b")
    assert (tree.movies[left], tree.movies[right]) == ((~has).sum(), has.sum())
    np.testing.assert_allclose(tree.shares[right, 1], movies.filter(has)["genres"].list.contains("Horror").mean())


def test_the_sentence_names_the_first_question_and_the_farthest_node(model):
    tree = FittedTree(model)
    sentence = describe_tree(tree, "Horror")
    assert sentence.startswith(f"The tree first splits on “{tree.question(0)}”. Horror is ")
    assert sentence.endswith("the largest difference among the nodes shown.")


def test_every_node_is_drawn_with_its_movies_and_shares(model):
    tree = FittedTree(model)
    (axes,) = draw_tree(tree, "Horror").axes
    texts = [text.get_text() for text in axes.texts]
    root = next(text for text in texts if f"{tree.movies[0]:,} movies" in text)
    assert root.startswith(f"“{tree.question(0)}”?\n")
    assert f"Horror {tree.shares[0, 1]:.0%}" in root
    assert {"no", "yes"} <= set(texts)
    assert not [text for text in texts if text.startswith("#") or "True" in text]


def test_the_picture_is_of_the_most_frequent_genre(model, folder):
    drawn = write_tree_picture(folder)
    assert drawn.counts["genre"] == GENRES[int(FittedTree(model).shares[0].argmax())]
    assert write_tree_picture(folder).skipped
    before = (folder / "tree.svg").read_bytes()
    (again,) = task.draw_trees.fn([folder], ("svg", "png"))
    assert (again.folder / "tree.svg").read_bytes() == before
    assert (folder / "tree.png").is_file()


def test_other_models_have_no_tree_and_a_damaged_one_is_an_error(movies, tmp_path):
    (tmp_path / "nb" / "model").mkdir(parents=True)
    GenreModel(ModelSpec(name="nb", classifier=NaiveBayes()), GENRES, 1).fit(movies).save(tmp_path / "nb" / "model")
    assert write_tree_picture(tmp_path / "nb") is None
    with pytest.raises(ModelError, match=r"model\.json is missing or damaged"):
        write_tree_picture(tmp_path)


def test_a_tree_that_asks_nothing_and_one_on_columns_without_a_meaning(movies):
    single = ModelSpec(name="tree", classifier=DecisionTreeClassifier(min_samples_leaf=200))
    tree = FittedTree(GenreModel(single, GENRES, 1).fit(movies))
    assert describe_tree(tree, "Drama").startswith("The tree has no splits: ")
    assert draw_tree(tree, "Drama").axes
    means = WordVectors(dimensions=8, epochs=5)
    on_means = ModelSpec(name="t", representations=(means,), classifier=DecisionTreeClassifier(max_depth=2))
    tree = FittedTree(GenreModel(on_means, GENRES, 1).fit(movies))
    assert tree.children(0)[0][1].startswith("word2vec_8d:")
    assert " at most " in tree.children(0)[0][1]
