"""The report's Prefect tasks."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path

from tasks.core.figures import SVG_ONLY, Form
from tasks.core.page import Picture
from tasks.core.parallel import map_in_order
from tasks.core.settings import data_paths
from tasks.prefect_task import stage_task
from tasks.report import versus
from tasks.report.feature_figures import write_genre_similarity, write_importance_pictures
from tasks.report.figures import draw_model
from tasks.report.leaderboard import render_cross_validation, write_leaderboard
from tasks.report.movies import write_exhibits
from tasks.report.page import write_report
from tasks.report.sources import RunFacts
from tasks.stage import StageResult


@stage_task("draw models")
def draw_models(model_folders: Sequence[Path], workers: int, *, wanted: bool) -> list[StageResult]:
    """Draw each evaluated model's pictures into its folder; if not wanted, only remove outdated ones."""
    return list(map_in_order(partial(draw_model, wanted=wanted), model_folders, workers if wanted else 1))


@stage_task("leaderboard")
def leaderboard(
    model_folders: list[Path], data_hashes: dict[str, str] | None = None, forms: Sequence[Form] = SVG_ONLY
) -> StageResult:
    """Rank the evaluated models and write the leaderboard to the results folder."""
    return write_leaderboard(model_folders, data_paths().results, data_hashes, forms)


@stage_task("compare pair")
def compare_pair(model_folders: list[Path], pair: tuple[str, ...], *, draws: bool) -> list[StageResult]:
    """Compare two of the models, if there are two, and write the comparison to the results folder."""
    result = versus.write_versus(model_folders, pair, data_paths(), draws=draws)
    return [] if result is None else [result]


judge_challenger = stage_task("judge challenger", "judge {challenger.name}")(versus.judge_challenger)
tabulate_folds = stage_task("tabulate folds")(render_cross_validation)
draw_importances = stage_task("draw importances", "draw importances {model_folder.name}")(write_importance_pictures)


@stage_task("choose exhibits")
def choose_exhibits(model_folders: list[Path]) -> StageResult:
    """Choose the test movies that the report shows, so that models can explain them."""
    return write_exhibits(model_folders, data_paths())


@stage_task("report")
def report(
    model_folders: list[Path], facts: RunFacts, features: tuple[Picture, ...] = (), forms: Sequence[Form] = SVG_ONLY
) -> StageResult:
    """Write the report of a run to the results folder."""
    return write_report(model_folders, data_paths(), facts, features, forms)


@stage_task("genre similarity")
def genre_similarity(model_folder: Path, forms: Sequence[Form] = SVG_ONLY) -> StageResult:
    """Write the similarity of every two genres, by the weights of an explained model and by their descriptions."""
    return write_genre_similarity(model_folder, data_paths(), forms)
