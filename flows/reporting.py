"""What a run's models are explained by, and its report. Owns the order; `flows.compare` calls it."""

from collections.abc import Sequence
from pathlib import Path

from tasks.evaluate.task import audit
from tasks.models.task import explain_movies, outline_tree, profile_genres, write_importance
from tasks.picture import Form
from tasks.report.page.blocks import Picture
from tasks.report.page.further import pictures_of_features
from tasks.report.page.sources import RunFacts
from tasks.report.task import (
    choose_exhibits,
    draw_importances,
    draw_tree,
    genre_similarity,
    report,
)
from tasks.schema import DEFAULT_SEED
from tasks.tracking.runs import PipelineRun
from tasks.tracking.task import run_duration_s


def write_run_report(run: PipelineRun, folders: Sequence[Path], promotion: str, forms: Sequence[Form]) -> list[Path]:
    """Audit the labels, explain chosen movies and the models' features, and write the report; return its files.

    Args:
        run: the pipeline run.
        folders: of its models, the best first.
        promotion: what became of the champion, in words.
        forms: of the pictures.
    """
    audit(folders)
    chosen = choose_exhibits(list(folders))
    exhibits = chosen.folder / "exhibits.parquet"
    explain_movies(folders[0], exhibits)
    for folder in folders[1:]:
        if folder.name == chosen.counts["rival"] and chosen.counts.get("disagreement"):
            explain_movies(folder, exhibits, "disagreement")
    facts = RunFacts(run.name, run.run_id, run.params, run.tags, run_duration_s(run), promotion)
    written = report(list(folders), facts, explain_features(folders, forms), forms)
    return [written.folder / "report.html", *sorted((written.folder / "pictures").iterdir())]


def explain_features(folders: Sequence[Path], forms: Sequence[Form]) -> tuple[Picture, ...]:
    """Measure and draw what speaks for each genre, how alike genres are, and what a tree asks."""
    importance = write_importance(list(folders))
    profile_genres(DEFAULT_SEED)
    drawn = [draw_importances(importance.folder, forms), genre_similarity(importance.folder, forms)]
    drawn += [draw_tree(folder, forms) for folder in folders if outline_tree(folder) is not None]
    return pictures_of_features([result for result in drawn if result is not None])
