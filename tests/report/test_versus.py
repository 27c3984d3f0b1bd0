import csv
import json

import numpy as np
import polars as pl
import pytest

from tasks.core.errors import ConfigError
from tasks.core.metrics import count_genres, precision_recall_f1, resample
from tasks.core.predictions import read_decisions
from tasks.core.schema import PREDICTIONS
from tasks.report.versus import choose_pair, compare_genres, write_versus

GENRES = ["Drama", "War", "Western"]  # no movie is a Western
MOVIES = {  # true genres, what a says, what b says
    "tt1": (["Drama"], ["Drama"], ["War"]),
    "tt2": (["Drama", "War"], ["Drama", "War"], ["Drama"]),
    "tt3": (["War"], ["Drama"], ["War"]),
    "tt4": (["War"], ["War"], ["War"]),
    "tt5": (["Drama"], [], ["War"]),
}


def write_model(folder, name, says, kind="linear-svm"):
    model = folder / name
    model.mkdir()
    (model / "rules.json").write_text(json.dumps({"genres": GENRES}))
    rows = [(movie, row[0], row[says], None) for movie, row in MOVIES.items()]
    pl.DataFrame(rows, schema=PREDICTIONS, orient="row").write_parquet(model / "predictions_test.parquet")
    config = {"ensemble": {}} if kind == "ensemble" else {"model": {"classifier": {"kind": kind}}}
    (model / "train.stage.json").write_text(json.dumps({"config": config}))
    return model


@pytest.fixture
def models(tmp_path):
    return [write_model(tmp_path, "a", 1), write_model(tmp_path, "<b>|=", 2)]


def test_both_are_set_side_by_side(models, paths):
    paths.clean.mkdir(parents=True)
    names = ["=cmd()", "<script>|", "c", "d", "e"]
    pl.DataFrame({"movie_id": list(MOVIES), "movie_name": names}).write_parquet(paths.movies)
    result = write_versus(models, ("a", "<b>|="), paths)
    assert result.counts == {"pair": ["a", "<b>|="], "only_one_right": {"a": 2, "<b>|=": 1}}
    with (paths.results / "versus_movies.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["right"], row["movie_id"], row["wrong_genres"]) for row in rows] == [
        ("a", "tt1", "War"), ("a", "tt2", "Drama"), ("<b>|=", "tt3", "Drama"),
    ]  # fmt: skip
    assert rows[0]["movie_name"] == "'=cmd()"
    text = (paths.results / "versus.md").read_text(encoding="utf-8")
    assert "&lt;script&gt;\\|" in text
    assert "<" not in text
    assert "Not compared, without a test movie: Western." in text
    assert write_versus(models, ("a", "<b>|="), paths).skipped
    assert (paths.results / "versus.png").is_file()


def test_genres_have_the_metrics_of_each_model_and_null_without_a_positive(models):
    decisions = read_decisions(models)
    found = compare_genres(decisions, resample(decisions.truth, decisions.decided))
    for name, decided in zip(("first", "second"), decisions.decided, strict=True):
        by_genre = precision_recall_f1(count_genres(decisions.truth, decided))
        for metric, values in by_genre.items():
            np.testing.assert_array_equal(found[f"{name}_{metric}"].to_numpy(), values)
    assert found.filter(pl.col("genre") == "Western").select("f1_difference", "f1_low").row(0) == (None, None)
    drama = found.row(0, named=True)
    assert drama["f1_low"] <= drama["f1_difference"] == drama["first_f1"] - drama["second_f1"] <= drama["f1_high"]
    assert (drama["support"], drama["only_first_right"], drama["only_second_right"]) == (3, 1, 1)


def test_the_best_of_another_kind_stands_beside_the_best(tmp_path):
    kinds = {"a": "ensemble", "b": "ensemble", "c": "linear-svm", "d": "forest"}
    folders = [write_model(tmp_path, name, 1, kind) for name, kind in kinds.items()]
    assert choose_pair(folders, ()) == (folders[0], folders[2])
    assert choose_pair(folders[:2], ()) == (folders[0], folders[1])
    assert choose_pair(folders, ("d", "a")) == (folders[3], folders[0])
    with pytest.raises(ConfigError, match="e is not among the models compared: a, b, c, d"):
        choose_pair(folders, ("a", "e"))
    (folders[1] / "train.stage.json").unlink()  # nothing is known of it, so its name stands for its kind
    assert choose_pair(folders, ()) == (folders[0], folders[1])


def test_one_model_alone_leaves_no_comparison_of_an_earlier_run(models, paths):
    write_versus(models, (), paths)
    assert write_versus(models[:1], (), paths) is None
    assert not list(paths.results.glob("versus*.*v"))
    assert not (paths.results / "versus.md").exists()
