"""What became of the rows that were read. Owns the section's figures, sentences and picture."""

from collections.abc import Mapping
from functools import partial
from typing import Any, Final

from tasks.report.page.blocks import Cell, Column, Picture, Section, Table, Words
from tasks.report.page.pictures import draw_dropped
from tasks.report.page.sources import Sources, read_json
from tasks.report.page.wording import at_most, counted, percent

_DOINGS: Final = {"dropped": "dropped", "merged": "merged", "changed": "text changed", "unparsed": "field not readable"}

_WANTED: Final = {
    "year": "year from 1800 to 2199",
    "runtime_min": "time in minutes",
    "rating": "number from 0 to 10",
    "votes": "whole number",
}
_UNREADABLE: Final = "The field holds something that cannot be read; it counts as unknown."


def quality_section(sources: Sources) -> Section:
    """Tell what cleaning dropped, merged and changed, and what the later stages noticed."""
    cleaned = read_json(sources.paths.dropped)
    counts: dict[str, int] = {name: count for name, count in cleaned.get("counts", {}).items() if count}
    blocks: list[Any] = [Words(say_rows(counts))]
    dropped = {name.partition("/")[2]: count for name, count in counts.items() if name.startswith("dropped/")}
    if dropped:
        ordered = dict(sorted(dropped.items(), key=lambda item: (-item[1], item[0])))
        names = [name.replace("_", " ") for name in ordered]
        draw = partial(draw_dropped, names, list(ordered.values()))
        blocks.append(Picture("dropped", "Rows dropped, by reason", say_dropped(ordered), draw))
    reasons = {rule["name"]: rule["reason"] for rule in cleaned.get("rules", [])}
    if rows := _rows(counts, reasons):
        columns = [Column("Rule"), Column("Effect"), Column("Rows", is_number=True), Column("Why")]
        blocks.append(Table("cleaning", "What cleaning did", columns, rows, is_sortable=True))
    blocks.extend(
        Words(sentence) for sentence in (_say_annotation(sources), say_split(_split_counts(sources))) if sentence
    )
    return Section("quality", "Quality of the data", blocks)


def say_rows(counts: Mapping[str, int]) -> str:
    """Say how many of the rows are left, and how the others went."""
    read, kept = counts.get("rows_read"), counts.get("movies_kept")
    if not read or not kept:
        return "No counts of a cleaning are there: the movies came in already clean."
    merged = counts.get("merged/same_movie", 0)
    dropped = sum(count for name, count in counts.items() if name.startswith("dropped/"))
    further = "was a further listing" if merged == 1 else "were further listings"
    more = f"; {counted(merged, 'row')} {further} of a movie and merged into it" if merged else ""
    return (
        f"Of {counted(read, 'row')} read, {counted(kept, 'movie')} are left ({percent(kept / read)}): "
        f"{counted(dropped, 'row')} dropped{more}."
    )


def say_dropped(dropped: Mapping[str, int]) -> str:
    """Say which reason, of at least one, took most."""
    total = sum(dropped.values())
    reason, count = next(iter(dropped.items()))
    name = reason.replace("_", " ")
    if len(dropped) == 1:
        rows = "The only dropped row has" if total == 1 else f"All {total:,} dropped rows have"
        return f"{rows} one reason: “{name}”."
    return f"“{name}” accounts for {count:,} of {total:,} dropped rows ({percent(count / total)})."


def _rows(counts: Mapping[str, int], reasons: Mapping[str, str]) -> list[tuple[Cell, ...]]:
    rows: list[tuple[Cell, ...]] = []
    for name, count in sorted(counts.items(), key=lambda item: (item[0].partition("/")[0], -item[1], item[0])):
        doing, _, rule = name.partition("/")
        if doing in _DOINGS:
            why = say_reason(reasons.get(rule, _say_doing(doing, rule)))
            rows.append((Cell(rule.replace("_", " ")), Cell(_DOINGS[doing]), Cell(f"{count:,}", count), Cell(why)))
    return rows


def _say_doing(doing: str, what: str) -> str:
    """Say why rows count under what no rule of the cleaning did."""
    if doing == "merged":
        return "The same movie in several listings."
    if doing != "unparsed":
        return ""
    wanted = _WANTED.get(what)
    return f"The field holds something that is no {wanted}; it counts as unknown." if wanted else _UNREADABLE


def say_reason(reason: str) -> str:
    """Return a rule's reason without what only says where it departs from the earlier system.

    >>> say_reason("The genre is excluded. Mends: a name may hold another."), say_reason("Mends: runs are one space.")
    ('The genre is excluded.', 'Runs are one space.')
    """
    own, _, mended = reason.partition("Mends: ")
    return own.strip() or mended[:1].upper() + mended[1:]


def _say_annotation(sources: Sources) -> str:
    counts = read_json(sources.paths.conllu.parent / "annotate.stage.json").get("counts", {})
    if not {"documents", "tokens", "sentences", "empty_documents"} <= counts.keys():
        return ""
    empty = counts["empty_documents"]
    emptiness = f"{empty:,} {'is' if empty == 1 else 'are'} empty" if empty else "none is empty"
    return (
        f"The descriptions have {counts['tokens']:,} words and signs in {counted(counts['sentences'], 'sentence')}; "
        f"{emptiness}."
    )


def _split_counts(sources: Sources) -> dict[str, Any]:
    return dict(read_json(sources.paths.splits.parent / "split.stage.json").get("counts", {}))


def say_split(counts: Mapping[str, Any]) -> str:
    """Say how alike the parts are, never less than they differ; nothing where that was not counted."""
    groups = counts.get("text_groups", {})
    if "largest_share_difference" not in counts or "across_parts" not in groups:
        return ""
    across = groups["across_parts"]
    same = (
        f"{counted(across, 'group')} of movies with nearly the same text {'lies' if across == 1 else 'lie'} in more "
        "than one part, which flatters the test"
        if across
        else "no two movies with nearly the same text lie in different parts"
    )
    return (
        f"The parts are alike: no genre's share in one differs from its share in all by more than "
        f"{at_most(counts['largest_share_difference'], 2)} percentage points, and {same}."
    )
