"""The stages: which movies and genres are explained, and what features weigh."""

import json

import numpy as np
import polars as pl
import pytest
from sklearn.tree import DecisionTreeClassifier

from tasks.core import schema
from tasks.core.errors import DataError, ModelError
from tasks.core.predictions import truth_matrix
from tasks.decision.rules import rules_to_json
from tasks.decision.thresholds import fit_rules
from tasks.models import linear, spec
from tasks.models.explain import importance
from tasks.models.explain.importance import explain_movies, most_readable, read_exhibits, write_importance
from tasks.models.genre_classifier import GenreClassifier
from tasks.models.pipeline import GenreModel
from tasks.models.vectorizers import BagOfWords, CharacterNgrams, SideFields
from tasks.models.word_vectors import WordVectors

GENRES = ("Drama", "Horror", "Western")
TREE = DecisionTreeClassifier(max_depth=8, min_samples_leaf=5)


@pytest.fixture
def store(prepared, listed):
    """A function that fits a model on the prepared world and stores it as training and evaluation do."""
    listed.write_parquet(prepared.movies)

    def stored(*representations, classifier=linear.LogisticRegression(C=10)):  # noqa: B008 - frozen
        chosen = spec.ModelSpec(name="m", representations=representations or (BagOfWords(),), classifier=classifier)
        model = GenreModel(chosen, GENRES, 1).fit(listed)
        rules = fit_rules(model.scores(listed), truth_matrix(listed["genres"].to_list(), GENRES))
        folder = prepared.models / "m"
        (folder / "model").mkdir(parents=True)
        model.save(folder / "model")
        (folder / "rules.json").write_text(json.dumps({"chosen": "global", "rules": rules_to_json(rules)}))
        return folder

    return stored


def test_decided_genres_and_missed_ones_are_explained(prepared, store, listed):
    ids = ["tt0000290", "tt0000271", "tt0000290"]
    folder = store(classifier=TREE)
    result = explain_movies(prepared, folder, ids)
    table = pl.read_parquet(folder / "explanations.parquet")
    assert table.schema == schema.EXPLANATIONS
    assert table["movie_id"].unique(maintain_order=True).to_list() == ids[:2]
    assert result.counts["movies"] == 2
    classifier = GenreClassifier.load(folder)
    for movie_id in ids[:2]:
        movie = listed.filter(pl.col("movie_id") == movie_id)
        expected = {*classifier.predict(movie)["genres"][0].split(", "), *movie["genres"][0]}
        assert set(table.filter(pl.col("movie_id") == movie_id)["genre"]) == expected
    assert explain_movies(prepared, folder, ids).skipped
    assert not explain_movies(prepared, folder, ids[:1]).skipped


def test_rows_sum_to_the_score_and_spans_are_the_words(prepared, store, listed):
    folder = store(BagOfWords(max_n=2), SideFields())
    explain_movies(prepared, folder, listed["movie_id"][270:280].to_list())
    table = pl.read_parquet(folder / "explanations.parquet").join(listed, on="movie_id", maintain_order="left")
    sums = table.group_by("movie_id", "genre").agg(
        pl.col("contribution").sum(), (pl.col("value") - pl.col("base")).first()
    )
    np.testing.assert_allclose(sums["contribution"], sums["value"], atol=1e-9)
    for row in table.filter(pl.col("start").is_not_null()).iter_rows(named=True):
        assert row[row["source"]][row["start"] : row["end"]] == row["piece"]
    assert set(table.filter(pl.col("start").is_null())["source"]) >= {"year", "runtime", "director", "star", "rest"}


def test_most_readable_is_the_first_model_that_weights_explain(prepared, store, tmp_path):
    linear = store()
    tree = tmp_path / "tree"
    (tree / "model").mkdir(parents=True)
    (tree / "model" / "model.json").write_text('{"classifier": {"kind": "decision-tree"}}', encoding="utf-8")
    assert most_readable([tree, linear]) == linear
    assert most_readable([tree]) == tree
    with pytest.raises(ModelError, match="is missing or damaged"):
        most_readable([tmp_path / "nothing"])


def test_missing_movies_are_an_error(prepared, store):
    with pytest.raises(DataError, match="has no movie tt9"):
        explain_movies(prepared, store(), ["tt0000001", "tt9"])


def test_exhibits_are_read_in_their_order_all_or_of_a_role(tmp_path):
    chosen = pl.DataFrame({"movie_id": ["b", "a"], "role": ["good", "bad"], "rank": [1, 1]})
    chosen.write_parquet(tmp_path / "exhibits.parquet")
    assert read_exhibits(tmp_path / "exhibits.parquet") == ["b", "a"]
    assert read_exhibits(tmp_path / "exhibits.parquet", "bad") == ["a"]
    pl.DataFrame({"rank": [1]}).write_parquet(tmp_path / "other.parquet")
    for name in ("other.parquet", "none.parquet"):
        with pytest.raises(DataError, match="cannot be read"):
            read_exhibits(tmp_path / name)


def test_the_importance_of_a_column_is_its_mean_contribution(prepared, store, listed):
    folder = store(BagOfWords(), CharacterNgrams(), SideFields())
    write_importance(prepared, folder)
    table = pl.read_parquet(folder / "importance.parquet")
    assert table.schema == schema.IMPORTANCE
    assert set(table["kind"]) == {"word", "characters", "field"}
    model, test = GenreClassifier.load(folder).model, listed[270:]
    vectors = model.vectorizers[0]
    X = vectors.transform(test["description"].to_list()).toarray()
    column = vectors.vocabulary_.index("ghosts")
    (row,) = table.filter(kind="word", feature="ghosts", genre="Horror").iter_rows(named=True)
    present = X[:, column] > 0
    assert row["movies"] == present.sum()
    assert row["weight"] == pytest.approx(X[present, column].mean() * model.classifier.coef_[1, column], rel=1e-5)
    assert write_importance(prepared, folder).skipped


@pytest.mark.parametrize(
    "representation", [BagOfWords(), WordVectors(dimensions=10, epochs=20)], ids=["words", "means"]
)
@pytest.mark.parametrize("classifier", [linear.LogisticRegression(C=10), TREE], ids=["linear", "tree"])
def test_typical_words_come_first(prepared, store, representation, classifier, monkeypatch):
    monkeypatch.setattr(importance, "SAMPLE", 12)
    folder = store(representation, classifier=classifier)
    result = write_importance(prepared, folder)
    assert result.counts["explained_movies"] == (12 if classifier is TREE else 30)
    first = pl.read_parquet(folder / "importance.parquet").filter(genre="Horror", kind="word")
    assert first.filter(pl.col("weight") > 0)["feature"][0] in ("haunted", "ghosts", "house", "terrified", "demon")


def test_only_the_strongest_features_that_enough_movies_have_are_kept(prepared, store, monkeypatch):
    monkeypatch.setattr(importance, "KEPT", 2)
    monkeypatch.setattr(importance, "LEAST_MOVIES", 5)
    folder = store(BagOfWords(), SideFields())
    write_importance(prepared, folder)
    table = pl.read_parquet(folder / "importance.parquet")
    assert table["movies"].min() >= 5
    counted = table.group_by("genre", "kind", pl.col("weight") > 0).len()
    assert counted["len"].max() == 2
