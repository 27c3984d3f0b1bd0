"""The plots that the listings lack, and the export: `crawl_data.csv` and `crawl_sources.csv` from the journal.

An id's plot is the first whole one in the order of the sources. The longest truncated one is used if the listings have
nothing, and left out if they have a truncated one themselves.
"""

import csv
import hashlib
import logging
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import polars as pl

from tasks.acquire.config import CrawlConfig
from tasks.acquire.crawl.journal import Journal, Plot, read_journal
from tasks.core.errors import DataError, SourceError
from tasks.core.files import hash_file
from tasks.core.schema import NOTHING, TRUNCATED, WHOLE, MovieId, worth_of
from tasks.core.settings import DataPaths
from tasks.stage import Stage, StageResult, remove_unfinished, run_stage

logger = logging.getLogger(__name__)

STAGE: Final = "crawl"
ID: Final = r"^tt[0-9]{7,10}$"
_WORTHS: Final = pl.Enum((NOTHING, TRUNCATED, WHOLE))  # in ascending order


@dataclass(frozen=True)
class MissingPlots:
    """The ids to request, those without any text first, then by id; and counts of all ids by what they have."""

    ids: tuple[MovieId, ...]
    truncated: frozenset[MovieId]  # those with a part of a description
    counts: dict[str, int]


def find_missing(folder: Path) -> MissingPlots:
    """Return the ids in a folder of listings that have no whole description in any row of any file.

    Counts: `rows`, `malformed_ids` (rows left out), `ids`, and of these `whole`, `truncated` and `nothing`.

    Raises:
        SourceError: there is no listing, or one cannot be read.
    """
    files = sorted(path for path in folder.glob("*.csv") if path.is_file())
    if not files:
        raise SourceError(f"{folder} holds no listing (*.csv): run the acquire stage first")
    rows = pl.concat([read_descriptions(path) for path in files])
    named = rows.filter(pl.col("movie_id").str.contains(ID))
    worth = worth_of(pl.col("description")).cast(_WORTHS)
    movies = named.group_by("movie_id").agg(worth.max().alias("worth")).sort("worth", "movie_id")
    counts = {"rows": rows.height, "malformed_ids": rows.height - named.height, "ids": movies.height}
    counts |= {name: movies.filter(pl.col("worth") == name).height for name in (WHOLE, TRUNCATED, NOTHING)}
    missing = movies.filter(pl.col("worth") != WHOLE)
    return MissingPlots(
        ids=tuple(MovieId(movie_id) for movie_id in missing["movie_id"]),
        truncated=frozenset(missing.filter(pl.col("worth") == TRUNCATED)["movie_id"]),
        counts=counts,
    )


def read_descriptions(path: Path, wanted: Sequence[str] | None = None) -> pl.DataFrame:
    """Return `movie_id` and `description` of a CSV, for all ids or only the wanted ones, in the order of the file.

    Bytes that are not UTF-8 are replaced, and extra fields ignored.

    Raises:
        SourceError: the file cannot be read, or lacks one of the two columns.
    """
    try:
        rows = pl.read_csv(path, infer_schema=False, truncate_ragged_lines=True, encoding="utf8-lossy")
    except (OSError, pl.exceptions.PolarsError) as error:
        raise SourceError(f"{path} is not a readable CSV ({str(error).partition(chr(10))[0]}): get it again") from error
    columns = {name.strip().removeprefix("\ufeff"): name for name in rows.columns}
    if not columns.keys() >= {"movie_id", "description"}:
        raise SourceError(f"{path}: expected columns movie_id and description, found {', '.join(rows.columns[:20])}")
    pairs = rows.select(
        pl.col(columns["movie_id"]).fill_null("").str.strip_chars().alias("movie_id"),
        pl.col(columns["description"]).alias("description"),
    )
    return pairs if wanted is None else pairs.filter(pl.col("movie_id").is_in(wanted))


def export_plots(paths: DataPaths, config: CrawlConfig, journal: Journal, missing: MissingPlots) -> StageResult:
    """Write the plots of missing ids to `paths.crawl_csv`, and their sources to `crawl_sources_csv`, sorted by id.

    Counts: `plots`, `plots/<source>`, and `plots/truncated` (included in the others).
    """
    digest = hashlib.sha256()
    for plot in _best_plots(config, journal, missing):
        digest.update(repr(plot).encode())
    stage = Stage(
        name=STAGE,
        folder=paths.crawl_csv.parent,
        outputs=(paths.crawl_csv.name, paths.crawl_sources_csv.name),
        inputs=(),
        config={"sources": list(config.sources), "plots": digest.hexdigest()},
        code=(Path(__file__),),
    )

    def build(folder: Path) -> Mapping[str, int]:
        counts: Counter[str] = Counter({"plots": 0})
        texts_csv, origins_csv = (folder / name for name in stage.outputs)
        with (
            texts_csv.open("w", encoding="utf-8", newline="") as texts,
            origins_csv.open("w", encoding="utf-8", newline="") as origins,
        ):
            write_text, write_origin = (csv.writer(file, lineterminator="\n").writerow for file in (texts, origins))
            write_text(("movie_id", "description"))
            write_origin(("movie_id", "source", "is_truncated"))
            for plot in _best_plots(config, journal, missing):
                is_truncated = plot.state == "truncated"
                write_text((plot.movie_id, plot.description))
                write_origin((plot.movie_id, plot.source, str(is_truncated).lower()))
                counts.update({"plots": 1, f"plots/{plot.source}": 1, "plots/truncated": is_truncated})
        journal.note_export(hash_file(texts_csv))
        return counts

    remove_unfinished(stage.folder)  # also where the stage is skipped
    return run_stage(stage, build)


def adopt_foreign_plots(paths: DataPaths) -> None:
    """Move a `crawl_data.csv` of another program to where `published` reads, before the export overwrites it.

    Raises:
        DataError: another file is there already.
    """
    if not is_foreign(paths):
        return
    target = paths.published_crawl_csv
    if target.is_file() and hash_file(target) != hash_file(paths.crawl_csv):
        raise DataError(
            f"{paths.crawl_csv} was not written by this crawl and would be overwritten, and {target} is a different "
            "file: keep the one you want under the second name, and move the other away"
        )
    target.parent.mkdir(parents=True, exist_ok=True)
    paths.crawl_csv.replace(target)
    logger.info("crawl: %s is an earlier crawl; it is now %s", paths.crawl_csv, target)


def is_foreign(paths: DataPaths) -> bool:
    """Return whether there is a `crawl_data.csv` that is not from a crawl here."""
    if not paths.crawl_csv.is_file():
        return False
    with read_journal(paths.crawl_journal) as journal:
        return not journal.is_export(hash_file(paths.crawl_csv))


def _best_plots(config: CrawlConfig, journal: Journal, missing: MissingPlots) -> Iterator[Plot]:
    """Yield at most one plot for each missing id, sorted by id."""
    wanted = frozenset(missing.ids)
    for plots in journal.plots(config.sources):
        movie_id = plots[0].movie_id
        if movie_id not in wanted:
            continue
        if whole := [plot for plot in plots if plot.state == "ok"]:
            yield whole[0]
        elif movie_id not in missing.truncated:
            yield max(plots, key=lambda plot: len(plot.description))
