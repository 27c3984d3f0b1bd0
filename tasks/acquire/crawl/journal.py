"""The crawl's memory, an SQLite file: each source's answer for each id, requests by day, and pauses.

Rows that `record` has returned for survive a crash: write-ahead log, full synchronisation, one transaction per batch.
One process writes, from any of its threads; others may read at the same time. Times are the caller's, in seconds since
1970. Texts are judged by the same patterns as in cleaning.
"""

import contextlib
import html
import re
import sqlite3
import threading
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import groupby
from operator import attrgetter
from pathlib import Path
from typing import Final, Literal, NamedTuple

import polars as pl
from filelock import FileLock, Timeout

from tasks.core.errors import CrawlBusyError, DataError
from tasks.core.schema import NOTHING, TRUNCATED, WHOLE, MovieId, worth_of

State = Literal["ok", "truncated", "no_plot", "not_found", "bad_payload", "failed"]
NEGATIVE: Final = ("truncated", "no_plot", "not_found", "bad_payload")  # settled for some time; `ok` for good
MAX_CHARS: Final = 30_000  # more than any plot; four times as many bytes still fit a CSV field
MAX_DETAIL_CHARS: Final = 200
# Controls except tab, line feed and next line; and surrogates, which have no UTF-8.
_UNFIT: Final = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x84\x86-\x9f\ud800-\udfff]")


@dataclass(frozen=True)
class Answer:
    """A source's answer for an id."""

    state: State
    description: str | None = None  # with ok and truncated
    detail: str = ""  # why, for people

    def __post_init__(self) -> None:
        object.__setattr__(self, "detail", make_fit(self.detail)[:MAX_DETAIL_CHARS])


def make_fit(text: str) -> str:
    r"""Return a text that every file can hold: line ends as `\n`, no controls, no lone surrogates, no outer spaces.

    >>> make_fit("one\r\ntwo\x00\ud83d ")
    'one\ntwo'
    """
    return _UNFIT.sub("", text.replace("\r\n", "\n").replace("\r", "\n")).strip()


def judge_plots(plots: Mapping[MovieId, Iterable[str]], asked: Collection[MovieId]) -> dict[MovieId, Answer]:
    """Return one answer for each requested id, from the source's texts, the best first.

    The first whole text is the plot; else the longest truncated one. An id that the source does not mention is
    `not_found`; one without a usable text has `no_plot`. Other ids are ignored.
    """
    texts = [(movie_id, make_fit(text)) for movie_id in asked for text in plots.get(movie_id, ())]
    readable = pl.DataFrame({"text": [html.unescape(text) for _, text in texts]}, schema={"text": pl.String})
    worths = readable.select(worth_of(pl.col("text"))).to_series()
    judged: dict[MovieId, list[tuple[str, str]]] = {movie_id: [] for movie_id in asked if movie_id in plots}
    for (movie_id, text), worth in zip(texts, worths, strict=True):
        judged[movie_id].append((text, worth))
    return {movie_id: _choose(judged[movie_id]) if movie_id in judged else Answer("not_found") for movie_id in asked}


def _choose(texts: Sequence[tuple[str, str]]) -> Answer:
    short = [(text, worth) for text, worth in texts if len(text) <= MAX_CHARS]
    if whole := [text for text, worth in short if worth == WHOLE]:
        return Answer("ok", whole[0])
    if truncated := [text for text, worth in short if worth == TRUNCATED]:
        return Answer("truncated", max(truncated, key=len))
    if any(worth != NOTHING for _, worth in texts):
        return Answer("bad_payload", detail=f"a text of more than {MAX_CHARS:,} characters")
    return Answer("no_plot")


VERSION: Final = 1
_DISK_ERRORS: Final = ("SQLITE_FULL", "SQLITE_READONLY", "SQLITE_CANTOPEN", "SQLITE_IOERR", "SQLITE_PERM")
SECONDS_A_DAY: Final = 86_400
_TABLES: Final = """
    CREATE TABLE IF NOT EXISTS answers (
        movie_id TEXT NOT NULL, source TEXT NOT NULL, state TEXT NOT NULL, description TEXT, detail TEXT NOT NULL,
        answered_at REAL NOT NULL, PRIMARY KEY (movie_id, source)
    ) WITHOUT ROWID;
    CREATE TABLE IF NOT EXISTS requests (
        source TEXT NOT NULL, day TEXT NOT NULL, sent INTEGER NOT NULL, PRIMARY KEY (source, day)
    ) WITHOUT ROWID;
    CREATE TABLE IF NOT EXISTS pauses (source TEXT PRIMARY KEY, until REAL NOT NULL, reason TEXT NOT NULL);
    CREATE TABLE IF NOT EXISTS exports (sha256 TEXT PRIMARY KEY);
"""


class Plot(NamedTuple):
    """A text in the journal."""

    movie_id: MovieId
    source: str
    state: State
    description: str


class Pause(NamedTuple):
    """Until when a source is not used, and why."""

    until: float
    reason: str


class Journal:
    """The answers so far. Made by `open_journal` or `read_journal`."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._db = connection
        self._transaction = threading.Lock()  # threads share the connection, but not a transaction

    def record(self, source: str, answers: Mapping[MovieId, Answer], now: float) -> None:
        """Store the answers of one batch, all or none; they replace the source's earlier ones."""
        rows = [
            (movie_id, source, answer.state, answer.description, answer.detail, now)
            for movie_id, answer in answers.items()
        ]
        with self._transaction, self._db:
            self._db.executemany("INSERT OR REPLACE INTO answers VALUES (?, ?, ?, ?, ?, ?)", rows)

    def states(self, source: str, now: float, negative_days: float) -> dict[MovieId, State]:
        """Return the source's answers; negative ones count for `negative_days`."""
        since = now - negative_days * SECONDS_A_DAY
        marks = ", ".join("?" * len(NEGATIVE))
        query = f"SELECT movie_id, state FROM answers WHERE source = ? AND (state NOT IN ({marks}) OR answered_at > ?)"  # noqa: S608 - only marks
        return dict(self._db.execute(query, (source, *NEGATIVE, since)))

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
        with self._transaction, self._db:
            self._db.execute(
                "INSERT INTO requests VALUES (?, ?, 1) ON CONFLICT DO UPDATE SET sent = sent + 1", (source, _day(now))
            )

    def requests_today(self, source: str, now: float) -> int:
        """Return how many requests went to the source this day, UTC."""
        row = self._db.execute("SELECT sent FROM requests WHERE source = ? AND day = ?", (source, _day(now))).fetchone()
        return int(row[0]) if row else 0

    def pause(self, source: str, until: float, reason: str) -> None:
        """Do not use the source until then."""
        with self._transaction, self._db:
            self._db.execute("INSERT OR REPLACE INTO pauses VALUES (?, ?, ?)", (source, until, reason))

    def pause_of(self, source: str, now: float) -> Pause | None:
        """Return the pause of a source, if it is not over."""
        row = self._db.execute("SELECT until, reason FROM pauses WHERE source = ? AND until > ?", (source, now))
        found = row.fetchone()
        return Pause(*found) if found else None

    def note_export(self, sha256: str) -> None:
        """Record the hash of an export before it gets its final name, to recognise it as ours."""
        with self._transaction, self._db:
            self._db.execute("INSERT OR IGNORE INTO exports VALUES (?)", (sha256,))

    def is_export(self, sha256: str) -> bool:
        """Return whether a file with this hash was exported from here."""
        return self._db.execute("SELECT 1 FROM exports WHERE sha256 = ?", (sha256,)).fetchone() is not None


@contextlib.contextmanager
def open_journal(path: Path) -> Iterator[Journal]:
    """Open the journal for writing, create it if needed, and lock out other crawls until it is closed.

    Raises:
        CrawlBusyError: another crawl has it open.
        DataError: it is damaged, or of another version.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(path.with_name(f"{path.name}.lock"), timeout=0)
    try:
        lock.acquire()
    except Timeout as error:
        raise CrawlBusyError(f"another crawl is writing to {path}; wait for it or stop it, then try again") from error
    with contextlib.ExitStack() as stack:
        stack.callback(lock.release)
        with _errors_explained(path):
            db = stack.enter_context(contextlib.closing(sqlite3.connect(path, check_same_thread=False)))
            db.execute("PRAGMA journal_mode = WAL")
            db.execute("PRAGMA synchronous = FULL")
            _check_version(path, db)
            db.executescript(f"{_TABLES}; PRAGMA user_version = {VERSION};")
            yield Journal(db)


@contextlib.contextmanager
def read_journal(path: Path) -> Iterator[Journal]:
    """Open the journal for reading, also while a crawl runs; a missing one reads as empty and is not created.

    Raises:
        DataError: it is damaged, or of another version.
    """
    address = f"file:{path.resolve().as_posix()}?mode=ro" if path.is_file() else "file::memory:"
    with _errors_explained(path), contextlib.closing(sqlite3.connect(address, uri=True)) as db:
        if path.is_file():
            _check_version(path, db)
        else:
            db.executescript(_TABLES)
        yield Journal(db)


@contextlib.contextmanager
def _errors_explained(path: Path) -> Iterator[None]:
    try:
        yield
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


def _check_version(path: Path, db: sqlite3.Connection) -> None:
    found = int(db.execute("PRAGMA user_version").fetchone()[0])
    if found not in (0, VERSION):
        raise DataError(f"{path} has version {found}, not {VERSION}: move it away, or use the genreflow that wrote it")


def _day(now: float) -> str:
    return datetime.fromtimestamp(now, UTC).date().isoformat()
