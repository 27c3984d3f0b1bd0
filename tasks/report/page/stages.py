"""The stages of the page and of its pictures. Owns their files and inputs, and the order of its sections."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

from tasks.core.figures import SVG_ONLY, Form, picture_files, write_pictures
from tasks.core.settings import DataPaths
from tasks.report.exhibits import EXHIBITS_FILE
from tasks.report.feature_figures import FIELD_BARS, MEASURES, WORD_BARS, WORD_CLOUDS, picture_name
from tasks.report.page.genres import features_section, genres_section, labels_section, summary_section
from tasks.report.page.models import cost_section, ranking_section, run_section, shorten_paths, training_section
from tasks.report.page.movies import answers_section, lengths_section, movies_section, quality_section
from tasks.report.page.sources import RunFacts, Sources, counted, read_parquet, read_sources
from tasks.report.page.writer import BLOCKS, SCRIPT, STYLE, TEMPLATE, Picture, Section, pictures_of, render_page
from tasks.stage import Stage, StageResult, run_stage

TREE: Final = "tree"
TITLES: Final = {
    WORD_BARS: "Words for and against each genre, by {model}",
    FIELD_BARS: "Fields for and against each genre, by {model}",
    WORD_CLOUDS: "Words for each genre, by {model}",
    TREE: "The first questions of {model}",
    picture_name("importance_overlap"): "How many of their strongest features genres share",
    picture_name("importance_cosine"): "How alike genres are to the model",
    picture_name("tfidf_cosine"): "How alike the genres' descriptions are",
    picture_name("tfidf_excess_cosine"): "How alike they are in what sets them off from all movies",
}


def pictures_of_features(results: Sequence[StageResult]) -> tuple[Picture, ...]:
    """Return the pictures of `importances`, `similarity` and the models' trees, each with its sentence."""
    return tuple(
        Picture(
            name=name if name != TREE else f"{TREE}_{result.folder.name}",
            title=TITLES[name].format(model=result.folder.name),
            sentence=sentence,
            file=result.folder / f"{name}.svg",
            is_wide=True,
        )
        for result in results
        for name, sentence in _findings(result).items()
    )


def _findings(result: StageResult) -> dict[str, str]:
    """Return by picture what a stage says of it."""
    counts = result.counts
    if "findings" in counts:
        return dict(counts["findings"])
    if "finding" in counts:
        return {TREE: counts["finding"]}
    return {picture_name(measure): counts[measure] for measure in MEASURES}


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
