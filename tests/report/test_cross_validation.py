import json

import pytest

from tasks.core.errors import DataError
from tasks.report.leaderboard import render_cross_validation


def write_model(folder, jaccard, std):
    folder.mkdir()
    metrics = {"jaccard": {"mean": jaccard, "std": std, "folds": []}}
    stored = {"chosen_rule": "global", "rules": {"global": metrics, "fixed": {}}}
    (folder / "metrics.json").write_text(json.dumps(stored), encoding="utf-8")
    (folder / "fit.json").write_text('{"fit_s": 1.25}', encoding="utf-8")
    return folder


def test_the_best_is_first_and_what_is_undefined_a_dash(tmp_path):
    folders = [write_model(tmp_path / "a", 0.4, 0.01), write_model(tmp_path / "much-better", 0.5, 0.002)]
    title, rule, first, second, note, end = render_cross_validation(folders).split("\n")
    assert title.split()[:3] == ["model", "rule", "Jaccard"]
    assert set(rule) == {"─"}
    assert first.split() == ["much-better", "global", "0.5000", "±", "0.0020", *["–"] * 5, "1.2"]
    assert second.split()[:5] == ["a", "global", "0.4000", "±", "0.0100"]
    assert "standard deviation" in note
    assert end == ""


def test_missing_results_are_told(tmp_path):
    with pytest.raises(DataError, match="cross-validate the model again"):
        render_cross_validation([tmp_path])
