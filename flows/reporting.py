"""What a run's models are explained by, and its report. Owns the order; `flows.compare` calls it."""

from collections.abc import Sequence
from pathlib import Path

from tasks.evaluate.task import audit
from tasks.models.task import explain_movies, outline_trees, profile_genres, write_importance
from tasks.picture import Form
from tasks.report.page.further import pictures_of_features
from tasks.report.page.sources import RunFacts
from tasks.report.task import (
    choose_exhibits,
    draw_importances,
    draw_trees,
    genre_similarity,
    report,
)
from tasks.schema import DEFAULT_SEED
from tasks.stage import StageResult
from tasks.tracking.runs import PipelineRun
from tasks.tracking.task import run_duration_s


def write_run_report(
    run: PipelineRun, folders: Sequence[Path], promotion: str, forms: Sequence[Form], compared: Sequence[StageResult]
) -> StageResult:
    """Audit the labels, explain chosen movies and the models' features, and write the report.

    Args:
        run: the pipeline run.
        folders: of its models, the best first.
        promotion: what became of the champion, in words.
        forms: of the pictures.
        compared: the leaderboard, and what else was made of all models.
    """
    ranked = compared[0]
    audited = audit(folders, wait_for=[ranked])
    chosen = choose_exhibits(list(folders), wait_for=[ranked])
    exhibits = chosen.folder / "exhibits.parquet"
    explained = [explain_movies(folders[0], exhibits, wait_for=[chosen])]
    if chosen.counts.get("disagreement"):
        rivals = [folder for folder in folders[1:] if folder.name == chosen.counts["rival"]]
        explained += [explain_movies(folder, exhibits, "disagreement", wait_for=[chosen]) for folder in rivals]
    facts = RunFacts(run.name, run.run_id, run.params, run.tags, run_duration_s(run), promotion)
    drawn = explain_features(folders, ranked, forms)
    return report(
        list(folders), facts, pictures_of_features(drawn), forms, wait_for=[*compared, audited, *explained, *drawn]
    )


def explain_features(folders: Sequence[Path], ranked: StageResult, forms: Sequence[Form]) -> list[StageResult]:
    """Measure and draw what speaks for each genre, how alike genres are, and what a tree asks."""
    importance = write_importance(list(folders), wait_for=[ranked])
    profiles = profile_genres(DEFAULT_SEED, wait_for=[ranked])
    features = draw_importances(importance.folder, forms, wait_for=[importance])
    similarity = genre_similarity(importance.folder, forms, wait_for=[importance, profiles])
    outlined = outline_trees(list(folders), wait_for=[ranked])
    return [*([features] if features else []), similarity, *draw_trees(outlined, forms, wait_for=[ranked, *outlined])]
