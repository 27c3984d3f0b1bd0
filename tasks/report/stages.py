"""The stages that write the leaderboard of all models, and the pictures of each."""

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Final

import polars as pl

from tasks.core.errors import DataError
from tasks.core.figures import ALL_FORMS, SVG_ONLY, Form, picture_files, write_picture
from tasks.core.files import hash_file
from tasks.core.page import write_safe_csv
from tasks.core.predictions import PREDICTIONS_FILE, RULES_FILE, read_decisions
from tasks.report.figures import (
    HISTORY_COLUMNS,
    HISTORY_FILE,
    count_instead,
    draw_calibration,
    draw_confusion,
    draw_genres,
    draw_instead,
    draw_leaderboard,
    draw_pareto,
    draw_training,
)
from tasks.report.leaderboard import (
    FIT_FILE,
    METRICS_FILE,
    PUBLISHED,
    best_constant,
    compare_published,
    rank_models,
    render_markdown,
    render_published,
    render_terminal,
)
from tasks.stage import Stage, StageResult, remove_outdated, run_stage

LEADERBOARD_CSV, LEADERBOARD_MARKDOWN, LEADERBOARD_TEXT = "leaderboard.csv", "leaderboard.md", "leaderboard.txt"
PUBLISHED_MARKDOWN: Final = "published.md"
PER_GENRE_FILE, CALIBRATION_FILE, RELIABILITY_FILE = "per_genre.csv", "calibration.csv", "reliability.csv"
TRAINING: Final = "training"
MODEL_PICTURES: Final = ("confusion", "calibration", "predicted_instead", "per_genre")

_COLUMNS: Final = {
    PER_GENRE_FILE: ("genre", "support", "tp", "fp", "fn", "tn", "precision", "recall", "f1"),
    PREDICTIONS_FILE: ("true_genres", "predicted_genres"),
    CALIBRATION_FILE: ("genre", "positives", "ece_raw", "ece_calibrated"),
    RELIABILITY_FILE: ("scores", "mean_score", "share_of_positives"),
    HISTORY_FILE: HISTORY_COLUMNS,
}


def write_leaderboard(
    model_folders: Sequence[Path],
    results_folder: Path,
    data_hashes: Mapping[str, str] | None = None,
    forms: Sequence[Form] = SVG_ONLY,
) -> StageResult:
    """Write the leaderboard of the given models as CSV, Markdown, text and pictures; the counts have their order.

    Models are compared in `published.md` with results that the earlier system published for their methods.
    `data_hashes` by model name are for messages.

    Raises:
        DataError: no model is given, a model's files cannot be read, or they were not tested on the same movies.
    """
    leaderboard = rank_models(model_folders, data_hashes)
    left = (METRICS_FILE, FIT_FILE, PREDICTIONS_FILE, RULES_FILE)
    files = tuple(folder / name for folder in model_folders for name in left)
    # Inputs are known by file name, which is the same in every folder: so their contents go into the config.
    contents = {f"{path.parent.name}/{path.name}": hash_file(path) for path in files}
    decisions = read_decisions([model_folders[0]])
    published, baseline = compare_published(model_folders), best_constant(decisions.truth, decisions.genres)
    pictures = picture_files(["leaderboard", "pareto"], forms)
    outputs = (LEADERBOARD_CSV, LEADERBOARD_MARKDOWN, LEADERBOARD_TEXT, *pictures)
    if published.height:
        outputs += (PUBLISHED_MARKDOWN,)
    config, code, packages = {"models": contents}, (Path(__file__),), ("adjusttext", "matplotlib", "polars")
    stage = Stage("leaderboard", results_folder, outputs, (PUBLISHED,), config, code, packages, removes_old=True)

    def build(folder: Path) -> Mapping[str, Any]:
        write_safe_csv(leaderboard, folder / LEADERBOARD_CSV)
        (folder / LEADERBOARD_MARKDOWN).write_text(render_markdown(leaderboard, baseline), encoding="utf-8")
        (folder / LEADERBOARD_TEXT).write_text(render_terminal(leaderboard, baseline) + "\n", encoding="utf-8")
        write_picture(folder, "leaderboard", partial(draw_leaderboard, leaderboard, baseline), forms)
        write_picture(folder, "pareto", partial(draw_pareto, leaderboard), forms)
        if published.height:
            (folder / PUBLISHED_MARKDOWN).write_text(render_published(published), encoding="utf-8")
        return {"models": leaderboard.height, "order": leaderboard["model"].to_list()}

    return run_stage(stage, build)


def draw_model(model_folder: Path, *, wanted: bool = True) -> StageResult:
    """Draw a model's F1 and confusion by genre, predictions in place of missed genres, calibration, and any training.

    If not `wanted`, pictures of an earlier run that no longer show this model are removed.

    Raises:
        DataError: a table or the predictions of the model are missing, damaged or empty.
    """
    inputs = tuple(model_folder / name for name in _COLUMNS)
    if not inputs[-1].is_file():
        inputs = inputs[:-1]  # not trained step by step
    for path in inputs:
        if not path.is_file():
            raise DataError(f"{path}: not found; evaluate the model first")
    names = (*MODEL_PICTURES, TRAINING) if inputs[-1].name == HISTORY_FILE else MODEL_PICTURES
    outputs, packages = picture_files(names, ALL_FORMS), ("matplotlib", "polars")
    stage = Stage("draw", model_folder, outputs, inputs, {}, (Path(__file__),), packages, removes_old=True)
    if not wanted:
        return remove_outdated(stage)

    def build(folder: Path) -> Mapping[str, Any]:
        per_genre, predictions, calibration, reliability, *history = map(_read, inputs)
        genres = per_genre["genre"].to_list()
        instead = count_instead(predictions, genres)
        draws = (
            partial(draw_confusion, per_genre),
            partial(draw_calibration, calibration, reliability),
            partial(draw_instead, instead, genres),
            partial(draw_genres, per_genre),
            *(partial(draw_training, table) for table in history),
        )
        for name, draw in zip(names, draws, strict=True):
            write_picture(folder, name, draw, ALL_FORMS)
        return {"genres": len(genres), "movies": predictions.height, "missed": int(instead[:, -1].sum())}

    return run_stage(stage, build)


def _read(path: Path) -> pl.DataFrame:
    columns, again = list(_COLUMNS[path.name]), "train" if path.name == HISTORY_FILE else "evaluate"
    try:
        table = pl.read_csv(path, columns=columns) if path.suffix == ".csv" else pl.read_parquet(path, columns=columns)
    except pl.exceptions.PolarsError as error:
        reason = str(error).partition("\n")[0]
        raise DataError(
            f"{path} is damaged: expected the columns {', '.join(columns)} ({reason}); {again} the model again"
        ) from error
    if table.is_empty():
        raise DataError(f"{path} has no rows; {again} the model again")
    return table
