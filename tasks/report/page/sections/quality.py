"""What became of the rows that were read. Owns the section's figures, sentences and picture."""

from collections.abc import Mapping
from functools import partial
from typing import Any, Final

from tasks.report.page.blocks import Cell, Column, Picture, Section, Table, Words
from tasks.report.page.pictures import draw_dropped
from tasks.report.page.sources import Sources, read_json
from tasks.report.page.wording import counted, percent

_DOINGS: Final = {"dropped": "dropped", "merged": "merged", "changed": "text changed", "unparsed": "field not readable"}


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
    blocks.extend(Words(sentence) for sentence in (_say_annotation(sources), _say_split(sources)) if sentence)
    return Section("quality", "Quality of the data", blocks)


def say_rows(counts: Mapping[str, int]) -> str:
    """Say how many of the rows are left, and how the others went."""
    read, kept = counts.get("rows_read"), counts.get("movies_kept")
    if not read or not kept:
        return "No counts of a cleaning are there: the movies came in already clean."
    merged = counts.get("merged/same_movie", 0)
    dropped = sum(count for name, count in counts.items() if name.startswith("dropped/"))
    more = f"; {merged:,} rows were further listings of a movie and merged into it" if merged else ""
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
        return f"All {total:,} dropped rows have one reason: “{name}”."
    return f"“{name}” accounts for {count:,} of {total:,} dropped rows ({percent(count / total)})."


def _rows(counts: Mapping[str, int], reasons: Mapping[str, str]) -> list[tuple[Cell, ...]]:
    rows: list[tuple[Cell, ...]] = []
    for name, count in sorted(counts.items(), key=lambda item: (item[0].partition("/")[0], -item[1], item[0])):
        doing, _, rule = name.partition("/")
        if doing in _DOINGS:
            why = say_reason(reasons.get(rule, "The same movie in several listings." if doing == "merged" else ""))
            rows.append((Cell(rule.replace("_", " ")), Cell(_DOINGS[doing]), Cell(f"{count:,}", count), Cell(why)))
    return rows


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
    return (
        f"The descriptions have {counts['tokens']:,} words and signs in {counted(counts['sentences'], 'sentence')}; "
        f"{f'{empty:,} are empty' if empty else 'none is empty'}."
    )


def _say_split(sources: Sources) -> str:
    counts = read_json(sources.paths.splits.parent / "split.stage.json").get("counts", {})
    groups = counts.get("text_groups", {})
    if "largest_share_difference" not in counts or "across_parts" not in groups:
        return ""
    across = groups["across_parts"]
    same = (
        f"{counted(across, 'group')} of movies with nearly the same text lie in more than one part, which flatters the "
        "test"
        if across
        else "no two movies with nearly the same text lie in different parts"
    )
    return (
        f"The parts are alike: no genre's share in one differs from its share in all by more than "
        f"{counts['largest_share_difference']:.2f} percentage points, and {same}."
    )
