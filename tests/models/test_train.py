"""Features and training as stages: what they read, what they write, and that no fit sees validation or test."""

import json

import numpy as np
import polars as pl
import pytest

from tasks.core.errors import ConfigError, DataError, ModelError
from tasks.core.predictions import read_scores
from tasks.core.settings import DataPaths
from tasks.models import linear, spec
from tasks.models.features import build_features, read_genres, read_movies, train_rows
from tasks.models.pipeline import GenreModel
from tasks.models.spec import InputSpec, features_of
from tasks.models.train import TrainChoices, train_model
from tasks.models.vectorizers import BagOfWords

MODEL = spec.ModelSpec(name="logreg", classifier=linear.LogisticRegression(C=10))
GENRES = ["Drama", "Horror", "Western"]


def fit(paths, model=MODEL, **choices):
    choices = TrainChoices(**{"seed": 1, **choices})
    features = [build_features(paths, part, choices.seed) for part in features_of(model, choices.train_on)]
    return train_model(paths, model, features, choices)


def test_a_models_folder_holds_the_model_its_scores_and_its_cost(prepared, movies):
    result = fit(prepared)
    assert result.counts == {"train_movies": 240, "columns": 23, "constant_genres": []}
    fitted = GenreModel.load(result.folder / "model")
    for part, rows in (("validation", slice(240, 270)), ("test", slice(270, 300))):
        scores = read_scores(result.folder / f"scores_{part}.parquet")
        assert list(scores.movie_ids) == movies["movie_id"][rows].to_list()
        np.testing.assert_array_equal(scores.scores, fitted.scores(movies[rows]))
    costs = json.loads((result.folder / "fit.json").read_text())
    assert costs.keys() == {"fit_s", "predict_docs_per_s", "model_memory_mb", "model_mb"}
    assert all(cost > 0 for cost in costs.values())


def test_a_folder_that_is_not_prepared_is_told(tmp_path):
    with pytest.raises(DataError, match=r"genres\.json does not exist; run flows/prepare\.py first"):
        read_genres(DataPaths(tmp_path))


def test_no_fit_sees_validation_or_test(prepared, monkeypatch):
    seen = []
    original = linear.LogisticRegression.fit
    monkeypatch.setattr(
        linear.LogisticRegression, "fit", lambda self, X, Y: seen.append((X, Y)) or original(self, X, Y)
    )
    words = {row: f"sentinel{row}" for row in range(300)}
    marked = pl.read_parquet(prepared.movies).with_row_index("row")
    text = pl.col("description") + " " + pl.col("row").replace_strict(words) + " " + pl.col("row").replace_strict(words)
    marked.with_columns(description=text).drop("row").write_parquet(prepared.movies)
    model = spec.ModelSpec(**{**dict(MODEL), "representations": (BagOfWords(min_movies=1),)})
    result = fit(prepared, model)
    ((X, Y),) = seen
    assert (X.shape[0], Y.shape) == (240, (240, 3))
    terms = GenreModel.load(result.folder / "model").vectorizers[0].vocabulary_
    assert {term for term in terms if term.startswith("sentinel")} == {f"sentinel{row}" for row in range(240)}


def test_development_subset_trains_on_a_tenth(prepared):
    assert fit(prepared, train_on="development").counts["train_movies"] == 24


def test_rerun_is_skipped_and_another_seed_is_not(prepared):
    fit(prepared)
    (features,) = features_of(MODEL)
    assert build_features(prepared, features, 1).skipped
    assert fit(prepared).skipped
    assert not fit(prepared, seed=2).skipped


def test_models_with_the_same_input_share_features():
    other = spec.ModelSpec(name="nb", classifier=linear.NaiveBayes())
    assert features_of(MODEL) == features_of(other)


def test_genre_absent_from_train_is_named(prepared, caplog):
    prepared.genres_json.write_text(json.dumps([*GENRES, "Zombie"]), encoding="utf-8")
    result = fit(prepared)
    assert result.counts["constant_genres"] == ["Zombie"]
    assert "all or no train movies have the genre Zombie" in caplog.text


def test_a_treatment_of_a_genre_that_no_movie_has_is_refused(prepared):
    treated = spec.Imbalance(balanced=True, genres=("Westen",))
    with pytest.raises(ConfigError, match="no movie has the genre Westen; there are: Drama"):
        fit(prepared, MODEL.model_copy(update={"imbalance": treated}))
    known = treated.model_copy(update={"genres": ("Western",)})
    assert fit(prepared, MODEL.model_copy(update={"imbalance": known}), genres=("Drama", "Horror")).counts


def test_splits_of_other_movies_are_refused(prepared):
    splits = pl.read_parquet(prepared.splits)
    splits.reverse().write_parquet(prepared.splits)
    with pytest.raises(DataError, match="does not hold the movies of"):
        read_movies(prepared)


def test_empty_train_is_refused(prepared):
    movies = read_movies(prepared).with_columns(is_development=False)
    with pytest.raises(DataError, match="no movie is in development"):
        train_rows(movies, "development")


def test_scores_that_are_not_finite_are_refused(prepared, monkeypatch):
    monkeypatch.setattr(GenreModel, "score_vectors", lambda _self, X: np.full((X.shape[0], 3), np.nan, np.float32))
    with pytest.raises(ModelError, match="not finite"):
        fit(prepared)


def test_lemmas_of_another_pipeline_are_made_anew_as_for_new_texts(prepared, caplog):
    lemmas = MODEL.model_copy(update={"input": InputSpec(text="lemmas")})
    prepared.tokens.parent.mkdir()
    corpus = pl.read_parquet(prepared.movies, columns=["movie_id"]).with_columns(lemmas=pl.lit(["foreign"]))
    corpus.write_parquet(prepared.tokens)
    sidecar = prepared.tokens.parent / "annotate.stage.json"
    sidecar.write_text(json.dumps({"config": {"pipeline": "unknown"}}), encoding="utf-8")
    result = fit(prepared, lemmas)
    assert "annotated by unknown; lemmatising again" in caplog.text
    terms = GenreModel.load(result.folder / "model").vectorizers[0].vocabulary_
    assert "ghost" in terms
    assert "foreign" not in terms
