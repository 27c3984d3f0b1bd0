"""The label audit: the movies whose genres the models doubt most, and why. Owns its table.

A doubt is no error. Genres are matters of opinion, and descriptions leave out what a film shows; what comes first is
what is worth a look.
"""

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from tasks.errors import DataError
from tasks.evaluate.doubts import Doubt, explain_doubts, find_doubts
from tasks.evaluate.held_out import HeldOut, held_out_files, read_held_out
from tasks.extras import how_to_install, is_installed
from tasks.paths import DataPaths
from tasks.spreadsheet import write_safe_csv
from tasks.stage import Stage, StageResult, remove_outdated, run_stage

logger = logging.getLogger(__name__)

AUDIT_CSV: Final = "label_audit.csv"
AUDIT_FILE: Final = "label_audit.parquet"
AUDIT: Final = pl.Schema(
    {
        "movie_id": pl.String,
        "movie_name": pl.String,
        "given_genres": pl.String,
        "doubted": pl.String,  # "lacks Horror; is not Drama", the greatest doubt first
        "quality": pl.Float64,  # 0 to 1; the lowest first
        "reason": pl.String,
        "scores_from": pl.String,
    }
)


def audit_labels(model_folders: Sequence[Path], paths: DataPaths) -> StageResult:
    """Write the movies of which the first model doubts a genre, those with the least label quality first.

    Both files hold `AUDIT`: `label_audit.csv` for people, its formulas neutralised, `label_audit.parquet` for programs.
    What counts are scores of movies that a model was not trained on: out of fold where the model was cross-validated,
    else those of validation and test; calibrated on the same movies, by two numbers a genre.

    Args:
        model_folders: the model whose doubts count, then others to ask about them. Those whose scores are of other
            movies or genres are not asked.
        paths: the data folder; the files go to its results.

    Returns:
        The stage's result, with the counts `movies`, `doubted_movies`, `doubts`, and `asked`, the models; with none
        where cleanlab is not installed, and an outdated audit is removed.

    Raises:
        DataError: no model is given, or the scores of the first are missing, damaged or of other movies.
    """
    if not model_folders:
        raise DataError("label audit: no model is given whose doubts could count; train one first")
    first = held_out_files(model_folders[0], paths)
    sources = [first, *(held_out_files(folder, paths, first) for folder in model_folders[1:])]
    stage = Stage(
        name="label_audit",
        folder=paths.results,
        outputs=(AUDIT_CSV, AUDIT_FILE),
        inputs=(paths.movies, paths.splits, *(path for files in sources for path in files.values())),
        config={"models": [folder.name for folder in model_folders]},
        code=(Path(__file__),),
        packages=("cleanlab", "numpy", "polars"),
    )

    if not is_installed("audit"):
        logger.warning("label audit: left out, as cleanlab is not installed; %s", how_to_install(["audit"]))
        return remove_outdated(stage)

    def build(folder: Path) -> Mapping[str, Any]:
        asked = [read_held_out(*each, paths) for each in zip(model_folders, sources, strict=True)]
        asked = [asked[0], *(other for other in asked[1:] if _can_be_asked(other, asked[0]))]
        doubted, quality = find_doubts(asked[0].truth, asked[0].probabilities)
        table = _table(asked, doubted, quality, paths)
        write_safe_csv(table, folder / AUDIT_CSV)
        table.write_parquet(folder / AUDIT_FILE, compression="zstd")
        return {
            "movies": len(quality),
            "doubted_movies": table.height,
            "doubts": int(doubted.sum()),
            "asked": [model.model for model in asked],
        }

    return run_stage(stage, build)


def read_audit(paths: DataPaths) -> pl.DataFrame:
    """Return the last audit of a data folder, `AUDIT`."""
    return pl.read_parquet(paths.results / AUDIT_FILE)


def _can_be_asked(other: HeldOut, first: HeldOut) -> bool:
    if other.movie_ids == first.movie_ids and other.genres == first.genres:
        return True
    logger.info("label audit: %s is not asked, its held-out scores are of other movies or genres", other.model)
    return False


def _table(
    asked: Sequence[HeldOut], doubted: NDArray[np.bool_], quality: NDArray[np.float64], paths: DataPaths
) -> pl.DataFrame:
    first = asked[0]
    names = dict(pl.read_parquet(paths.movies, columns=["movie_id", "movie_name"]).iter_rows())
    rows = []
    for row in np.flatnonzero(doubted.any(axis=1)).tolist():
        doubts = _doubts(asked, row, doubted[row])
        given = [genre for genre, has in zip(first.genres, first.truth[row], strict=True) if has]
        claims = "; ".join(doubt.claim for doubt in doubts)
        movie = (first.movie_ids[row], names[first.movie_ids[row]], ", ".join(given))
        why = (float(quality[row]), explain_doubts(doubts), f"{first.model}, {first.parts[row]}")
        rows.append((*movie, claims, *why))
    return pl.DataFrame(rows, schema=AUDIT, orient="row").sort("quality", "movie_id")


def _doubts(asked: Sequence[HeldOut], row: int, doubted: NDArray[np.bool_]) -> list[Doubt]:
    """Return the doubts about one movie, the greatest first."""
    first = asked[0]
    of_label = np.where(first.truth[row], first.probabilities[row], 1 - first.probabilities[row])
    columns = sorted(np.flatnonzero(doubted).tolist(), key=lambda column: (of_label[column], column))
    return [
        Doubt(
            first.genres[column],
            bool(first.truth[row, column]),
            {model.model: float(model.probabilities[row, column]) for model in asked},
        )
        for column in columns
    ]
