import json
from pathlib import Path

import polars as pl
import pytest

from tasks.core import schema
from tasks.core.errors import DataError
from tasks.core.settings import DataPaths
from tasks.report import task
from tasks.report.figures import MODEL_PICTURES, draw_calibration, draw_model, draw_training
from tasks.report.leaderboard import write_leaderboard


def write_model(folder: Path, genres: list[str], jaccard: float = 0.4) -> Path:
    """Write what the evaluation leaves of a model that finds every other genre and always says the first one."""
    folder.mkdir(parents=True)
    count = len(genres)
    found = [float(index % 2) if index != 2 else None for index in range(count)]  # the third has no positive
    per_genre = {
        "genre": genres,
        "support": [10] * count,
        "predicted": [5] * count,
        "tp": [5] * count,
        "fp": [0] * count,
        "fn": [5] * count,
        "tn": [80] * count,
        "precision": found,
        "recall": found,
        "f1": found,
        "average_precision": found,
        "jaccard": found,
    }
    pl.DataFrame(per_genre).write_csv(folder / "per_genre.csv")
    calibration = {
        "genre": genres,
        "positives": [10] * count,
        "ece_raw": [index / 100 for index in range(count)],
        "ece_calibrated": [0.0] * count,
    }
    pl.DataFrame(calibration).write_csv(folder / "calibration.csv")
    curves = {
        "scores": ["raw", "raw", "calibrated"],
        "mean_score": [0.0, 0.5, 0.3],
        "share_of_positives": [0.1, 0.3, 1.0],
    }
    pl.DataFrame(curves).write_csv(folder / "reliability.csv")
    movies = {
        "movie_id": ["tt1", "tt2"],
        "true_genres": [genres[:2], genres[-1:]],
        "predicted_genres": [genres[:1]] * 2,
        "jaccard": [0.5, 1.0],
    }
    (folder / "rules.json").write_text(json.dumps({"genres": genres}))
    pl.DataFrame(movies).write_parquet(folder / "predictions_test.parquet")
    metrics = {"chosen_rule": "global", "rules": {"global": {"val/jaccard": jaccard, "test/jaccard": jaccard}}}
    (folder / "metrics.json").write_text(json.dumps(metrics))
    (folder / "fit.json").write_text(json.dumps({"fit_s": 1.0, "predict_docs_per_s": 2.0, "model_mb": 3.0}))
    return folder


HISTORY = """step,epoch,train_loss,validation_loss,validation_jaccard,learning_rate
10,0.5,0.3,0.28,0.41,0.0001
20,1,0.25,0.27,0.47,0.00005
30,1.5,,0.275,0.46,
"""


@pytest.mark.parametrize("genres", [list(schema.GENRES), ["Drama"]], ids=["all genres", "one genre"])
def test_a_models_pictures_are_written_the_same_each_time(tmp_path: Path, genres: list[str]) -> None:
    model = write_model(tmp_path / "model", genres)
    result = draw_model(model)
    names = [f"{name}.{form}" for name in MODEL_PICTURES for form in ("svg", "png")]
    before = [(model / name).read_bytes() for name in names]
    assert result.counts["genres"] == len(genres)
    assert draw_model(model).skipped
    (model / "draw.stage.json").unlink()
    assert not draw_model(model).skipped
    assert [(model / name).read_bytes() for name in names] == before


def test_a_model_that_is_not_evaluated_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"per_genre\.csv"):
        draw_model(tmp_path)


def test_a_table_without_its_columns_is_an_error(tmp_path: Path) -> None:
    model = write_model(tmp_path / "model", ["Drama", "War"])
    (model / "per_genre.csv").write_text("genre,f1\nDrama,0.5\n")
    with pytest.raises(DataError, match="support"):
        draw_model(model)


def test_the_calibration_picture_shows_both_kinds_of_scores(tmp_path: Path) -> None:
    model = write_model(tmp_path / "model", list(schema.GENRES))
    tables = [pl.read_csv(model / name) for name in ("calibration.csv", "reliability.csv")]
    curves, errors = draw_calibration(*tables).axes
    drawn = {line.get_label(): line.get_xydata().tolist() for line in curves.lines}
    assert drawn["raw"] == [[0, 0.1], [0.5, 0.3]]
    assert drawn["calibrated"] == [[0.3, 1]]
    assert [label.get_text() for label in errors.get_yticklabels()] == [
        f"{genre} (10)" for genre in reversed(schema.GENRES)
    ]


def test_the_course_of_a_training_is_drawn_if_there_is_one(tmp_path: Path) -> None:
    model = write_model(tmp_path / "model", ["Drama", "War"])
    (model / "history.csv").write_text(HISTORY)
    draw_model(model)
    assert (model / "training.svg").read_text().startswith("<?xml")
    assert (model / "training.png").read_bytes().startswith(b"\x89PNG")
    assert draw_model(model, wanted=False).skipped
    (model / "history.csv").write_text(HISTORY.replace("0.3,", "0.4,"))
    draw_model(model, wanted=False)
    assert not list(model.glob("training.*g"))
    (model / "history.csv").write_text("step,epoch\n1,2\n")
    with pytest.raises(DataError, match=r"history.csv is damaged.* train the model again"):
        draw_model(model)


def test_the_best_evaluation_of_a_training_is_marked(tmp_path: Path) -> None:
    (tmp_path / "history.csv").write_text(HISTORY)
    losses, jaccard = draw_training(pl.read_csv(tmp_path / "history.csv")).axes
    assert [len(line.get_xdata()) for line in losses.lines] == [2, 3]
    assert [text.get_text() for text in jaccard.texts] == ["0.470"]


def test_the_leaderboard_follows_what_any_model_left(tmp_path: Path) -> None:
    folders = [write_model(tmp_path / name, ["Drama"], jaccard) for name, jaccard in (("a", 0.3), ("b", 0.4))]
    results = tmp_path / "results"
    assert write_leaderboard(folders, results).counts == {"models": 2, "order": ["b", "a"]}
    assert write_leaderboard(folders, results).skipped
    assert pl.read_csv(results / "leaderboard.csv")["model"].to_list() == ["b", "a"]
    assert {path.suffix for path in results.glob("leaderboard.*")} == {".csv", ".md", ".txt", ".svg", ".json"}
    better = (folders[0] / "metrics.json").read_text().replace("0.3", "0.5")
    (folders[0] / "metrics.json").write_text(better)
    assert write_leaderboard(folders, results).counts["order"][0] == "a"


def test_the_tasks_do_both(paths: DataPaths) -> None:
    model = write_model(paths.models / "model", ["Drama", "War"])
    task.draw_models.fn([model], 1, wanted=False)
    assert not list(model.glob("*.svg"))
    task.draw_models.fn([model], 1, wanted=True)
    assert {path.stem for path in model.glob("*.png")} == set(MODEL_PICTURES)
    task.draw_models.fn([model], 1, wanted=False)
    assert {path.stem for path in model.glob("*.svg")} == set(MODEL_PICTURES)  # of the model as it is
    table = model / "per_genre.csv"
    table.write_text(table.read_text().replace("5,5,0", "4,4,0"))
    task.draw_models.fn([model], 1, wanted=False)
    assert not list(model.glob("*.[sp][vn]g"))  # of the model as it was
    assert task.leaderboard.fn([model]).folder == paths.results
    assert "★" in (paths.results / "leaderboard.txt").read_text(encoding="utf-8")
