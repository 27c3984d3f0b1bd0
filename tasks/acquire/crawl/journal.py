"""Plots: those that the listings lack, the answers of sources in the crawl's journal, and the export.

The journal is an SQLite file. Rows that `record` has returned for survive a crash: write-ahead log, full
synchronisation, one transaction per batch. One process writes, from any of its threads; others may read at the same
time. Times are in seconds since 1970. An id's plot is the first whole one in the order of the sources; the longest
truncated one is used if the listings have nothing, and left out if they have a truncated one themselves.
"""

import contextlib
import csv
import hashlib
import html
import logging
import re
import sqlite3
import threading
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from operator import attrgetter
from pathlib import Path
from typing import Final, Literal, NamedTuple

import polars as pl
from filelock import FileLock, Timeout

from tasks.acquire.config import CrawlConfig
from tasks.core.errors import BusyError, DataError, SourceError
from tasks.core.files import hash_file
from tasks.core.schema import NOTHING, TRUNCATED, WHOLE, MovieId, worth_of
from tasks.core.settings import DataPaths
from tasks.stage import Stage, StageResult, remove_unfinished, run_stage

logger = logging.getLogger(__name__)

STAGE: Final = "crawl"
ID: Final = r"^tt[0-9]{7,10}$"
State = Literal["ok", "truncated", "no_plot", "not_found", "bad_payload", "failed"]
NEGATIVE: Final = ("truncated", "no_plot", "not_found", "bad_payload")  # settled for some time; `ok` for good
MAX_CHARS: Final = 30_000  # more than any plot; four times as many bytes still fit a CSV field
MAX_DETAIL_CHARS: Final = 200
SECONDS_A_DAY: Final = 86_400
VERSION: Final = 1
_DISK_ERRORS: Final = ("SQLITE_FULL", "SQLITE_READONLY", "SQLITE_CANTOPEN", "SQLITE_IOERR", "SQLITE_PERM")
_WORTHS: Final = pl.Enum((NOTHING, TRUNCATED, WHOLE))  # in ascending order
# Controls except tab, line feed and next line; and surrogates, which have no UTF-8.
_UNFIT: Final = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x84\x86-\x9f\ud800-\udfff]")
_TABLES: Final = Path(__file__).with_name("journal.sql")


@dataclass(frozen=True)
class MissingPlots:
    """The ids to request, those without any text first, then by id; and counts of all ids by what they have."""

    ids: tuple[MovieId, ...]
    truncated: frozenset[MovieId]  # those with a part of a description
    counts: dict[str, int]  # rows, malformed_ids (rows left out), ids, and of these whole, truncated and nothing


def find_missing(folder: Path) -> MissingPlots:
    """Return the ids in a folder of listings that have no whole description in any row of any file."""
    files = sorted(path for path in folder.glob("*.csv") if path.is_file())
    if not files:
        raise SourceError(f"{folder} holds no listing (*.csv): run the acquire stage first")
    rows = pl.concat([read_descriptions(path) for path in files])
    named = rows.filter(pl.col("movie_id").str.contains(ID))
    worth = worth_of(pl.col("description")).cast(_WORTHS)
    movies = named.group_by("movie_id").agg(worth.max().alias("worth")).sort("worth", "movie_id")
    ids = {name: movies.filter(pl.col("worth") == name)["movie_id"] for name in (WHOLE, TRUNCATED, NOTHING)}
    counts = {"rows": rows.height, "malformed_ids": rows.height - named.height, "ids": movies.height}
    counts |= {name: len(found) for name, found in ids.items()}
    return MissingPlots((*ids[NOTHING], *ids[TRUNCATED]), frozenset(ids[TRUNCATED]), counts)


def read_descriptions(path: Path, wanted: Sequence[str] | None = None) -> pl.DataFrame:
    """Return `movie_id` and `description` of a CSV, for all ids or only the wanted ones, in the order of the file."""
    try:  # bytes that are not UTF-8 are replaced, and extra fields ignored
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


@dataclass(frozen=True)
class Answer:
    """A source's answer for an id."""

    state: State
    description: str | None = None  # with ok and truncated
    detail: str = ""  # why, for people

    def __post_init__(self) -> None:
        object.__setattr__(self, "detail", make_fit(self.detail)[:MAX_DETAIL_CHARS])


def make_fit(text: str) -> str:
    r"""Return a text that every file can hold: line ends as `\n`, no controls, no lone surrogates, no outer spaces."""
    return _UNFIT.sub("", text.replace("\r\n", "\n").replace("\r", "\n")).strip()


def judge_plots(plots: Mapping[MovieId, Iterable[str]], asked: Collection[MovieId]) -> dict[MovieId, Answer]:
    """Return one answer for each requested id: the first whole text of the source, else the longest truncated one.

    An id that the source does not mention is `not_found`; one without a usable text has `no_plot`.
    """
    texts = [(movie_id, make_fit(text)) for movie_id in asked for text in plots.get(movie_id, ())]
    readable = pl.DataFrame({"text": [html.unescape(text) for _, text in texts]}, schema={"text": pl.String})
    worths = readable.select(worth_of(pl.col("text"))).to_series()
    answers = {movie_id: Answer("no_plot" if movie_id in plots else "not_found") for movie_id in asked}
    for (movie_id, text), worth in zip(texts, worths, strict=True):
        best = answers[movie_id]
        if worth == NOTHING or best.state == "ok":
            continue
        if len(text) > MAX_CHARS:
            if best.description is None:
                answers[movie_id] = Answer("bad_payload", detail=f"a text of more than {MAX_CHARS:,} characters")
        elif worth == WHOLE:
            answers[movie_id] = Answer("ok", text)
        elif best.description is None or len(text) > len(best.description):
            answers[movie_id] = Answer("truncated", text)
    return answers


class Plot(NamedTuple):
    """A text in the journal."""

    movie_id: MovieId
    source: str
    state: State
    description: str


class Journal:
    """The answers so far. Made by `open_journal` or `read_journal`."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._db = connection
        self._transaction = threading.Lock()  # threads share the connection, but not a transaction

    def _write(self, statement: str, *rows: Sequence[object]) -> None:
        with self._transaction, self._db:
            self._db.executemany(statement, rows)

    def record(self, source: str, answers: Mapping[MovieId, Answer], now: float) -> None:
        """Store the answers of one batch, all or none; they replace the source's earlier ones."""
        rows = ((name, source, given.state, given.description, given.detail, now) for name, given in answers.items())
        self._write("INSERT OR REPLACE INTO answers VALUES (?, ?, ?, ?, ?, ?)", *rows)

    def states(self, source: str, now: float, negative_days: float) -> dict[MovieId, State]:
        """Return the source's answers; negative ones count for `negative_days`."""
        counts = "state IN ('ok', 'failed') OR answered_at > ?"
        query = f"SELECT movie_id, state FROM answers WHERE source = ? AND ({counts})"  # noqa: S608 - no input
        return dict(self._db.execute(query, (source, now - negative_days * SECONDS_A_DAY)))

    def plots(self, sources: Sequence[str]) -> Iterator[list[Plot]]:
        """Yield the whole and truncated texts of each id, sorted by id, each list in the order of the sources."""
        marks = ", ".join("?" * len(sources))
        query = (
            f"SELECT movie_id, source, state, description FROM answers WHERE source IN ({marks}) "  # noqa: S608
            "AND state IN ('ok', 'truncated') ORDER BY movie_id"
        )
        rows = (Plot(*row) for row in self._db.execute(query, tuple(sources)))
        for _, plots in groupby(rows, key=attrgetter("movie_id")):
            yield sorted(plots, key=lambda plot: sources.index(plot.source))

    def count_request(self, source: str, now: float) -> None:
        """Count a request that is about to be sent, so that a crash cannot forget it."""
        new = "INSERT INTO requests VALUES (?, date(?, 'unixepoch'), 1)"
        self._write(f"{new} ON CONFLICT DO UPDATE SET sent = sent + 1", (source, now))

    def requests_today(self, source: str, now: float) -> int:
        """Return how many requests went to the source this day, UTC."""
        query = "SELECT sent FROM requests WHERE source = ? AND day = date(?, 'unixepoch')"
        return sum(sent for (sent,) in self._db.execute(query, (source, now)))

    def pause(self, source: str, until: float, reason: str) -> None:
        """Do not use the source until then."""
        self._write("INSERT OR REPLACE INTO pauses VALUES (?, ?, ?)", (source, until, reason))

    def pause_of(self, source: str, now: float) -> tuple[float, str]:
        """Return how many seconds a source is not used, and why; 0 if it may be."""
        found = self._db.execute("SELECT until, reason FROM pauses WHERE source = ? AND until > ?", (source, now))
        return next(((until - now, reason) for until, reason in found), (0.0, ""))

    def note_export(self, sha256: str) -> None:
        """Record the hash of an export before it gets its final name, to recognise it as ours."""
        self._write("INSERT OR IGNORE INTO exports VALUES (?)", (sha256,))

    def is_export(self, sha256: str) -> bool:
        """Return whether a file with this hash was exported from here."""
        return self._db.execute("SELECT 1 FROM exports WHERE sha256 = ?", (sha256,)).fetchone() is not None


@contextlib.contextmanager
def open_journal(path: Path) -> Iterator[Journal]:
    """Open the journal for writing, create it if needed, and lock out other crawls until it is closed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(path.with_name(f"{path.name}.lock"), timeout=0), _connection(path, path.resolve().as_uri()) as db:
            db.execute("PRAGMA journal_mode = WAL")
            db.execute("PRAGMA synchronous = FULL")
            db.executescript(f"{_TABLES.read_text(encoding='utf-8')} PRAGMA user_version = {VERSION};")
            yield Journal(db)
    except Timeout as error:
        raise BusyError(f"another crawl is writing to {path}; wait for it or stop it, then try again") from error


@contextlib.contextmanager
def read_journal(path: Path) -> Iterator[Journal]:
    """Open the journal for reading, also while a crawl runs; a missing one reads as empty and is not created."""
    is_there = path.is_file()
    with _connection(path, f"{path.resolve().as_uri()}?mode=ro" if is_there else "file::memory:") as db:
        if not is_there:
            db.executescript(_TABLES.read_text(encoding="utf-8"))
        yield Journal(db)


@contextlib.contextmanager
def _connection(path: Path, address: str) -> Iterator[sqlite3.Connection]:
    try:
        with contextlib.closing(sqlite3.connect(address, uri=True, check_same_thread=False)) as db:
            found = int(db.execute("PRAGMA user_version").fetchone()[0])
            if found not in (0, VERSION):
                remedy = "move it away, or use the genreflow that wrote it"
                raise DataError(f"{path} has version {found}, not {VERSION}: {remedy}")
            yield db
    except sqlite3.Error as error:
        if getattr(error, "sqlite_errorname", "").startswith(_DISK_ERRORS):
            raise DataError(
                f"{path} cannot be used ({error}): free disk space or fix the permissions, then start the crawl "
                "again. All answers so far are kept."
            ) from error
        raise DataError(
            f"{path} is damaged ({error}): move it away, and the crawl starts again, with the plots exported so far as "
            "the source `published`."
        ) from error


def export_plots(paths: DataPaths, config: CrawlConfig, journal: Journal, missing: MissingPlots) -> StageResult:
    """Write the plots of missing ids to `paths.crawl_csv`, and their sources to `crawl_sources_csv`, sorted by id.

    Counts: `plots`, `plots/<source>`, and `plots/truncated` (included in the others).
    """
    digest = hashlib.sha256()
    for plot in _best_plots(config, journal, missing):
        digest.update(repr(plot).encode())
    outputs = (paths.crawl_csv.name, paths.crawl_sources_csv.name)
    settings = {"sources": list(config.sources), "plots": digest.hexdigest()}
    stage = Stage(STAGE, paths.crawl_csv.parent, outputs, (), settings, (Path(__file__),))

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
    """Move a `crawl_data.csv` of another program to where `published` reads, before the export overwrites it."""
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
    wanted = frozenset(missing.ids)
    for plots in journal.plots(config.sources):
        movie_id = plots[0].movie_id
        if movie_id not in wanted:
            continue
        if whole := [plot for plot in plots if plot.state == "ok"]:
            yield whole[0]
        elif movie_id not in missing.truncated:
            yield max(plots, key=lambda plot: len(plot.description))
