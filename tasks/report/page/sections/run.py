"""What ran on what. Owns the section's facts and their wording."""

from collections.abc import Mapping
from typing import Any, Final

from tasks.report.page.blocks import Cell, Column, Section, Table, Words
from tasks.report.page.sources import RunFacts, Sources, read_json, sidecars
from tasks.report.page.wording import counted

_HIDDEN: Final = "genreflow.data_dir"  # a folder of the machine, which says nothing to readers elsewhere


def run_section(sources: Sources, facts: RunFacts) -> Section:
    """Say which run this is, of which data, code and versions, and how it was configured."""
    split = read_json(sources.paths.splits.parent / "split.stage.json")
    blocks: list[Any] = [Words(_say_parts(sources, split.get("counts", {})))]
    rows = [(name, value) for name, value in _facts(sources, facts, split).items() if value]
    blocks.append(_pairs("run-facts", "The run at a glance", ("What", "Value"), dict(rows)))
    versions = _versions(sources)
    if versions:
        blocks.append(_pairs("versions", "Versions of packages", ("Package", "Version"), versions, is_folded=True))
    if facts.params:
        params = {name: shorten_paths(value) for name, value in facts.params.items()}
        blocks.append(_pairs("config", "The whole configuration", ("Option", "Value"), params, is_folded=True))
    return Section("run", "What ran on what", blocks)


def shorten_paths(text: str) -> str:
    """Leave the last two parts of absolute paths in a text: where else they lie says nothing to readers.

    >>> shorten_paths("pipeline /home/me/data/raw 2026")
    'pipeline …/data/raw 2026'
    """
    words = text.split(" ")
    return " ".join(
        f"…/{'/'.join(word.split('/')[-2:])}" if word.startswith("/") and word.count("/") > 2 else word
        for word in words
    )


def say_duration(duration_s: float) -> str:
    """Write a time in the units that people use.

    >>> say_duration(42.4), say_duration(300), say_duration(7500)
    ('42 s', '5 min', '2 h 5 min')
    """
    if duration_s < 120:
        return f"{duration_s:.0f} s"
    hours, minutes = divmod(round(duration_s / 60), 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min"


def _say_parts(sources: Sources, parts: Mapping[str, Any]) -> str:
    models, test = len(sources.models), sources.best.predictions.height
    if {"train", "validation"} <= parts.keys():
        return (
            f"{counted(models, 'model')} learned from {counted(parts['train'], 'movie')}; "
            f"{counted(parts['validation'], 'other')} chose the decision rules and the order of models; the figures "
            f"are of {counted(test, 'further movie')}, which had no part in any choice."
        )
    were = "was" if models == 1 else "were"
    return f"{counted(models, 'model')} {were} tested on {counted(test, 'movie')} that had no part in any choice."


def _facts(sources: Sources, facts: RunFacts, split: Mapping[str, Any]) -> dict[str, str]:
    tag = {name.removeprefix("genreflow."): value for name, value in facts.tags.items() if name != _HIDDEN}
    counts = split.get("counts", {})
    parts = [f"{counts[part]:,} {part}" for part in ("train", "validation", "test") if part in counts]
    return {
        "Run": shorten_paths(facts.name),
        "MLflow run": facts.run_id,
        "Source of the listings": shorten_paths(facts.params.get("source", "")),
        "Preset": facts.params.get("preset", ""),
        "Seed": facts.params.get("seed", ""),
        "Movies": ", ".join(parts),
        "Genres": f"{len(sources.best.scores.genres)}",
        "Models": f"{len(sources.models)}",
        "Time until the report": "" if facts.duration_s is None else say_duration(facts.duration_s),
        "Code revision": tag.get("git_revision", ""),
        "Hash of the data": tag.get("data_hash", ""),
    }


def _versions(sources: Sources) -> dict[str, str]:
    files = [*sidecars(sources.paths), *(model.folder / "train.stage.json" for model in sources.models)]
    found: dict[str, str] = {}
    for path in files:
        found |= {name: str(version) for name, version in read_json(path).get("versions", {}).items()}
    return dict(sorted(found.items()))


def _pairs(
    name: str, caption: str, titles: tuple[str, str], pairs: Mapping[str, str], *, is_folded: bool = False
) -> Table:
    rows = [(Cell(key), Cell(value)) for key, value in pairs.items()]
    return Table(name, caption, [Column(title) for title in titles], rows, is_folded=is_folded)
