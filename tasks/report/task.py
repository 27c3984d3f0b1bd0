"""The report's face towards the flows."""

from pathlib import Path

from prefect import task
from prefect.cache_policies import NO_CACHE

from tasks.paths import data_paths
from tasks.promotion import Champion, PromotionConfig, Verdict
from tasks.report import promotion
from tasks.report.cross_validation import render_cross_validation
from tasks.report.stages import write_leaderboard, write_model_pictures
from tasks.report.training import write_training_curves
from tasks.report.versus import write_versus
from tasks.stage import StageResult


@task(name="draw model", task_run_name="draw {model_folder.name}", cache_policy=NO_CACHE, persist_result=False)
def draw_model(model_folder: Path) -> StageResult:
    """Draw one evaluated model's confusion matrices, its calibration and its training, if any, into its folder."""
    write_training_curves(model_folder)
    return write_model_pictures(model_folder, ["confusion", "calibration"])


@task(name="draw champion", task_run_name="draw {model_folder.name}", cache_policy=NO_CACHE, persist_result=False)
def draw_champion(model_folder: Path) -> StageResult:
    """Draw the further pictures of the best model into its folder; for every model they would take too long."""
    return write_model_pictures(model_folder, ["predicted_instead", "per_genre"])


@task(name="leaderboard", task_run_name="leaderboard", cache_policy=NO_CACHE, persist_result=False)
def leaderboard(model_folders: list[Path], data_hashes: dict[str, str] | None = None) -> StageResult:
    """Rank the evaluated models and write the leaderboard to the results folder."""
    return write_leaderboard(model_folders, data_paths().results, data_hashes)


@task(name="compare pair", task_run_name="compare pair", cache_policy=NO_CACHE, persist_result=False)
def compare_pair(model_folders: list[Path], pair: tuple[str, ...]) -> StageResult | None:
    """Set two of the models side by side and write that to the results folder; None where there is only one."""
    return write_versus(model_folders, pair, data_paths())


@task(name="judge challenger", task_run_name="judge {challenger.name}", cache_policy=NO_CACHE, persist_result=False)
def judge_challenger(challenger: Path, champion: Champion | None, config: PromotionConfig) -> Verdict:
    """Return whether the best model is to take the champion's place."""
    return promotion.judge_challenger(challenger, champion, config)


@task(name="tabulate folds", task_run_name="tabulate folds", cache_policy=NO_CACHE, persist_result=False)
def tabulate_folds(folders: list[Path]) -> str:
    """Return the table of the cross-validated models, the best first."""
    return render_cross_validation(folders)
