"""The course of a training as a picture. Owns its form and its stage; computes no metric."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import polars as pl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from tasks.errors import DataError
from tasks.picture import ALL_FORMS, BLUE, ORANGE, new_figure, picture_files, write_picture
from tasks.stage import Stage, StageResult, remove_outdated, run_stage

HISTORY_FILE: Final = "history.csv"
PICTURE: Final = "training"
COLUMNS: Final = ("epoch", "train_loss", "validation_loss", "validation_jaccard")


def write_training_curves(model_folder: Path, *, wanted: bool = True) -> StageResult | None:
    """Draw how a fine-tuned model's loss and Jaccard went; None for models that are not trained step by step.

    Where it is not wanted, an earlier run's picture that no longer shows this model is removed.

    Raises:
        DataError: `history.csv` is damaged.
    """
    path = model_folder / HISTORY_FILE
    if not path.is_file():
        return None
    outputs = picture_files([PICTURE], ALL_FORMS)
    stage = Stage(f"draw-{PICTURE}", model_folder, outputs, (path,), {}, (Path(__file__),), ("matplotlib",))
    if not wanted:
        return remove_outdated(stage)

    def build(folder: Path) -> Mapping[str, Any]:
        try:
            history = pl.read_csv(path, columns=list(COLUMNS), schema_overrides=dict.fromkeys(COLUMNS, pl.Float64))
        except pl.exceptions.PolarsError as error:
            reason = str(error).partition("\n")[0]
            raise DataError(f"{path} is damaged ({reason}); delete {model_folder} and train the model again") from error
        write_picture(folder, PICTURE, lambda: draw_training(history), ALL_FORMS)
        return {"evaluations": history.height}

    return run_stage(stage, build)


def draw_training(history: pl.DataFrame) -> Figure:
    """Draw the losses on train and validation, and the Jaccard on validation with its best point, by epoch."""
    figure = new_figure(8.4, 3.4)
    losses, jaccard = figure.subplots(1, 2)
    _curve(losses, history, "train_loss", "train, since the last point")
    _curve(losses, history, "validation_loss", "validation")
    losses.set_title("Loss")
    losses.legend(loc="upper right")
    _curve(jaccard, history, "validation_jaccard", "validation")
    jaccard.set_title("Samples Jaccard on validation")
    known = history.drop_nulls("validation_jaccard")
    if known.height:
        epoch, best = known.sort("validation_jaccard", descending=True).select("epoch", "validation_jaccard").row(0)
        jaccard.annotate(f"{best:.3f}", (epoch, best), xytext=(0, 7), textcoords="offset points", ha="center")
        jaccard.margins(y=0.15)
    for axes in (losses, jaccard):
        axes.set_xlabel("epoch")
    return figure


def _curve(axes: Axes, history: pl.DataFrame, column: str, label: str) -> None:
    known = history.drop_nulls(column)
    colour, mark = (ORANGE, "o") if column == "train_loss" else (BLUE, "s")
    axes.plot(known["epoch"], known[column], color=colour, marker=mark, label=label)
