"""What is dropped from train, and whether the change that it makes is told as it is."""

import json

import numpy as np
import polars as pl
import pytest

from tasks.core.errors import DataError
from tasks.core.metrics import decision_metrics
from tasks.core.predictions import read_decisions
from tasks.core.schema import PREDICTIONS
from tasks.core.settings import DataPaths
from tasks.evaluate.label_audit import AUDIT, AUDIT_FILE, EFFECT, choose_dropped, measure_effect

GENRES = np.array(["Comedy", "Drama", "War"])
N_TEST = 400


@pytest.fixture
def train(tmp_path):
    """An audited data folder of 50 train movies, 20 of them doubted."""
    train = DataPaths(tmp_path / "train")
    train.splits.parent.mkdir(parents=True)
    train.results.mkdir()
    pl.DataFrame({"movie_id": [f"tt{number}" for number in range(50)]}).write_parquet(train.splits)
    rows = [(f"tt{number * 2}", "", "", "", number / 20, "", "") for number in range(20)]
    pl.DataFrame(rows, schema=AUDIT, orient="row").write_parquet(train.results / AUDIT_FILE)
    return train


def write_predictions(folder, share_wrong, seed=0):
    random = np.random.default_rng(seed)
    truth = random.random((N_TEST, 3)) < np.array([0.5, 0.3, 0.1])
    truth[~truth.any(axis=1), 1] = True
    wrong = np.random.default_rng(round(1000 * share_wrong)).random(truth.shape) < share_wrong
    lists = [[GENRES[row].tolist() for row in labels] for labels in (truth, truth ^ wrong)]
    table = {
        "movie_id": [f"tt{row:03}" for row in range(N_TEST)],
        "true_genres": lists[0],
        "predicted_genres": lists[1],
    }
    folder.mkdir(parents=True)
    frame = pl.DataFrame(table).with_columns(jaccard=pl.lit(None, pl.Float64)).select(PREDICTIONS.names())
    frame.sample(fraction=1, shuffle=True, seed=seed).write_parquet(folder / "predictions_test.parquet")
    (folder / "rules.json").write_text(json.dumps({"genres": GENRES.tolist()}), encoding="utf-8")
    return folder


def test_the_most_doubted_are_dropped_and_as_many_random_ones(train):
    assert choose_dropped(train, 0.1, 1).counts == {"train_movies": 50, "dropped_movies": 5}
    doubted, drawn = (pl.read_csv(train.results / f"drop_{name}.csv")["movie_id"] for name in ("doubted", "random"))
    assert doubted.to_list() == ["tt0", "tt2", "tt4", "tt6", "tt8"]
    assert drawn.n_unique() == 5
    assert choose_dropped(train, 0.1, 1).skipped
    assert choose_dropped(train, None, 1).counts["dropped_movies"] == 20
    with pytest.raises(DataError, match="0 of 50 train movies would be dropped"):
        choose_dropped(train, 0.001, 1)


def test_the_figures_are_those_of_the_evaluation(tmp_path, train):
    choose_dropped(train, 0.1, 1)
    before, after = (write_predictions(tmp_path / name, share) for name, share in (("before", 0.2), ("after", 0.1)))
    measure_effect(before, {"doubted": after}, train, train)
    decisions = read_decisions([before, after])
    for row in pl.read_csv(train.results / "label_audit_effect.csv").iter_rows(named=True):
        values = [decision_metrics(decisions.truth, labels)[row["metric"]] for labels in decisions.decided]
        assert [row["with_all"], row["without"]] == pytest.approx(values, abs=1e-6)
        assert row["difference"] == pytest.approx(values[1] - values[0], abs=1e-6)
        assert 0 < row["low"] < row["difference"] < row["high"]


def test_the_effect_is_told_as_it_is(tmp_path, train):
    choose_dropped(train, 0.1, 1)
    folders = {
        name: write_predictions(tmp_path / name / "svm", share)
        for name, share in {"all": 0.2, "doubted": 0.1, "random": 0.201}.items()
    }
    with_all = folders.pop("all")
    result = measure_effect(with_all, folders, train, train)
    table = pl.read_csv(train.results / "label_audit_effect.csv")
    assert table.columns == EFFECT.names()
    assert table.select("dropped", "metric").rows() == [
        ("doubted", "jaccard"), ("doubted", "f1_macro"), ("random", "jaccard"), ("random", "f1_macro"),
    ]  # fmt: skip
    assert set(table["dropped_movies"]) == {5}
    better, _, unsure, _ = result.counts["findings"]
    assert better.startswith(
        "Without the 5 most doubtful of 50 train movies the Jaccard on test is significantly better: 0."
    )
    assert "randomly chosen of 50 train movies the Jaccard on test is not significantly different" in unsure
    assert measure_effect(with_all, folders, train, train).skipped


def test_models_tested_on_other_movies_are_not_compared(tmp_path):
    folders = [write_predictions(tmp_path / str(seed), 0.1, seed) for seed in (0, 1)]
    with pytest.raises(DataError, match="models tested on different movies cannot be compared"):
        read_decisions(folders)
