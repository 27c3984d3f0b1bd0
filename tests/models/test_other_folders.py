"""Models in other data folders are those of the flows in this one."""

import polars as pl

from tasks.models import linear, spec
from tasks.models.features import build_features
from tasks.models.spec import features_of
from tasks.models.train import TrainChoices, score_folds_in, train_in, train_model

MODEL = spec.ModelSpec(name="logreg", classifier=linear.LogisticRegression(C=10))


def test_a_model_is_what_it_is_in_any_folder(prepared):
    choices = TrainChoices(seed=1)
    features = [build_features(prepared, part, 1) for part in features_of(MODEL)]
    expected = train_model(prepared, MODEL, features, choices)
    again = train_in(prepared.root, MODEL, choices)
    assert (again.skipped, again.folder) == (True, expected.folder)


def test_every_movie_of_a_folder_is_scored_out_of_fold(prepared):
    splits = pl.read_parquet(prepared.splits)
    splits.with_columns(fold=(pl.int_range(pl.len()) % 5).cast(pl.Int8)).write_parquet(prepared.splits)
    result = score_folds_in(prepared.root, MODEL, TrainChoices(seed=1))
    assert result.counts == {"movies": 300, "folds": 5}
    assert score_folds_in(prepared.root, MODEL, TrainChoices(seed=1)).skipped
