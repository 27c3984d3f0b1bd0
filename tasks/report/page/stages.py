"""The stages of the report and of its pictures."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

from tasks.core.figures import SVG_ONLY, Form, picture_files, write_pictures
from tasks.core.page import INVENTED, PAGE_FILES, Page, Picture, Section, pictures_in, render_page
from tasks.core.settings import DataPaths
from tasks.report.exhibits import EXHIBITS_FILE
from tasks.report.feature_figures import FIELD_BARS, WORD_BARS, picture_name
from tasks.report.page.genres import features_section, genres_section, labels_section
from tasks.report.page.models import cost_section, ranking_section, training_section
from tasks.report.page.movies import movies_section, predictions_section
from tasks.report.page.sources import RunFacts, Sources, counted, read_sources, read_table
from tasks.report.page.summary import limits_section, quality_section, run_section, shorten_paths, summary_section
from tasks.stage import Stage, StageResult, run_stage

REPORT_FILE: Final = "report.html"
PICTURES_FOLDER: Final = "pictures"
TITLE: Final = "Movie genres from descriptions"
FOOTER: Final = "Written by genreflow from the files of the run. The pictures are also files in the folder pictures."
TREE: Final = "tree"
SIMILARITY: Final = "tfidf_excess_cosine"  # the measure that the page shows
TITLES: Final = {
    WORD_BARS: "Words that raise and lower each genre's score, according to {model}",
    FIELD_BARS: "Fields that raise and lower each genre's score, according to {model}",
    TREE: "The first splits of {model}",
    picture_name(SIMILARITY): "Similarity of genres by what sets their descriptions apart",
}
_BORROWED: Final = ("leaderboard.svg", "pareto.svg")  # pictures of other stages in the results folder


def feature_pictures(results: Sequence[StageResult]) -> tuple[Picture, ...]:
    """Return the pictures of feature importance, similarity and the models' trees that the report shows."""
    return tuple(
        Picture(
            name=f"{TREE}_{result.folder.name}" if name == TREE else name,
            title=TITLES[name].format(model=result.folder.name),
            sentence=sentence,
            file=result.folder / f"{name}.svg",
            is_wide=True,
            is_folded=True,
        )
        for result in results
        for name, sentence in _findings(result).items()
        if name in TITLES
    )


def _findings(result: StageResult) -> dict[str, str]:
    """Return each picture's sentence by the stage that drew it."""
    counts = result.counts
    if "findings" in counts:
        return dict(counts["findings"])
    return {TREE: counts["finding"]} if "finding" in counts else {picture_name(SIMILARITY): counts[SIMILARITY]}


def write_report(
    model_folders: Sequence[Path],
    paths: DataPaths,
    facts: RunFacts,
    features: Sequence[Picture] = (),
    forms: Sequence[Form] = SVG_ONLY,
) -> StageResult:
    """Write `report.html` and its pictures, `pictures/*`, to the results folder.

    The pictures are a separate stage: they are not drawn again if only the run's name and time are new. `features` are
    pictures of feature importance by other stages, with their `file`.

    Raises:
        DataError: leaderboard or exhibits are missing, or a stage's files cannot be read.
    """
    sources = read_sources(model_folders, paths)
    exhibits = paths.results / EXHIBITS_FILE
    files = [*(paths.results / name for name in _BORROWED), *(picture.file for picture in features if picture.file)]
    sections = _sections(sources, facts, exhibits, features)
    drawn = _draw(paths.results, pictures_in(sections), (*sources.inputs(), exhibits), forms)
    shown = [path for path in files if path.is_file()]
    inputs = (*sources.inputs(), exhibits, *shown, drawn.folder / f"{drawn.name}.stage.json")
    config = {
        **asdict(facts),
        "features": [[picture.name, picture.title, picture.sentence] for picture in features],
        "is_explored": (paths.explore / "index.html").is_file(),
    }
    stage = Stage(
        "report", paths.results, (REPORT_FILE,), inputs, config, (Path(__file__), *PAGE_FILES), ("jinja2", "polars")
    )

    def build(folder: Path) -> Mapping[str, Any]:
        banner = INVENTED if sources.invented else ""
        subtitle = _subtitle(sources, facts)
        page = render_page(Page(TITLE, subtitle, sections, paths.results / PICTURES_FOLDER, banner, FOOTER))
        (folder / REPORT_FILE).write_text(page, encoding="utf-8")
        return {"sections": len(sections), "pictures": drawn.counts["pictures"], "bytes": len(page.encode())}

    return run_stage(stage, build)


def _draw(results: Path, pictures: Sequence[Picture], inputs: tuple[Path, ...], forms: Sequence[Form]) -> StageResult:
    draws = {picture.name: picture.draw for picture in pictures if picture.draw is not None}
    outputs = tuple(f"{PICTURES_FOLDER}/{name}" for name in picture_files(list(draws), forms))
    packages = ("matplotlib", "polars")
    stage = Stage("report_pictures", results, outputs, inputs, {}, (Path(__file__),), packages, removes_old=True)

    def build(folder: Path) -> Mapping[str, Any]:
        (folder / PICTURES_FOLDER).mkdir()
        write_pictures(folder / PICTURES_FOLDER, draws, forms)
        return {"pictures": len(draws)}

    return run_stage(stage, build)


def _sections(sources: Sources, facts: RunFacts, exhibits: Path, features: Sequence[Picture]) -> list[Section]:
    sections = [
        summary_section(sources, facts),
        ranking_section(sources),
        cost_section(sources),
        genres_section(sources),
        movies_section(sources, read_table(exhibits)),
        features_section(sources, features),
        predictions_section(sources),
        labels_section(sources),
        training_section(sources),
        limits_section(sources, facts),
        quality_section(sources),
        run_section(sources, facts),
    ]
    return [section for section in sections if section is not None]


def _subtitle(sources: Sources, facts: RunFacts) -> str:
    name = shorten_paths(facts.name) if facts.name else counted(len(sources.models), "model")
    return (
        f"Report of {name}: {counted(sources.best.predictions.height, 'test movie')}, "
        f"{counted(len(sources.best.scores.genres), 'genre')}."
    )
