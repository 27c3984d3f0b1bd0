"""The report's face towards the flows."""

from pathlib import Path

from prefect import get_run_logger, task
from prefect.cache_policies import NO_CACHE

from tasks.paths import data_paths
from tasks.report.leaderboard import rank_models, render_terminal
from tasks.report.stages import write_leaderboard, write_model_pictures
from tasks.stage import StageResult


@task(name="draw model", task_run_name="draw {model_folder.name}", cache_policy=NO_CACHE, persist_result=False)
def draw_model(model_folder: Path) -> StageResult:
    """Draw the pictures of one evaluated model into its folder."""
    return write_model_pictures(model_folder)


@task(name="leaderboard", task_run_name="leaderboard", cache_policy=NO_CACHE, persist_result=False)
def leaderboard(model_folders: list[Path]) -> StageResult:
    """Rank the evaluated models and write the leaderboard to the results folder."""
    result = write_leaderboard(model_folders, data_paths().results)
    get_run_logger().info("leaderboard:\n%s", render_terminal(rank_models(model_folders)))
    return result
