import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import polars as pl
import pytest

from tasks.clean.movies import clean_movies
from tasks.clean.profiles import CleanConfig, build_profile
from tasks.clean.rules import Ledger
from tasks.core import schema
from tasks.core.errors import ConfigError, DataError, SourceError
from tasks.core.files import hash_file
from tasks.core.settings import DataPaths

MakeRow = Callable[..., dict[str, str]]
Listing = Callable[..., Path]
Cleaned = Callable[..., tuple[pl.DataFrame, Ledger]]
AddsUp = Callable[[dict[str, int]], bool]
CLEAN = """
import sys
from pathlib import Path
from tasks.clean.profiles import CleanConfig
from tasks.clean.movies import clean_movies
from tasks.core.settings import DataPaths
clean_movies(DataPaths(Path(sys.argv[1])), CleanConfig())
"""


@pytest.fixture
def data(tmp_path: Path) -> DataPaths:
    return DataPaths(tmp_path)


def test_all_outputs_say_the_same(row: MakeRow, listing: Listing, data: DataPaths, adds_up: AddsUp) -> None:
    listing(
        row("tt2", genre="War, Drama", director="Ann Other, \nBo Yi", year="2001", rating="7.5", runtime="90 min"),
        row("tt1", genre="Yarn", description='She says "no", then\nyes, 山 é.'),
        row("tt3", description="Add a Plot"),
        row("tt4", genre="Adult"),
        row("tt2"),
    )
    result = clean_movies(data, CleanConfig())
    movies = pl.read_parquet(data.movies)
    assert movies.schema == schema.MOVIES
    assert movies["movie_id"].to_list() == ["tt1", "tt2"]
    assert json.loads(data.genres_json.read_text(encoding="utf-8")) == ["Drama", "War", "Yarn"]

    table = pd.read_csv(data.clean_csv)
    assert table.columns.tolist() == list(schema.MOVIES)
    assert table["genres"].tolist() == ["Yarn", "Drama, War"]
    assert table["directors"].tolist()[1] == "Ann Other, Bo Yi"
    assert table["description"].tolist() == movies["description"].to_list()
    assert table["description"].tolist()[0] == 'She says "no", then yes, 山 é.'
    assert table["year"].tolist()[1] == 2001

    counts = result.counts
    assert adds_up(counts)
    assert (counts["rows_read"], counts["movies_kept"], counts["merged/same_movie"]) == (5, 2, 1)
    assert counts["unknown_genre/Yarn"] == 1
    report = json.loads(data.dropped.read_text(encoding="utf-8"))
    assert report["counts"] == counts
    (caught,) = [rule for rule in report["rules"] if rule["name"] == "add_a_plot"]
    assert caught["example"]["movie_id"] == "tt3"
    assert caught["count"] == 1


def test_nothing_is_done_twice_and_anything_new_is_done(row: MakeRow, listing: Listing, data: DataPaths) -> None:
    listing(row("tt1"))
    assert not clean_movies(data, CleanConfig()).skipped
    again = clean_movies(data, CleanConfig())
    assert again.skipped
    assert again.counts["movies_kept"] == 1
    assert not clean_movies(data, CleanConfig(profile="original")).skipped
    data.crawl_csv.parent.mkdir()
    data.crawl_csv.write_text("movie_id,description\ntt1,A crawled ship.\n", encoding="utf-8")
    assert not clean_movies(data, CleanConfig()).skipped
    assert pl.read_parquet(data.movies).select("description", "description_source").rows() == [
        ("A crawled ship.", "crawl")
    ]
    listing(row("tt2"), name="war")
    assert clean_movies(data, CleanConfig()).counts["movies_kept"] == 2


def test_bytes_do_not_depend_on_threads(row: MakeRow, listing: Listing, data: DataPaths) -> None:
    for name in ("action", "drama", "war"):
        rows = (
            row(f"tt{number % 3000}", director=f"{name} {number}", year=str(1900 + number % 99))
            for number in range(4000)
        )
        listing(*rows, name=name)
    hashes = []
    for threads in ("1", "2", "7"):
        environment = {**os.environ, "POLARS_MAX_THREADS": threads}
        subprocess.run([sys.executable, "-c", CLEAN, str(data.root)], check=True, env=environment)
        outputs = (data.movies, data.clean_csv, data.genres_json, data.dropped)
        hashes.append([hash_file(path) for path in outputs])
        data.movies.unlink()  # so that the next one works again
    assert hashes[0] == hashes[1] == hashes[2]


def test_nothing_left_is_an_error_that_says_why(row: MakeRow, listing: Listing, data: DataPaths) -> None:
    listing(row("tt1", genre="Adult"), row("tt2", description="Add a Plot"), row("tt3", movie_name=""))
    message = r"no movie is left of 3 rows \(dropped/missing_value 1, dropped/excluded_genre 1, dropped/add_a_plot 1\)"
    with pytest.raises(DataError, match=message):
        clean_movies(data, CleanConfig())
    assert not data.movies.exists()


def test_files_with_headers_only_are_an_error(listing: Listing, data: DataPaths) -> None:
    listing()
    with pytest.raises(DataError, match="nothing below the header"):
        clean_movies(data, CleanConfig())


def test_no_listing_is_an_error(data: DataPaths) -> None:
    with pytest.raises(SourceError, match="raw does not exist"):
        clean_movies(data, CleanConfig())


def test_a_bad_rule_is_found_before_any_work(data: DataPaths) -> None:
    with pytest.raises(ConfigError, match="no rule nonsense"):
        clean_movies(data, CleanConfig(disable=("nonsense",)))


def test_a_bad_crawl_file_is_named(row: MakeRow, listing: Listing, data: DataPaths) -> None:
    listing(row())
    data.crawl_csv.parent.mkdir()
    data.crawl_csv.write_text("id,plot\n", encoding="utf-8")
    with pytest.raises(SourceError, match=r"crawl_data\.csv, line 1: no column movie_id or description"):
        clean_movies(data, CleanConfig())


@pytest.mark.parametrize("profile", ["default", "original"])
def test_damage_is_counted_and_costs_little(
    row: MakeRow, listing: Listing, data: DataPaths, adds_up: AddsUp, profile: str
) -> None:
    path = listing(*(row(f"tt{number}") for number in range(10)))
    with path.open("ab") as file:
        file.write(b'tt91,"A,2001,,,War,,"A ship, a sea",,,,,,\n')
        file.write(b"tt92,A,2001,,,War,,A ship, a boat,,,,,,\n")
        file.write(b"tt93,A,2001,,,War,,A caf\xe9.,,,,,,\n")
        file.write(b'tt94,A,2001,,,War,,"A dog')
    counts = clean_movies(data, CleanConfig.model_validate({"profile": profile})).counts
    assert adds_up(counts)
    assert counts["rows_read"] == 14
    assert counts["movies_kept"] == 11
    assert counts["dropped/broken_quotes"] == 2
    assert counts["dropped/long_row"] == 1
    assert counts["repaired/invalid_utf8"] == 1
    damage = json.loads(data.dropped.read_text(encoding="utf-8"))["damage"]["drama.csv"]
    assert damage["first_lines"]["dropped/long_row"] == 13


@pytest.mark.parametrize("profile", ["default", "original"])
def test_any_rule_can_be_left_out(
    row: MakeRow, listing: Listing, cleaned: Cleaned, profile: str, adds_up: AddsUp
) -> None:
    prune = {"min_words": 2, "max_words": 99, "production_phrases": True, "gibberish": True, "not_english": True}
    config = {"profile": profile, "prune": prune}
    nothing = dict.fromkeys(("movie_id", "movie_name", "genre", "description"), "")
    folder = listing(row("tt1"), {**row(), **nothing}, row("tt2", description="None")).parent
    rules = [rule.name for rule in build_profile(CleanConfig.model_validate(config)).rules]
    for disabled in [*((rule,) for rule in rules), tuple(rules)]:
        movies, ledger = cleaned(folder, **config, disable=disabled)
        assert adds_up(ledger.counts)
        assert movies.schema == schema.MOVIES
        assert not {f"{kind}/{name}" for kind in ("dropped", "changed") for name in disabled} & set(ledger.counts)


def test_thousands_of_genres_are_no_genres(row: MakeRow, listing: Listing, data: DataPaths) -> None:
    listing(*(row(f"tt{number}", genre=f"Genre {number}", description=f"Plot {number}.") for number in range(300)))
    with pytest.raises(DataError, match=r"300 genres are not the site's \(Genre 0, Genre 1, .* and 295 more\)"):
        clean_movies(data, CleanConfig())
