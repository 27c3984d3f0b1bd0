import random
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import polars as pl
import pytest

from tasks.core import schema
from tasks.core.figures import SVG_ONLY
from tasks.core.settings import DataPaths
from tasks.explore.config import ExploreConfig
from tasks.explore.stages import Findings, explore_part, write_page
from tasks.stage import StageResult

CONFIG = ExploreConfig(max_genres=6, combinations=8, cloud_words=6)  # little to draw
MARKUP = '<script>alert("x")</script>'


def explore_raw(paths: DataPaths, config: ExploreConfig) -> StageResult:
    return explore_part(paths, config, SVG_ONLY, "raw")


def explore_clean(paths: DataPaths, config: ExploreConfig) -> StageResult:
    return explore_part(paths, config, SVG_ONLY, "clean")


def write_listings(paths: DataPaths, genres: tuple[str, ...], rows: int) -> None:
    """Write two small listings with one conflict whose name is markup, and one that is a formula as well."""
    chance = random.Random(7)
    paths.raw.mkdir(parents=True)
    for name in ("war", "drama"):
        movies = [
            {
                "movie_id": f"tt{name}{number}",
                "movie_name": f"Movie $ {number}",
                "year": str(1935 + number),
                "genre": ", ".join(chance.sample(genres, 2)),
                "description": chance.choice(["A gunman rides through the dust.", "Add a Plot", "Плот, 戦争 & love."]),
            }
            for number in range(rows)
        ]
        same = {"movie_id": "tt0", "year": "1990", "genre": "War", "description": name}
        movies += [{**same, "movie_name": f"={MARKUP}{name}"}, {**same, "movie_id": f"tt9{name}", "movie_name": MARKUP}]
        pl.DataFrame(movies).write_csv(paths.raw / f"{name}.csv")


def write_movies(paths: DataPaths) -> None:
    row = {
        "movie_id": "tt1",
        "movie_name": MARKUP,
        "description": "A quiet day.",
        "genres": ["Drama"],
        "description_source": "listing",
        "year": 1999,
        "directors": [],
        "stars": [],
    }
    other = {**row, "movie_id": "tt2", "genres": ["War"]}
    paths.clean.mkdir(parents=True, exist_ok=True)
    pl.DataFrame([row, other], schema=schema.MOVIES).write_parquet(paths.movies)


@pytest.fixture(scope="module")
def explored(tmp_path_factory: pytest.TempPathFactory) -> DataPaths:
    """Listings with all 21 genres and a small clean table, explored, with the page."""
    paths = DataPaths(tmp_path_factory.mktemp("explored"))
    write_listings(paths, schema.GENRES, 40)
    write_movies(paths)
    explore_raw(paths, CONFIG)
    explore_clean(paths, CONFIG)
    write_page(paths, CONFIG)
    return paths


class Collector(HTMLParser):
    """Collects the page's tags and the attributes that could fetch something."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.sources: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.sources += [value or "" for name, value in attrs if name == "src"]


def test_the_page_is_self_contained_and_escapes_what_comes_from_data(explored: DataPaths) -> None:
    page = (explored.explore / "index.html").read_text(encoding="utf-8")
    collector = Collector()
    collector.feed(page)
    assert collector.tags.count("script") == 1  # the project's own
    assert "<script>alert" not in page
    assert "&lt;script&gt;" in page
    assert len(collector.sources) == 15
    assert all(source.startswith("data:image/svg+xml;base64,") for source in collector.sources)
    assert len(re.findall('class="pair"', page)) == 8
    linked = re.findall(r'href="((?:raw|clean)/[^"]+)"', page)
    assert len(linked) == 15 * 2 + 2 * 6
    assert all((explored.explore / path).is_file() for path in linked)


def test_tables_for_people_hold_no_formula(explored: DataPaths) -> None:
    result = explore_raw(explored, CONFIG)
    conflicts = pl.read_csv(result.folder / "same_id_different_names.csv")
    assert conflicts["values"].to_list() == [f"'={MARKUP}drama | ={MARKUP}war"]
    assert result.counts["same_id_different_names"] == 1
    for table in result.folder.glob("*.csv"):
        assert not re.search(r'(?:^|,)"?[=+@]', table.read_text(encoding="utf-8"), re.MULTILINE), table


def test_a_page_about_the_sample_says_that_its_data_is_invented(explored: DataPaths) -> None:
    page = explored.explore / "index.html"
    assert "Invented data" not in page.read_text(encoding="utf-8")
    (explored.raw / "acquire.stage.json").write_text('{"config": {"source": "sample"}}', encoding="utf-8")
    write_page(explored, CONFIG)
    assert "Invented data" in page.read_text(encoding="utf-8")
    (explored.raw / "acquire.stage.json").unlink()


def test_names_that_several_movies_share_are_not_called_errors(explored: DataPaths) -> None:
    page = (explored.explore / "index.html").read_text(encoding="utf-8")
    assert "1 names belong to several movies" not in page
    assert "Clean movies: 1 name belongs to several movies with different genres, such as remakes" in page


def test_sentences_are_computed_from_the_data(explored: DataPaths) -> None:
    findings = Findings.model_validate_json(
        (explore_raw(explored, CONFIG).folder / "findings.json").read_text(encoding="utf-8")
    )
    sentences = {picture.name: picture.sentence for picture in findings.pictures}
    rows = pl.concat(pl.read_csv(path) for path in explored.raw.glob("*.csv"))
    silent = rows.filter(pl.col("description") == "Add a Plot").height / rows.height
    assert sentences["placeholders"].startswith(f"{silent:.0%} of {rows.height} rows")
    assert "of 21 genres" in sentences["genres"]


def test_bytes_are_the_same_each_time_and_an_unchanged_run_is_skipped(paths: DataPaths) -> None:
    write_listings(paths, ("Drama", "War"), 9)
    first = explore_raw(paths, CONFIG)
    before = {path.name: path.read_bytes() for path in first.folder.iterdir()}
    assert explore_raw(paths, CONFIG.model_copy(update={"of": "raw"})).skipped
    (first.folder / "explore_raw.stage.json").unlink()
    assert not explore_raw(paths, CONFIG).skipped
    assert {path.name: path.read_bytes() for path in first.folder.iterdir()} == before


def test_a_single_movie_without_anything_is_explored(paths: DataPaths) -> None:
    paths.raw.mkdir(parents=True)
    (paths.raw / "war.csv").write_text("movie_id,movie_name,year,genre,description\ntt1,,,,\n", encoding="utf-8")
    assert explore_raw(paths, ExploreConfig(of="raw")).counts["movies"] == 1
    assert write_page(paths, ExploreConfig(of="raw")).counts == {"pictures": 8}


def test_the_page_changes_with_a_part(paths: DataPaths) -> None:
    config = ExploreConfig(of="clean")
    write_movies(paths)
    pl.read_parquet(paths.movies).with_columns(text_group=pl.lit("a")).write_parquet(paths.movies)
    explore_clean(paths, config)
    first = write_page(paths, config)
    page = (paths.explore / "index.html").read_text(encoding="utf-8")
    assert "2 near-duplicates in 1 groups of up to 2 movies; a group stays together" in page
    assert write_page(paths, config).skipped
    pl.read_parquet(paths.movies).head(1).write_parquet(paths.movies)
    explore_clean(paths, config)
    second = write_page(paths, config)
    assert not second.skipped
    assert second.fingerprint != first.fingerprint


def test_pyplot_is_not_used(explored: DataPaths) -> None:
    code = "import sys, tasks.explore.stages; sys.exit('matplotlib.pyplot' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
    assert not list(explored.root.rglob(".unfinished-*"))


def test_real_listings_are_explored(real_listings: Path, paths: DataPaths) -> None:
    paths.root.mkdir(parents=True)
    paths.raw.symlink_to(real_listings, target_is_directory=True)
    counts = explore_raw(paths, ExploreConfig()).counts
    assert counts["rows"] > counts["movies"] > 20_000
    assert counts["unreadable_files"] == []
