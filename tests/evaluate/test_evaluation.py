"""The evaluate stage: its files, the choice of the rule, and scores that do not fit the data."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

import numpy as np
import polars as pl
import pytest
from pydantic import ValidationError

from tasks.core.errors import DataError
from tasks.core.metrics import ChoiceMetric, decision_metrics, expected_calibration_error, ranking_metrics
from tasks.core.predictions import truth_matrix, write_scores
from tasks.core.schema import PREDICTIONS
from tasks.core.settings import DataPaths
from tasks.decision.calibration import Calibration
from tasks.decision.rules import rules_from_json
from tasks.evaluate.evaluation import EvaluateConfig, RuleName, choose_rule, cross_fit, evaluate_model
from tasks.evaluate.task import evaluate

GENRES = ("Comedy", "Drama", "War")
RULE_NAMES = list(get_args(RuleName))
CALIBRATION = {"test/ece_raw", "test/ece_calibrated"}
PART_SIZES = {"train": 5, "validation": 60, "test": 40}


@pytest.fixture
def model_folder(paths: DataPaths, draw_truth: Callable[..., Any], write_movies: Callable[..., list[str]]) -> Path:
    """A data folder with movies and a split, and a model's scores on validation and test, in an order of their own."""
    parts = [part for part, size in PART_SIZES.items() for _ in range(size)]
    truth = draw_truth(len(parts))
    ids = write_movies(truth, parts)
    folder = paths.models / "invented"
    folder.mkdir(parents=True)
    random = np.random.default_rng(2)
    for part in ("validation", "test"):
        rows = [row for row in reversed(range(len(ids))) if parts[row] == part]
        scores = np.clip(0.1 + 0.25 * truth[rows] + random.random((len(rows), 3)) * 0.2, 0, 1).astype(np.float32)
        write_scores(folder / f"scores_{part}.parquet", [ids[row] for row in rows], scores, GENRES)
    return folder


def rewrite(path: Path, change: Callable[[pl.DataFrame], pl.DataFrame]) -> None:
    change(pl.read_parquet(path)).write_parquet(path)


def test_metrics_of_every_rule_on_both_parts_and_the_best_on_validation_is_chosen(
    model_folder: Path, paths: DataPaths
) -> None:
    result = evaluate_model(model_folder, paths)
    stored = json.loads((model_folder / "metrics.json").read_text())
    assert list(stored["rules"]) == RULE_NAMES
    jaccard = {rule: metrics["val/jaccard"] for rule, metrics in stored["rules"].items()}
    best = max(jaccard.values())
    assert stored["chosen_rule"] == next(rule for rule in RULE_NAMES if jaccard[rule] == best)
    assert jaccard["fixed"] < best  # no score reaches 0.6: one genre a movie
    chosen = stored["rules"][stored["chosen_rule"]]
    assert {name.split("/")[1] for name in chosen if name.startswith("val/")} == {
        name.split("/")[1] for name in chosen.keys() - CALIBRATION if name.startswith("test/")
    }
    assert (result.counts["chosen_rule"], result.counts["test/jaccard"]) == (
        stored["chosen_rule"],
        chosen["test/jaccard"],
    )
    assert (result.counts["validation_movies"], result.counts["test_movies"]) == (60, 40)


def test_stored_rules_give_the_stored_predictions_and_figures(model_folder: Path, paths: DataPaths) -> None:
    evaluate_model(model_folder, paths)
    stored = json.loads((model_folder / "rules.json").read_text())
    assert tuple(stored["genres"]) == GENRES
    metrics = json.loads((model_folder / "metrics.json").read_text())
    table = pl.read_parquet(model_folder / "scores_test.parquet")
    scores = table.drop("movie_id").to_numpy().astype(np.float32)
    decided = rules_from_json(stored["rules"])[stored["chosen"]].decide(scores)
    predictions = pl.read_parquet(model_folder / "predictions_test.parquet")
    assert predictions.schema == PREDICTIONS
    assert predictions["movie_id"].to_list() == table["movie_id"].to_list()
    assert (truth_matrix(predictions["predicted_genres"], GENRES) == decided).all()
    truth = truth_matrix(predictions["true_genres"], GENRES)
    of_movies = dict(pl.read_parquet(paths.movies).iter_rows())
    assert predictions["true_genres"].to_list() == [of_movies[movie] for movie in predictions["movie_id"]]
    expected = decision_metrics(truth, decided) | ranking_metrics(truth, scores)
    on_test = metrics["rules"][stored["chosen"]]
    assert {
        name.removeprefix("test/"): on_test[name] for name in on_test.keys() - CALIBRATION if name.startswith("test/")
    } == expected
    assert predictions["jaccard"].mean() == pytest.approx(expected["jaccard"])
    per_genre = pl.read_csv(model_folder / "per_genre.csv")
    assert per_genre["support"].to_list() == truth.sum(axis=0).tolist()
    assert per_genre["predicted"].to_list() == decided.sum(axis=0).tolist()


def test_unchanged_scores_are_skipped_and_a_second_run_makes_the_same_bytes(
    model_folder: Path, paths: DataPaths
) -> None:
    names = ("rules.json", "metrics.json", "calibration.csv", "reliability.csv", "predictions_test.parquet")
    assert not evaluate_model(model_folder, paths).skipped
    first = [(model_folder / name).read_bytes() for name in names]
    assert evaluate_model(model_folder, paths).skipped
    (model_folder / "rules.json").unlink()
    assert not evaluate_model(model_folder, paths).skipped
    assert [(model_folder / name).read_bytes() for name in names] == first


def test_test_scores_have_no_part_in_rules_and_validation_figures(model_folder: Path, paths: DataPaths) -> None:
    evaluate_model(model_folder, paths)
    before_rules = json.loads((model_folder / "rules.json").read_text())
    before = json.loads((model_folder / "metrics.json").read_text())
    rewrite(model_folder / "scores_test.parquet", lambda table: table.with_columns(pl.exclude("movie_id").reverse()))
    evaluate_model(model_folder, paths)
    after = json.loads((model_folder / "metrics.json").read_text())
    assert json.loads((model_folder / "rules.json").read_text()) == before_rules
    for rule in RULE_NAMES:
        assert after["rules"][rule]["val/jaccard"] == before["rules"][rule]["val/jaccard"]
    assert after["rules"]["global"]["test/jaccard"] != before["rules"]["global"]["test/jaccard"]


def test_cross_fitted_decisions_do_not_see_their_own_truth() -> None:
    random = np.random.default_rng(3)
    truth = random.random((50, 4)) < 0.4
    scores = random.random((50, 4)).astype(np.float32)
    before = cross_fit(scores, truth)
    changed = truth.copy()
    changed[::5] = ~changed[::5]  # the first fold
    after = cross_fit(scores, changed)
    for name in RULE_NAMES:
        assert (before[name][::5] == after[name][::5]).all()
    assert any((before[name] != after[name]).any() for name in RULE_NAMES)


@pytest.mark.parametrize("n_movies", [1, 2, 4])
def test_fewer_movies_than_folds_are_decided_all_the_same(n_movies: int) -> None:
    scores = np.full((n_movies, 2), 0.4, dtype=np.float32)
    truth = np.ones((n_movies, 2), dtype=np.bool_)
    decided = cross_fit(scores, truth)
    assert list(decided) == RULE_NAMES
    assert all(rows.any(axis=1).all() for name, rows in decided.items() if name != "fixed-or-none")


def test_a_genre_without_a_validation_positive_is_counted_and_its_threshold_the_global_one(
    model_folder: Path, paths: DataPaths, caplog: pytest.LogCaptureFixture
) -> None:
    def without_war(movies: pl.DataFrame) -> pl.DataFrame:
        kept = pl.col("genres").list.filter(pl.element() != "War")
        return movies.with_columns(pl.when(kept.list.len() > 0).then(kept).otherwise(pl.lit(["Drama"])).alias("genres"))

    rewrite(paths.movies, without_war)
    result = evaluate_model(model_folder, paths)
    assert result.counts["genres_without_validation_positives"] == ["War"]
    assert "no validation movie is War" in caplog.text
    rules = rules_from_json(json.loads((model_folder / "rules.json").read_text())["rules"])
    thresholds, common = (rules[name].genre_thresholds(3) for name in ("per-genre", "global"))
    assert thresholds is not None
    assert common is not None
    assert thresholds[2] == common[2]
    metrics = json.loads((model_folder / "metrics.json").read_text())["rules"]["global"]
    assert (metrics["val/undefined_genres"], metrics["test/undefined_genres"]) == (1, 1)


def test_a_single_genre_works(model_folder: Path, paths: DataPaths) -> None:
    rewrite(paths.movies, lambda movies: movies.with_columns(pl.lit(["Drama"]).alias("genres")))
    for part in ("validation", "test"):
        rewrite(model_folder / f"scores_{part}.parquet", lambda table: table.select("movie_id", "score_Drama"))
    result = evaluate_model(model_folder, paths)
    assert (result.counts["chosen_rule"], result.counts["test/jaccard"]) == ("fixed", 1)
    metrics = json.loads((model_folder / "metrics.json").read_text())["rules"]["fixed"]
    assert "test/balanced_accuracy" not in metrics  # undefined: no movie is without the genre


def drop_first(table: pl.DataFrame) -> pl.DataFrame:
    return table.slice(1)


def rename_first(table: pl.DataFrame) -> pl.DataFrame:
    return table.with_columns(pl.col("movie_id").replace({table["movie_id"][0]: "tt9999"}))


def swap_genres(table: pl.DataFrame) -> pl.DataFrame:
    return table.select("movie_id", "score_Drama", "score_Comedy", "score_War")


def drop_war(table: pl.DataFrame) -> pl.DataFrame:
    return table.drop("score_War")


def set_nan(table: pl.DataFrame) -> pl.DataFrame:
    return table.with_columns(pl.lit(float("nan"), dtype=pl.Float32).alias("score_War"))


def duplicate_first(table: pl.DataFrame) -> pl.DataFrame:
    return pl.concat([table, table.head(1)])


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (drop_first, r"scores_test\.parquet: 1 movies are not both"),
        (rename_first, r"scores_test\.parquet: 2 movies are not both"),
        (swap_genres, "same genres in the same order"),
        (drop_war, "which is not among Comedy, Drama;"),
        (set_nan, "score nan of War"),
        (duplicate_first, "more than one row"),
    ],
)
def test_scores_that_do_not_fit_are_refused(
    model_folder: Path, paths: DataPaths, change: Callable[[pl.DataFrame], pl.DataFrame], complaint: str
) -> None:
    rewrite(model_folder / "scores_test.parquet", change)
    with pytest.raises(DataError, match=complaint):
        evaluate_model(model_folder, paths)
    assert not (model_folder / "metrics.json").exists()


def test_an_empty_validation_part_is_refused(model_folder: Path, paths: DataPaths) -> None:
    rewrite(paths.splits, lambda table: table.filter(pl.col("part").cast(pl.String) != "validation"))
    rewrite(model_folder / "scores_validation.parquet", lambda table: table.clear())
    with pytest.raises(DataError, match=r"splits\.parquet: the validation part has no movies"):
        evaluate_model(model_folder, paths)


def test_movies_that_are_gone_from_the_table_are_refused(model_folder: Path, paths: DataPaths) -> None:
    rewrite(paths.movies, lambda movies: movies.head(-3))
    with pytest.raises(DataError, match=r"movies\.parquet lacks 3 movies"):
        evaluate_model(model_folder, paths)


def test_a_part_without_any_genre_is_refused(model_folder: Path, paths: DataPaths) -> None:
    rewrite(paths.movies, lambda movies: movies.with_columns(pl.lit([], dtype=pl.List(pl.String)).alias("genres")))
    with pytest.raises(DataError, match="no movie of the validation part has a genre"):
        evaluate_model(model_folder, paths)


def test_the_task_evaluates_a_model_of_the_data_folder(model_folder: Path) -> None:
    assert evaluate.fn(model_folder).counts["test_movies"] == 40


def test_equal_rules_give_the_simplest(model_folder: Path, paths: DataPaths) -> None:
    for part in ("validation", "test"):
        ids = pl.read_parquet(model_folder / f"scores_{part}.parquet")["movie_id"].to_list()
        of_movies = dict(pl.read_parquet(paths.movies).iter_rows())
        truth = truth_matrix([of_movies[movie] for movie in ids], GENRES)
        write_scores(model_folder / f"scores_{part}.parquet", ids, truth.astype(np.float32), GENRES)
    result = evaluate_model(model_folder, paths)
    assert (result.counts["chosen_rule"], result.counts["val/jaccard"]) == ("fixed", 1)


def test_the_rule_is_chosen_by_the_metric_that_is_asked_for(model_folder: Path, paths: DataPaths) -> None:
    metrics: tuple[ChoiceMetric, ...] = ("jaccard", "f1_macro", "hamming_loss")
    for metric in metrics:
        assert not evaluate_model(model_folder, paths, EvaluateConfig(choose_by=metric)).skipped
        stored = json.loads((model_folder / "metrics.json").read_text())
        values = {rule: values[f"val/{metric}"] for rule, values in stored["rules"].items()}
        best = min(values.values()) if metric == "hamming_loss" else max(values.values())
        assert values[stored["chosen_rule"]] == best
        assert stored["chosen_by"] == metric
        assert json.loads((model_folder / "rules.json").read_text())["chosen"] == stored["chosen_rule"]


def test_the_first_of_the_best_rules_is_chosen_and_an_undefined_metric_is_no_choice() -> None:
    metrics = {
        "a": {"val/jaccard": 0.4, "val/hamming_loss": 0.1},
        "b": {"val/jaccard": 0.5, "val/hamming_loss": 0.2, "val/f1_macro": 0.1},
        "c": {"val/jaccard": 0.5, "val/hamming_loss": 0.3, "val/f1_macro": 0.1},
    }
    assert choose_rule(metrics, EvaluateConfig(choose_by="jaccard")) == "b"
    assert choose_rule(metrics, EvaluateConfig(choose_by="hamming_loss")) == "a"
    assert choose_rule(metrics, EvaluateConfig(choose_by="f1_macro")) == "b"
    with pytest.raises(DataError, match="balanced_accuracy is undefined"):
        choose_rule({"fixed": {"val/jaccard": 1.0}}, EvaluateConfig(choose_by="balanced_accuracy"))


def test_calibration_is_fitted_on_validation_and_measured_on_test(model_folder: Path, paths: DataPaths) -> None:
    evaluate_model(model_folder, paths)
    scores, truth = {}, {}
    of_movies = dict(pl.read_parquet(paths.movies).iter_rows())
    for part in ("validation", "test"):
        table = pl.read_parquet(model_folder / f"scores_{part}.parquet")
        scores[part] = table.drop("movie_id").to_numpy().astype(np.float32)
        truth[part] = truth_matrix([of_movies[movie] for movie in table["movie_id"]], GENRES)
    calibrated = Calibration.fit(scores["validation"], truth["validation"]).apply(scores["test"])
    metrics = json.loads((model_folder / "metrics.json").read_text())["rules"]["fixed"]
    assert metrics["test/ece_raw"] == expected_calibration_error(truth["test"], scores["test"])
    assert metrics["test/ece_calibrated"] == expected_calibration_error(truth["test"], calibrated)
    assert metrics["test/ece_calibrated"] < metrics["test/ece_raw"]
    table = pl.read_csv(model_folder / "calibration.csv")
    assert table["genre"].to_list() == list(GENRES)
    assert table["positives"].to_list() == truth["test"].sum(axis=0).tolist()
    curves = pl.read_csv(model_folder / "reliability.csv").group_by("scores").agg(pl.col("count").sum())
    assert sorted(curves.rows()) == [("calibrated", 120), ("raw", 120)]


def test_a_named_rule_is_chosen_whatever_validation_says(model_folder, paths):
    assert evaluate_model(model_folder, paths, EvaluateConfig(rule="fixed")).counts["chosen_rule"] == "fixed"
    with pytest.raises(ValidationError, match="Input should be 'fixed'"):
        EvaluateConfig(rule="fixd")
