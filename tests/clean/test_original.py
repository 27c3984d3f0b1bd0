"""The profile `original` beside the fine print in plain, slow pandas, which shares nothing with the implementation."""

import csv
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import pandas as pd
import polars as pl
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tasks.clean.rules import Ledger
from tasks.core import schema

Cleaned = Callable[..., tuple[pl.DataFrame, Ledger]]

PLACEHOLDERS = (
    r"add a plot",
    r"\bunder wrap",
    r"plot.*unknown",
    r"plot.*undisclosed",
    r"in development",
    r"^no plot",
    r"\btba\b",
    r"^coming soon",
    r"^not available|(plot|outline|details|story).*not available",
    r"^not disclosed|(plot|outline|details|story).*not disclosed",
    r"(plot|story|synopsis).*unavailable",
)


class Movie(NamedTuple):
    movie_id: str
    movie_name: str
    genres: list[str]
    description: str


def clean_plainly(folder: Path, crawl: Path | None = None) -> list[Movie]:
    needed = ["movie_id", "movie_name", "genre", "description"]
    frames = [pd.read_csv(path, dtype=object, usecols=needed) for path in sorted(folder.glob("*.csv"))]
    excluded = re.compile("|".join(schema.EXCLUDED_GENRES), re.IGNORECASE)
    groups: dict[tuple[str, str], list[tuple[str, str]]] = {}
    for movie_id, name, genre, text in pd.concat(frames)[needed].dropna().itertuples(index=False):
        if not excluded.search(genre):
            groups.setdefault((movie_id, name), []).append((genre, text))
    texts = crawled_texts(crawl) if crawl else {}
    movies = [judge(*key, rows, texts.get(key[0])) for key, rows in sorted(groups.items())]
    by_text = first_of_each([movie for movie in movies if movie], lambda movie: movie.description)
    return first_of_each(by_text, lambda movie: movie.movie_id)


def crawled_texts(path: Path) -> dict[str, str]:
    texts: dict[str, str] = {}
    for movie_id, text in pd.read_csv(path, dtype=object)[["movie_id", "description"]].dropna().itertuples(index=False):
        texts.setdefault(movie_id, text)
    return texts


def judge(movie_id: str, name: str, rows: list[tuple[str, str]], crawled: str | None) -> Movie | None:
    genres = sorted({genre.strip() for text, _ in rows for genre in text.split(",")} - {""})
    others = [text for text in dict.fromkeys(text for _, text in rows) if text != "Add a Plot"]
    description = crawled or (max(others, key=len) if others else "Add a Plot")
    if not genres or any(re.search(pattern, description, re.IGNORECASE) for pattern in PLACEHOLDERS):
        return None
    description = re.sub(r"\.{3,}\s*See full (summary|synopsis)\s»\Z", "", description).strip()
    dash = description.find("—", description.rfind("\n") + 1)
    return Movie(movie_id, name, genres, (description[:dash] if dash >= 0 else description).strip())


def first_of_each(movies: Sequence[Movie], key: Callable[[Movie], str]) -> list[Movie]:
    firsts: dict[str, Movie] = {}
    for movie in movies:
        firsts.setdefault(key(movie), movie)
    return list(firsts.values())


def as_movies(frame: pl.DataFrame) -> list[Movie]:
    return [Movie(*values) for values in frame.select(Movie._fields).rows()]


def write(path: Path, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> Path:
    path.parent.mkdir(exist_ok=True, parents=True)
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file, quoting=csv.QUOTE_ALL, lineterminator="\n").writerows([columns, *rows])
    return path


def test_real_listings(real_listings: Path, cleaned: Cleaned) -> None:
    movies, _ = cleaned(real_listings, profile="original")
    assert movies.height > 1000
    assert as_movies(movies) == clean_plainly(real_listings)


def test_real_listings_with_crawled_texts(real_listings: Path, cleaned: Cleaned, tmp_path: Path) -> None:
    movies, _ = cleaned(real_listings, profile="original")
    endings = ("", "—Ann Other", "...   See full summary\u00a0»", "\nPlot: unknown", " — and so on")
    texts = [
        (movie_id, f"{name}{endings[number % 5]}")
        for number, (movie_id, name) in enumerate(movies.select("movie_id", "movie_name")[::3].rows())
    ]
    crawl = write(tmp_path / "crawl.csv", ("movie_id", "description"), texts)
    with_crawl, ledger = cleaned(real_listings, crawl, profile="original")
    assert ledger.counts["changed/crawled_text"] > 1000
    assert as_movies(with_crawl) == clean_plainly(real_listings, crawl)


FRAGMENTS = (
    "Add a Plot", "add a plot", " ", "\u00a0", "\u3000", "\x1c", "\x85", "\n", "\r", "\r\n", "—", "...", ".", "…",
    "See full summary\u00a0»", "See full synopsis »", "see full summary »", "»", "under wrap", "Under Wraps", "_", "²",
    "\u0301", "\u200d", "é", "plot", "PLOT", "\u017ftory", "story", "details", "outline", "synopsis", "unknown",
    "un\u212anown", "undisclosed", "UNDİSCLOSED", "in development", "\u0131n Development", "no plot", "TBA", "tba",
    "coming soon", "COMİNG SOON", "not available", "not disclosed", "unavailable", "unava\u0131lable",
    "None", "null", "a", "b", ",", '"',
)  # fmt: skip
DESCRIPTION = st.lists(st.sampled_from(FRAGMENTS), max_size=5).map("".join)
NAME = st.sampled_from(["A", "B", "a", "é", "None", "NA", "", " ", "A\nB", "N/A", "nan"])
GENRE = st.sampled_from(
    ["Drama", "Action, Drama", "War,Drama ", "Adult, Drama", "ADULT", "\u017fhort", "Talk-show", "REALITY-TV", "News",
     "", "null", ",", " ", "Newsreel", "Real\u0131ty-TV", "Drama, Drama"]
)  # fmt: skip
ROW = st.tuples(st.sampled_from(["None", "", *(f"tt{number}" for number in range(8, 14))]), NAME, GENRE, DESCRIPTION)


@settings(max_examples=60)
@given(
    files=st.lists(st.lists(ROW, max_size=25), min_size=1, max_size=3),
    crawl=st.none() | st.lists(st.tuples(st.sampled_from(["tt8", "tt9", "tt99"]), DESCRIPTION), max_size=3),
)
@example(files=[[("tt1", "B", "War", "b"), ("tt1", "A", "Drama", "a")]], crawl=None)
@example(files=[[("tt1", "A", "War", "ab"), ("tt1", "A", "Drama", "cd")], [("tt2", "A", "War", "ab")]], crawl=None)
@example(files=[[("tt1", "A", "War", "—"), ("tt2", "A", "Drama", "— a")]], crawl=None)
@example(files=[[("tt1", "A", "War", "a—b\nc—d—e")]], crawl=[("tt1", ""), ("tt1", "x"), ("tt1", "y")])
def test_nasty_rows(
    tmp_path_factory: pytest.TempPathFactory,
    cleaned: Cleaned,
    adds_up: Callable[[dict[str, int]], bool],
    files: list[list[tuple[str, str, str, str]]],
    crawl: list[tuple[str, str]] | None,
) -> None:
    folder = tmp_path_factory.mktemp("nasty")
    for number, rows in enumerate(files):
        write(folder / "raw" / f"{number}.csv", ("movie_id", "movie_name", "genre", "description"), rows)
    crawl_csv = None if crawl is None else write(folder / "crawl.csv", ("movie_id", "description"), crawl)
    movies, ledger = cleaned(folder / "raw", crawl_csv, profile="original")
    assert as_movies(movies) == clean_plainly(folder / "raw", crawl_csv)
    assert ledger.counts["rows_read"] == sum(map(len, files))
    assert adds_up(ledger.counts)


@pytest.mark.parametrize(
    ("description", "left"),
    [
        ("A sailor...   See full summary\u00a0»", "A sailor"),
        ("A sailor..See full summary\u00a0»", "A sailor..See full summary\u00a0»"),
        ("A sailor...See full summary\u00a0» ", "A sailor...See full summary\u00a0»"),
        ("Home — and away. The end.", "Home"),
        ("Home — and away.\nThe end.—Ann", "Home — and away.\nThe end."),
        ("—Ann", ""),
        ("Plot\nunknown", "Plot\nunknown"),
        (" No plot", "No plot"),
        ("A thunder wrap", "A thunder wrap"),
        ("&amp;", "&amp;"),
    ],
)
def test_faults_are_repeated(
    row: Callable[..., dict[str, str]], listing: Callable[..., Path], cleaned: Cleaned, description: str, left: str
) -> None:
    movies, _ = cleaned(listing(row(description=description)).parent, profile="original")
    assert movies["description"].to_list() == [left]


def test_cut_off_texts_are_marked(
    row: Callable[..., dict[str, str]], listing: Callable[..., Path], cleaned: Cleaned
) -> None:
    texts = ("A sailor... See full summary »", "Until one day...", "A whole text.")
    folder = listing(*(row(f"tt{number}", description=text) for number, text in enumerate(texts))).parent
    movies, ledger = cleaned(folder, profile="original")
    assert movies["is_truncated"].to_list() == [True, True, False]
    assert ledger.counts["changed/truncated"] == 2
