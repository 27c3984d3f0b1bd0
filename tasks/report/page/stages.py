"""The stages of the page and of its pictures. Owns their files and inputs, and the order of its sections."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

from tasks.paths import DataPaths
from tasks.picture import SVG_ONLY, Form, picture_files, write_pictures
from tasks.report.exhibits import EXHIBITS_FILE
from tasks.report.page.blocks import Picture, Section
from tasks.report.page.render import BLOCKS, SCRIPT, STYLE, TEMPLATE, pictures_of, render_page
from tasks.report.page.sections.answers import answers_section, lengths_section
from tasks.report.page.sections.cost import cost_section
from tasks.report.page.sections.features import features_section
from tasks.report.page.sections.genres import genres_section
from tasks.report.page.sections.labels import labels_section
from tasks.report.page.sections.movies import movies_section
from tasks.report.page.sections.quality import quality_section
from tasks.report.page.sections.ranking import ranking_section
from tasks.report.page.sections.run import run_section, shorten_paths
from tasks.report.page.sections.summary import summary_section
from tasks.report.page.sections.training import training_section
from tasks.report.page.sources import RunFacts, Sources, read_parquet, read_sources
from tasks.report.page.wording import counted
from tasks.stage import Stage, StageResult, run_stage

REPORT_FILE: Final = "report.html"
PICTURES_FOLDER: Final = "pictures"
TITLE: Final = "Movie genres from descriptions"
_BORROWED: Final = ("leaderboard.svg", "pareto.svg")  # pictures of other stages that lie in the results


def write_report(
    model_folders: Sequence[Path],
    paths: DataPaths,
    facts: RunFacts,
    further: Sequence[Picture] = (),
    forms: Sequence[Form] = SVG_ONLY,
) -> StageResult:
    """Write `report.html` and its pictures, `pictures/*`, to the results folder.

    The pictures are a stage of their own: they stay where only the run's name and time are new.

    Args:
        model_folders: of the models of the leaderboard.
        paths: the data folder with leaderboard, exhibits and, where they were made, explanations and label audit.
        facts: what tracking knows of the run.
        further: pictures of other stages about what speaks for a genre, with their `file`.
        forms: of the pictures.

    Raises:
        DataError: leaderboard or exhibits are missing, or what a stage left cannot be read.
    """
    sources = read_sources(model_folders, paths)
    exhibits = paths.results / EXHIBITS_FILE
    borrowed = [path for path in (paths.results / name for name in _BORROWED) if path.is_file()]
    given = [picture.file for picture in further if picture.file is not None]
    sections = _sections(sources, facts, exhibits, further)
    drawn = _draw(paths.results, pictures_of(sections), (*sources.inputs(), exhibits), forms)
    inputs = (*sources.inputs(), exhibits, *given, *borrowed, drawn.folder / f"{drawn.name}.stage.json")
    config = {**asdict(facts), "further": [[picture.name, picture.title, picture.sentence] for picture in further]}
    code = (Path(__file__), TEMPLATE, BLOCKS, STYLE, SCRIPT)
    stage = Stage("report", paths.results, (REPORT_FILE,), inputs, config, code, ("jinja2", "polars"))

    def build(folder: Path) -> Mapping[str, Any]:
        page = render_page(sections, paths.results / PICTURES_FOLDER, TITLE, _subtitle(sources, facts))
        (folder / REPORT_FILE).write_text(page, encoding="utf-8")
        return {"sections": len(sections), "pictures": drawn.counts["pictures"], "bytes": len(page.encode())}

    return run_stage(stage, build)


def _draw(results: Path, pictures: Sequence[Picture], inputs: tuple[Path, ...], forms: Sequence[Form]) -> StageResult:
    names = picture_files([picture.name for picture in pictures], forms)
    outputs = tuple(f"{PICTURES_FOLDER}/{name}" for name in names)
    packages = ("matplotlib", "polars")
    stage = Stage("report_pictures", results, outputs, inputs, {}, (Path(__file__),), packages, removes_old=True)

    def build(folder: Path) -> Mapping[str, Any]:
        (folder / PICTURES_FOLDER).mkdir()
        draws = {picture.name: picture.draw for picture in pictures if picture.draw is not None}
        write_pictures(folder / PICTURES_FOLDER, draws, forms)
        return {"pictures": len(pictures)}

    return run_stage(stage, build)


def _sections(sources: Sources, facts: RunFacts, exhibits: Path, further: Sequence[Picture]) -> list[Section]:
    sections = [
        summary_section(sources, facts),
        run_section(sources, facts),
        quality_section(sources),
        ranking_section(sources),
        cost_section(sources),
        genres_section(sources),
        lengths_section(sources),
        answers_section(sources),
        movies_section(sources, read_parquet(exhibits)),
        labels_section(sources),
        features_section(sources, further),
        training_section(sources),
    ]
    return [section for section in sections if section is not None]


def _subtitle(sources: Sources, facts: RunFacts) -> str:
    name = shorten_paths(facts.name) if facts.name else counted(len(sources.models), "model")
    return (
        f"Report of {name}: {counted(sources.best.predictions.height, 'test movie')}, "
        f"{counted(len(sources.best.scores.genres), 'genre')}."
    )
