"""Labels that the models doubt. Owns the section's table and wording; doubts nothing itself."""

from typing import Any, Final

import polars as pl

from tasks.hashes import hash_file
from tasks.paths import DataPaths
from tasks.report.page.blocks import Cell, Column, Section, Table, Words
from tasks.report.page.sources import LABEL_AUDIT_EFFECT_FILE, Sources, optional_table, read_json
from tasks.report.page.wording import counted, figure, listed, percent

SHOWN: Final = 20
_HEADS: Final = {
    "movie_name": "Movie",
    "given_genres": "Genres in the listings",
    "doubted": "In doubt",
    "quality": "Quality",
    "reason": "Why",
}


def labels_section(sources: Sources) -> Section | None:
    """Show the movies whose labels are most in doubt, or None where no audit was made."""
    audit = sources.audit
    if audit is None:
        return None
    blocks: list[Any] = [Words(say_audit(audit))]
    columns = [name for name in _HEADS if name in audit.columns]
    if audit.height:
        heads = [Column(_HEADS[name], is_number=name == "quality") for name in columns]
        rows = [[_cell(row[name]) for name in columns] for row in audit.head(SHOWN).iter_rows(named=True)]
        caption = "Labels most in doubt" if audit.height <= SHOWN else f"The {SHOWN} labels most in doubt"
        blocks.append(Table("doubted", caption, heads, rows, is_sortable=True))
    effect = optional_table(sources.paths.results / LABEL_AUDIT_EFFECT_FILE)
    if effect is not None and _is_of_these_movies(sources.paths):
        blocks.append(_effect_table(effect))
    return Section("labels", "Labels in doubt", blocks)


def say_audit(audit: pl.DataFrame) -> str:
    """Say how many labels are doubted, and of which genre most."""
    if audit.is_empty():
        return "The label audit doubts no movie."
    genres = audit["doubted"].str.split("; ").explode().str.extract(r"^(?:lacks|is not) (.+)$").drop_nulls()
    counts = genres.value_counts().sort("count", "doubted", descending=[True, False])
    top = counts.row(0) if counts.height else None
    most = (
        f", most often about {top[0]} ({percent(top[1] / audit.height)} of them)" if top and counts.height > 1 else ""
    )
    movies = audit["movie_id"].n_unique()
    by = listed(audit["scores_from"].drop_nulls().unique().sort().to_list()) if "scores_from" in audit.columns else ""
    return (
        f"The scores{f' of {by}' if by else ''} contradict the listings for {counted(movies, 'movie')}{most}. "
        "A doubt is a hint: look before anything is changed."
    )


def _is_of_these_movies(paths: DataPaths) -> bool:
    """Whether the effect of dropping doubted movies was measured, and on the movies that the page is about."""
    measured = read_json(paths.results / "label_audit_effect.stage.json").get("counts", {}).get("splits")
    return measured is not None and paths.splits.is_file() and measured == hash_file(paths.splits)


def _effect_table(effect: pl.DataFrame) -> Table:
    heads = [Column(name.replace("_", " "), effect[name].dtype.is_numeric()) for name in effect.columns]
    rows = [[_cell(value) for value in row] for row in effect.iter_rows()]
    return Table("audit-effect", "What leaving out the doubted movies changes", heads, rows)


def _cell(value: Any) -> Cell:
    if value is None:
        return Cell("\N{EN DASH}")
    return (
        Cell(figure(value), value)
        if isinstance(value, float)
        else Cell(str(value), value if isinstance(value, int) else None)
    )
