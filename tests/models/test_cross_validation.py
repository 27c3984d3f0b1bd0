"""Cross-validation: that no fit of a fold sees its movies, and that every movie has the score of the right one."""

import json

import numpy as np
import polars as pl
import pytest

from tasks.core.errors import DataError
from tasks.core.predictions import read_scores
from tasks.models import linear, spec, train
from tasks.models.blend import blend_folds, cross_fit_blend
from tasks.models.features import all_but, build_features
from tasks.models.pipeline import GenreModel
from tasks.models.spec import features_of
from tasks.models.train import TrainChoices, gather_folds, train_fold
from tasks.models.vectorizers import BagOfWords

MODEL = spec.ModelSpec(name="logreg", classifier=linear.LogisticRegression(C=10))
BAYES = spec.ModelSpec(name="bayes", classifier=linear.NaiveBayes())
GENRES = ("Drama", "Horror", "Western")
FOLDS = range(5)


@pytest.fixture
def folded(prepared):
    """The small world in five folds: every fifth movie."""
    splits = pl.read_parquet(prepared.splits)
    splits.with_columns(fold=(pl.int_range(pl.len()) % 5).cast(pl.Int8)).write_parquet(prepared.splits)
    return prepared


def fit_fold(paths, model, fold):
    features = [build_features(paths, part, 1) for part in features_of(model, all_but(fold))]
    return train_fold(paths, model, features, fold, TrainChoices(seed=1))


def test_no_fit_of_a_fold_sees_its_movies(folded, monkeypatch):
    seen = []
    original = train.new_pipeline

    def watch(*arguments):
        pipeline = original(*arguments)
        vocabulary = set(pipeline["vectors"].transformer_list[0][1][-1].vocabulary_)
        fit = pipeline[-1].fit
        pipeline[-1].fit = lambda X, Y: seen.append((vocabulary, X.shape[0])) or fit(X, Y)
        return pipeline

    monkeypatch.setattr(train, "new_pipeline", watch)
    text = pl.concat_str(pl.col("description"), pl.lit(" sentinel"), pl.int_range(pl.len()).cast(pl.String))
    pl.read_parquet(folded.movies).with_columns(description=text).write_parquet(folded.movies)
    model = spec.ModelSpec(**{**dict(MODEL), "representations": (BagOfWords(min_movies=1),)})
    for fold in FOLDS:
        fit_fold(folded, model, fold)
    for fold, (terms, n_movies) in enumerate(seen):
        assert n_movies == 240
        assert {term for term in terms if term.startswith("sentinel")} == {
            f"sentinel{row}" for row in range(300) if row % 5 != fold
        }
    assert len(seen) == 5


def test_every_movie_has_the_score_of_the_model_that_did_not_see_it(folded, movies):
    gathered = gather_folds(folded, MODEL, [fit_fold(folded, MODEL, fold) for fold in FOLDS])
    scores = read_scores(gathered.folder / "scores_out_of_fold.parquet")
    assert list(scores.movie_ids) == movies["movie_id"].to_list()
    for fold in FOLDS:
        inside = np.arange(300) % 5 == fold
        expected = GenreModel(MODEL, GENRES, 1).fit(movies.filter(~inside)).scores(movies.filter(inside))
        np.testing.assert_array_equal(scores.scores[inside], expected)
    assert json.loads((gathered.folder / "fit.json").read_text())["fit_s"] > 0


def test_what_was_done_before_is_skipped(folded):
    folds = [fit_fold(folded, MODEL, fold) for fold in FOLDS]
    gather_folds(folded, MODEL, folds)
    again = [fit_fold(folded, MODEL, fold) for fold in FOLDS]
    assert all(fold.skipped for fold in again)
    assert gather_folds(folded, MODEL, again).skipped
    assert not fit_fold(
        folded, spec.ModelSpec(**{**dict(MODEL), "classifier": linear.LogisticRegression(C=5)}), 0
    ).skipped


def test_a_fold_without_movies_and_a_missing_fold_are_told(folded):
    folds = [fit_fold(folded, MODEL, fold) for fold in range(4)]
    with pytest.raises(DataError, match="240 scores for 300 movies"):
        gather_folds(folded, MODEL, folds)
    splits = pl.read_parquet(folded.splits)
    splits.with_columns(fold=pl.lit(0, pl.Int8)).write_parquet(folded.splits)
    with pytest.raises(DataError, match="no movie is in fold 3"):
        fit_fold(folded, MODEL, 3)


def test_an_ensemble_blends_out_of_fold_scores_with_weights_of_the_other_folds(folded, movies):
    members = (MODEL, BAYES)
    gathered = [gather_folds(folded, member, [fit_fold(folded, member, fold) for fold in FOLDS]) for member in members]
    result = blend_folds(folded, spec.EnsembleSpec(name="both", members=("logreg", "bayes")), gathered)
    assert set(result.counts["weights"]) == {"logreg", "bayes"}
    scores = [read_scores(each.folder / "scores_out_of_fold.parquet").scores for each in gathered]
    truth = np.array([[genre in genres for genre in GENRES] for genres in movies["genres"].to_list()])
    blended = read_scores(result.folder / "scores_out_of_fold.parquet").scores
    np.testing.assert_array_equal(blended, cross_fit_blend(scores, truth, np.arange(300) % 5))

    turned = truth.copy()
    turned[2::5] = ~turned[2::5]
    again = cross_fit_blend(scores, turned, np.arange(300) % 5)
    np.testing.assert_array_equal(again[2::5], blended[2::5])
    assert not np.array_equal(again[1::5], blended[1::5])
