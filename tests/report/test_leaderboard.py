import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from tasks.core.errors import DataError
from tasks.core.metrics import in_groups
from tasks.core.schema import PREDICTIONS
from tasks.report.figures import draw_leaderboard
from tasks.report.leaderboard import (
    LEADERBOARD,
    best_constant,
    rank_models,
    render_markdown,
    render_terminal,
    title_of,
)

GENRES = ["Drama", "War", "Western"]


def write_model(folder: Path, name: str, val: float | None, test: float = 0.3, **more: Any) -> Path:
    """Write what is left of a model that finds the genre of some of 40 movies, and says War of the others."""
    model = folder / name
    model.mkdir()
    metrics = {"val/jaccard": val, "test/jaccard": test, "test/f1_samples": 0.5, **more}
    (model / "metrics.json").write_text(
        json.dumps({"chosen_rule": "global", "rules": {"global": metrics, "fixed": {}}})
    )
    (model / "fit.json").write_text(json.dumps({"fit_s": 1.25, "predict_docs_per_s": 12345.6, "model_mb": 3}))
    (model / "rules.json").write_text(json.dumps({"genres": GENRES}))
    right = [movie < 40 * test for movie in range(40)]
    movies = {
        "movie_id": [f"tt{movie:02}" for movie in range(40)],
        "true_genres": [["Drama"]] * 40,
        "predicted_genres": [["Drama"] if each else ["War"] for each in right],
        "jaccard": [float(each) for each in right],
    }
    pl.DataFrame(movies, schema=PREDICTIONS).write_parquet(model / "predictions_test.parquet")
    return model


def test_validation_sets_the_order_and_test_does_not(tmp_path: Path) -> None:
    folders = [
        write_model(tmp_path, "lucky", 0.40, test=0.9),
        write_model(tmp_path, "best", 0.45, test=0.1),
        write_model(tmp_path, "also_best", 0.45, test=0.2),
        write_model(tmp_path, "undefined", None),
    ]
    leaderboard = rank_models(folders)
    assert leaderboard.schema == LEADERBOARD
    assert leaderboard["rank"].to_list() == [1, 2, 3, 4]
    assert leaderboard["model"].to_list() == ["also_best", "best", "lucky", "undefined"]
    assert rank_models(folders[::-1]).equals(leaderboard)


def test_values_come_from_the_chosen_rule_and_undefined_ones_are_null(tmp_path: Path) -> None:
    model = write_model(tmp_path, "model", 0.4, **{"test/f1_macro": math.nan})
    row = rank_models([model]).row(0, named=True)
    assert (row["rule"], row["val_jaccard"], row["test_f1_samples"]) == ("global", 0.4, 0.5)
    assert (row["fit_s"], row["predict_docs_per_s"], row["model_mb"]) == (1.25, 12345.6, 3.0)
    assert row["model_memory_mb"] is None  # from before it was measured
    assert row["test_f1_macro"] is None
    assert row["test_exact_match"] is None


def test_the_terminal_table_breaks_no_name_and_marks_the_champion_alone(tmp_path: Path) -> None:
    names = ["a", "[bold]b", "c" * 70]
    leaderboard = rank_models([write_model(tmp_path, name, 0.4 - len(name) / 1000) for name in names])
    text = render_terminal(leaderboard)
    lines = text.splitlines()
    assert any("c" * 70 in line for line in lines)
    assert [line.split()[1] for line in lines if line.startswith("★") and "validation" not in line] == ["a"]
    assert "[bold]b" in text
    assert "12,346" in text
    assert "\x1b" not in text


def test_markdown_has_every_column_and_a_bold_champion(tmp_path: Path) -> None:
    leaderboard = rank_models([write_model(tmp_path, "a|b", 0.4), write_model(tmp_path, "c", 0.3)])
    lines = render_markdown(leaderboard).splitlines()
    headers = "".join(line for line in lines if line.startswith("|  | model |"))
    hidden = {"rank", "chosen_by", "distinct_answers", *(f"test_{name}" for name in in_groups("counts"))}
    ends = {column for column in LEADERBOARD if column.endswith(("_low", "_high"))}  # told in brackets
    for column in LEADERBOARD.keys() - hidden - ends:
        assert f"| {title_of(column)} |" in headers
    assert [line.startswith("| **1** | **a\\|b** |") for line in lines if "a\\|b" in line] == [True] * 4
    assert not any("**" in line for line in lines if line.startswith("| 2 | c |"))
    assert "0.3000 \\[0." in "".join(lines)


def test_nothing_to_rank_is_an_error() -> None:
    with pytest.raises(DataError, match="no evaluated model"):
        rank_models([])


def test_the_same_name_twice_is_an_error(tmp_path: Path) -> None:
    model = write_model(tmp_path, "a", 0.4)
    with pytest.raises(DataError, match="same name"):
        rank_models([model, model])


@pytest.mark.parametrize("content", ["{", "[]", '{"chosen_rule": "own", "rules": {}}', '{"rules": []}'])
def test_damaged_metrics_name_the_file(tmp_path: Path, content: str) -> None:
    model = write_model(tmp_path, "a", 0.4)
    (model / "metrics.json").write_text(content)
    with pytest.raises(DataError, match=r"metrics\.json"):
        rank_models([model])


def test_missing_costs_name_the_file(tmp_path: Path) -> None:
    model = write_model(tmp_path, "a", 0.4)
    (model / "fit.json").unlink()
    with pytest.raises(DataError, match=r"fit\.json"):
        rank_models([model])


def test_each_model_is_compared_with_the_best_on_the_same_movies(tmp_path: Path) -> None:
    leaderboard = rank_models(
        [
            write_model(tmp_path, name, val, test)
            for name, val, test in (("a", 0.5, 0.6), ("b", 0.4, 0.3), ("c", 0.3, 0.6))
        ]
    )
    assert leaderboard["behind"].to_list() == [None, pytest.approx(0.3), 0]
    low, high = leaderboard["behind_low"].to_list(), leaderboard["behind_high"].to_list()
    assert 0 < low[1] < 0.3 < high[1]
    assert (low[2], high[2]) == (0, 0)
    row = leaderboard.row(0, named=True)
    assert row["test_jaccard_low"] < 0.6 < row["test_jaccard_high"]
    lines = render_terminal(leaderboard).splitlines()
    assert ["≈" in line for line in lines if line[:1] in set("★23")] == [False, False, True, False]


def test_what_would_mislead_is_told(tmp_path: Path) -> None:
    folders = [
        write_model(tmp_path, "[same]", 0.5, 0.0, **{"test/undefined_genres": 2.0}),
        write_model(tmp_path, "other", 0.4, 0.5),
    ]
    leaderboard = rank_models(folders)
    assert leaderboard["distinct_answers"].to_list() == [1, 2]
    told = render_terminal(leaderboard)
    assert "2 genre(s) have no test movie: undefined" in told
    assert "the same genres for every movie: [same]." in told
    assert "the same genres for every movie: \\[same\\]." in render_markdown(leaderboard)


def test_the_baseline_is_the_best_constant_answer(tmp_path: Path) -> None:
    truth = np.array([[1, 0, 0], [1, 1, 0], [1, 1, 0], [0, 0, 1]], dtype=bool)
    baseline = best_constant(truth, ("Drama", "Romance", "War"))
    assert baseline is not None
    # Drama alone: (1 + 1/2 + 1/2 + 0) / 4; Drama and Romance: (1/2 + 1 + 1 + 0) / 4; all: (1/3 + 2/3 + 2/3 + 1/3) / 4
    assert baseline.genres == ("Drama", "Romance")
    assert baseline.metrics["test_jaccard"] == 0.625
    assert baseline.metrics["test_at_least_one"] == 0.75
    leaderboard = rank_models([write_model(tmp_path, "a", 0.4)])
    sentence = "baseline: always predicting Drama, Romance has a test Jaccard of 0.625."
    assert sentence in render_terminal(leaderboard, baseline)
    assert sentence in render_markdown(leaderboard, baseline)
    assert "always" not in render_terminal(leaderboard)
    legend = draw_leaderboard(leaderboard, (baseline.genres, 0.625)).legends[0]
    assert "always predicting Drama, Romance: 0.625" in [text.get_text() for text in legend.get_texts()]


def test_no_baseline_without_true_genres() -> None:
    assert best_constant(np.zeros((3, 2), dtype=bool), ("Drama", "War")) is None


def test_one_model_is_a_leaderboard(tmp_path: Path) -> None:
    leaderboard = rank_models([write_model(tmp_path, "a", 0.4)])
    assert leaderboard["behind"].to_list() == [None]
    assert "★" in render_terminal(leaderboard)


def test_the_metric_that_chose_the_rules_sets_the_order(tmp_path: Path) -> None:
    folders = [
        write_model(tmp_path, "a", 0.5, **{"val/f1_macro": 0.3}),
        write_model(tmp_path, "b", 0.4, **{"val/f1_macro": 0.4}),
    ]
    for folder in folders:
        metrics = json.loads((folder / "metrics.json").read_text())
        (folder / "metrics.json").write_text(json.dumps({**metrics, "chosen_by": "f1_macro"}))
    leaderboard = rank_models(folders)
    assert leaderboard["model"].to_list() == ["b", "a"]
    assert "best F1 (macro) on validation" in render_terminal(leaderboard)
    with pytest.raises(DataError, match="chosen by f1_macro and by jaccard"):
        rank_models([*folders, write_model(tmp_path, "c", 0.6)])
