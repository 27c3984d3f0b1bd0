"""Out-of-fold scores: what each fold is decided by, and the figures over folds; and figures of validation alone."""

import json

import numpy as np
import polars as pl
import pytest

from tasks.core.errors import ConfigError, DataError
from tasks.core.metrics import decision_metrics, ranking_metrics
from tasks.core.predictions import write_scores
from tasks.core.schema import PREDICTIONS
from tasks.decision.thresholds import fit_rules
from tasks.evaluate.evaluation import EvaluateConfig, cross_fit, evaluate_out_of_fold
from tasks.evaluate.task import evaluate_folds, measure

GENRES = ("Comedy", "Drama", "War")
N_MOVIES = 200
FOLD_OF = np.arange(N_MOVIES) * 5 // N_MOVIES  # blocks: not the folds that are taken where none are given
IN_VALIDATION = np.arange(N_MOVIES) % 4 == 0


@pytest.fixture
def truth(draw_truth):
    return draw_truth(N_MOVIES)


@pytest.fixture
def scores(truth):
    noise = np.random.default_rng(2).random(truth.shape) * 0.4
    return np.clip(0.1 + 0.25 * truth + noise, 0, 1).astype(np.float32)


@pytest.fixture
def folder(paths, truth, scores, write_movies):
    """A data folder with scores of all movies, in an order of their own, and of validation; none of test."""
    ids = write_movies(truth, np.where(IN_VALIDATION, "validation", "train").tolist(), FOLD_OF.tolist())
    folder = paths.cross_validation / "invented"
    folder.mkdir(parents=True)
    write_scores(folder / "scores_out_of_fold.parquet", ids[::-1], scores[::-1], GENRES)
    inside = np.array(ids)[IN_VALIDATION].tolist()
    write_scores(folder / "scores_validation.parquet", inside, scores[IN_VALIDATION], GENRES)
    return folder


def test_every_fold_is_decided_by_rules_of_the_others(folder, paths, truth, scores):
    result = evaluate_out_of_fold(folder, paths)
    stored = json.loads((folder / "metrics.json").read_text())
    for rule, metrics in stored["rules"].items():
        values = []
        for fold in range(5):
            inside = fold == FOLD_OF
            decided = fit_rules(scores[~inside], truth[~inside])[rule].decide(scores[inside])
            values.append(decision_metrics(truth[inside], decided) | ranking_metrics(truth[inside], scores[inside]))
        for metric in ("jaccard", "f1_macro", "mean_average_precision"):
            expected = [value[metric] for value in values]
            assert metrics[metric]["folds"] == pytest.approx(expected)
            assert metrics[metric]["mean"] == pytest.approx(np.mean(expected))
            assert metrics[metric]["std"] == pytest.approx(np.sqrt(np.var(expected) * 5 / 4))
    means = {rule: metrics["jaccard"]["mean"] for rule, metrics in stored["rules"].items()}
    assert means[stored["chosen_rule"]] == max(means.values()) == result.counts["jaccard"]


def test_predictions_and_genres_are_of_all_movies(folder, paths, truth):
    evaluate_out_of_fold(folder, paths)
    predictions = pl.read_parquet(folder / "predictions_out_of_fold.parquet")
    assert predictions.schema == PREDICTIONS
    assert sorted(predictions["movie_id"]) == pl.read_parquet(paths.movies)["movie_id"].to_list()
    table = pl.read_csv(folder / "per_genre.csv")
    assert table["support"].to_list() == truth.sum(axis=0).tolist()
    assert table["predicted"].sum() == predictions["predicted_genres"].list.len().sum()
    assert (table["f1_std"] > 0).all()
    assert "threshold" not in table.columns


def test_the_rule_is_chosen_by_the_metric_that_is_asked_for(folder, paths):
    evaluate_out_of_fold(folder, paths, EvaluateConfig(choose_by="hamming_loss"))
    stored = json.loads((folder / "metrics.json").read_text())
    losses = {rule: metrics["hamming_loss"]["mean"] for rule, metrics in stored["rules"].items()}
    assert losses[stored["chosen_rule"]] == min(losses.values()) < max(losses.values())
    assert evaluate_folds.fn(folder, EvaluateConfig(rule="top")).counts["chosen_rule"] == "top"


def test_decisions_do_not_see_the_truth_of_their_fold(truth, scores):
    turned = truth.copy()
    turned[FOLD_OF == 1] = ~turned[FOLD_OF == 1]
    before, after = (cross_fit(scores, labels, FOLD_OF) for labels in (truth, turned))
    assert all((before[rule][FOLD_OF == 1] == after[rule][FOLD_OF == 1]).all() for rule in before)
    assert any((before[rule] != after[rule]).any() for rule in before)


def test_scores_that_are_not_of_all_movies_are_refused(folder, paths):
    path = folder / "scores_out_of_fold.parquet"
    pl.read_parquet(path).slice(1).write_parquet(path)
    with pytest.raises(DataError, match="1 movies are not both"):
        evaluate_out_of_fold(folder, paths)


def test_a_trial_is_measured_on_validation_alone(folder, paths, truth, scores):
    decided = cross_fit(scores[IN_VALIDATION], truth[IN_VALIDATION])["global"]
    expected = decision_metrics(truth[IN_VALIDATION], decided)
    expected |= ranking_metrics(truth[IN_VALIDATION], scores[IN_VALIDATION])
    assert measure.fn(folder, "global", "jaccard", paths) == expected
    with pytest.raises(ConfigError, match="no rule is named 'dice'; there are: fixed"):
        measure.fn(folder, "dice", "jaccard", paths)
    with pytest.raises(DataError, match="luck is undefined on the 50 validation movies"):
        measure.fn(folder, "global", "luck", paths)
