import json
from statistics import NormalDist

import numpy as np
import polars as pl
import pytest
from pydantic import ValidationError

from tasks.core.metrics import Champion, PromotionConfig
from tasks.core.schema import PREDICTIONS
from tasks.report.versus import judge_challenger

GENRES = ["Drama", "War"]


def write_model(folder, right, ids=range(200)):
    """Write the predictions of a model that is right about a share of movies, spread evenly, and wrong about others."""
    folder.mkdir()
    (folder / "rules.json").write_text(json.dumps({"genres": GENRES}))
    true = [GENRES[movie % 2] for movie in ids]
    is_right = np.random.default_rng(1).permutation(len(ids)) < right * len(ids)
    decided = [genre if each else GENRES[1 - GENRES.index(genre)] for genre, each in zip(true, is_right, strict=True)]
    rows = [(f"tt{movie:03}", [a], [b], None) for movie, a, b in zip(ids, true, decided, strict=True)]
    pl.DataFrame(rows, schema=PREDICTIONS, orient="row").write_parquet(folder / "predictions_test.parquet")
    return folder


def champion(folder, **changes):
    return Champion(**{
        "version": 1, "model": "old", "run_id": "1", "source": "files", "data_hash": "a", "folder": folder,
        "is_challenger": False, **changes,
    })  # fmt: skip


@pytest.fixture
def good(tmp_path):
    return write_model(tmp_path / "good", 0.8)


@pytest.mark.parametrize("metric", ["jaccard", "f1_samples", "f1_macro", "exact_match", "hamming_loss"])
def test_only_a_significantly_better_model_takes_over(good, tmp_path, metric):
    config = PromotionConfig(metric=metric)
    worse, near = write_model(tmp_path / "worse", 0.6), write_model(tmp_path / "near", 0.79)
    verdict = judge_challenger(good, champion(worse), config)
    assert verdict.takes_over
    assert verdict.reason.startswith(f"good is better than old: {metric} +0.")
    assert "at 95%, on 200 test movies" in verdict.reason
    assert verdict.difference in verdict.reason
    for other, challenger, told in (
        (near, good, "good is not significantly better than old"),
        (good, good, "good is not significantly better than old"),
        (good, worse, f"worse is significantly worse than old: {metric} -0."),
    ):
        verdict = judge_challenger(challenger, champion(other), config)
        assert not verdict.takes_over
        assert told in verdict.reason


def test_a_champion_that_this_version_cannot_read_is_replaced_unless_it_is_significantly_better(good, tmp_path):
    worse = write_model(tmp_path / "worse", 0.6)
    verdict = judge_challenger(good, champion(good, is_readable=False), PromotionConfig())
    assert verdict.takes_over
    assert verdict.reason.startswith(
        "old was logged by an earlier version, which only MLflow can load, and is replaced: "
    )
    assert not judge_challenger(worse, champion(good, is_readable=False), PromotionConfig()).takes_over


def test_a_lower_level_is_easier(good, tmp_path):
    near = write_model(tmp_path / "near", 0.79)  # right where the other is, but for two movies
    assert judge_challenger(good, champion(near), PromotionConfig(level=0.5)).takes_over


def test_the_first_model_becomes_champion_if_it_is_above_the_floor(good, tmp_path):
    assert judge_challenger(good, None, PromotionConfig()).takes_over
    verdict = judge_challenger(good, None, PromotionConfig(min_f1_macro=0.9))
    assert not verdict.takes_over
    assert "on test, below the floor of 0.9" in verdict.reason


def test_a_model_that_always_says_the_same_stays_below_the_floor(tmp_path):
    folder = write_model(tmp_path / "same", 1.0, range(1, 200, 2))  # all are War
    (folder / "rules.json").write_text(json.dumps({"genres": [*GENRES, *map(str, range(18))]}))
    table = pl.read_parquet(folder / "predictions_test.parquet")
    rare = pl.DataFrame(
        [(f"x{genre}", [str(genre)], ["War"], None) for genre in range(18)], schema=PREDICTIONS, orient="row"
    )
    pl.concat([table, rare]).write_parquet(folder / "predictions_test.parquet")
    assert "below the floor" in judge_challenger(folder, None, PromotionConfig()).reason


@pytest.mark.parametrize(
    ("source", "choice", "takes_over"),
    [
        ("sample", "sample", True), ("files", "sample", False), ("files", "always", True), ("sample", "never", False),
    ],
)  # fmt: skip
def test_a_champion_of_other_data_is_replaced_as_chosen(good, tmp_path, source, choice, takes_over):
    other = write_model(tmp_path / "other", 0.5, range(100, 300))
    verdict = judge_challenger(good, champion(other, source=source), PromotionConfig(replace_other_data=choice))
    assert verdict.takes_over == takes_over
    assert "200 and 200 test movies, 100 in common" in verdict.reason
    assert takes_over or "--promotion.replace-other-data always" in verdict.reason


def test_what_the_store_knows_of_the_champion_decides_first(good):
    config = PromotionConfig()
    assert not judge_challenger(good, champion(None, is_challenger=True), config).takes_over
    gone = judge_challenger(good, champion(None), config)
    assert gone.takes_over
    assert "gone from MLflow" in gone.reason
    back = judge_challenger(good, champion(good, challenger_was_rolled_back="2026-01-02 (version 3)"), config)
    assert not back.takes_over
    assert "rolled back on 2026-01-02 (version 3)" in back.reason


@pytest.mark.parametrize("name", ["", "a/b", "a:b", "a@b", "o'neill's", 'the "new" one'])
def test_names_that_mlflow_cannot_look_up_are_refused(name):
    with pytest.raises(ValidationError, match="registered_model"):
        PromotionConfig(registered_model=name)


def test_many_challengers_make_luck_likelier_and_a_correction_makes_the_test_stricter(good, tmp_path):
    near = write_model(tmp_path / "near", 0.73)
    first, later = (champion(near, challengers_before=number) for number in (0, 199))
    assert "challengers" not in judge_challenger(good, first, PromotionConfig()).reason
    verdict = judge_challenger(good, later, PromotionConfig())
    assert "of 200 challengers on these movies, at least one that is no better wins" in verdict.reason
    assert "up to 99%" in verdict.reason
    strict = judge_challenger(good, later, PromotionConfig(correction="bonferroni"))
    assert "at 99.98%, on 200 test movies; of 200 challengers" in strict.reason
    assert "up to 2%" in strict.reason
    low, strict_low = (float(each.difference.split("[")[1].split(",")[0]) for each in (verdict, strict))
    assert strict_low < low


def test_the_correction_holds_the_level_for_twenty_equal_challengers():
    """Simulated: the share of test sets on which at least one of twenty equally good challengers wins."""
    random, n_movies, n_challengers = np.random.default_rng(1), 400, 20
    wins = {"none": 0, "bonferroni": 0}
    for _ in range(200):
        champion_right = random.random(n_movies) < 0.5
        differences = (random.random((n_challengers, n_movies)) < 0.5).astype(float) - champion_right
        error = differences.std(axis=1) / np.sqrt(n_movies)
        for name, level in (("none", 0.95), ("bonferroni", 1 - 0.05 / n_challengers)):
            bound = NormalDist().inv_cdf((1 + level) / 2)
            wins[name] += bool((differences.mean(axis=1) > bound * error).any())
    assert wins["none"] > 2 * wins["bonferroni"]
    assert wins["bonferroni"] / 200 < 0.05
