"""The picture of a training."""

from pathlib import Path

import polars as pl
import pytest

from tasks.core.errors import DataError
from tasks.report.figures import draw_training, write_training_curves

HISTORY = """step,epoch,train_loss,validation_loss,validation_jaccard,learning_rate
10,0.5,0.3,0.28,0.41,0.0001
20,1,0.25,0.27,0.47,0.00005
30,1.5,,0.275,0.46,
"""


def test_it_is_drawn_beside_the_model_and_again_only_if_it_changed(tmp_path: Path) -> None:
    (tmp_path / "history.csv").write_text(HISTORY)
    result = write_training_curves(tmp_path)
    assert result is not None
    assert (result.counts, result.skipped) == ({"evaluations": 3}, False)
    assert (tmp_path / "training.svg").read_text().startswith("<?xml")
    assert (tmp_path / "training.png").read_bytes().startswith(b"\x89PNG")
    again = write_training_curves(tmp_path)
    assert again is not None
    assert again.skipped
    unwanted = write_training_curves(tmp_path, wanted=False)
    assert unwanted is not None
    assert unwanted.skipped
    (tmp_path / "history.csv").write_text(HISTORY.replace("0.3,", "0.4,"))
    write_training_curves(tmp_path, wanted=False)
    assert not list(tmp_path.glob("training.*"))


def test_models_without_steps_have_none(tmp_path: Path) -> None:
    assert write_training_curves(tmp_path) is None
    assert not list(tmp_path.iterdir())


def test_the_best_evaluation_is_marked(tmp_path: Path) -> None:
    (tmp_path / "history.csv").write_text(HISTORY)
    losses, jaccard = draw_training(pl.read_csv(tmp_path / "history.csv")).axes
    assert [len(line.get_xdata()) for line in losses.lines] == [2, 3]
    assert [text.get_text() for text in jaccard.texts] == ["0.470"]


def test_a_damaged_history_is_said(tmp_path: Path) -> None:
    (tmp_path / "history.csv").write_text("step,epoch\n1,2\n")
    with pytest.raises(DataError, match=r"history.csv is damaged .* train the model again"):
        write_training_curves(tmp_path)
