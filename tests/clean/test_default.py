from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.clean.rules import Ledger
from tasks.core import schema

MakeRow = Callable[..., dict[str, str]]
Listing = Callable[..., Path]
Cleaned = Callable[..., tuple[pl.DataFrame, Ledger]]


@pytest.mark.parametrize(
    ("description", "left"),
    [
        ("Home — and away. The end.", ("Home — and away. The end.", False)),
        ("Home — and away. The end.—Ann Other", ("Home — and away. The end.", False)),
        ("The end. &mdash;Ann", ("The end.", False)),
        ("One.\r\nTwo.\n—Ann", ("One. Two.", False)),
        ("A&nbsp;sailor &amp; her\u00a0ship\u200b  sail.", ("A sailor & her ship sail.", False)),
        ("A sailor, who...      See full summary\u00a0»", ("A sailor, who", True)),
        ("A sailor. —Ann...See full summary »", ("A sailor. —Ann", True)),
        ("Until one day...", ("Until one day...", True)),
        ("Until one day&hellip;", ("Until one day…", True)),
        ("Until one day... —Ann Other", ("Until one day...", True)),
        ("Lost\ufffd bytes\x81", ("Lost bytes", False)),
    ],
)
def test_descriptions(
    row: MakeRow, listing: Listing, cleaned: Cleaned, description: str, left: tuple[str, bool]
) -> None:
    movies, _ = cleaned(listing(row(description=description)).parent)
    assert movies.select("description", "is_truncated").rows() == [left]


@pytest.mark.parametrize(
    ("fields", "rule"),
    [
        ({"description": "  no plot."}, "no_plot"),
        ({"description": "\n&quot;Plot&quot; is\nunknown"}, "plot_unknown"),
        ({"description": "ADD A PLOT"}, "add_a_plot"),
        ({"description": "—Ann Other"}, "empty_text"),
        ({"description": " N/A "}, "empty_text"),
        ({"description": "&nbsp;"}, "empty_text"),
        ({"movie_name": "&nbsp;"}, "empty_text"),
        ({"description": "null"}, "missing_value"),
        ({"description": "\u200b \u00a0"}, "missing_value"),
        ({"movie_name": ""}, "missing_value"),
        ({"genre": "N/A"}, "missing_value"),
        ({"movie_id": "None"}, "missing_value"),
        ({"genre": "Drama, talk-SHOW"}, "excluded_genre"),
        ({"genre": " Short,Drama"}, "excluded_genre"),
        ({"genre": "Talk - Show"}, "excluded_genre"),
        ({"genre": ", ,"}, "no_genre"),
    ],
)
def test_what_is_dropped(row: MakeRow, listing: Listing, cleaned: Cleaned, fields: dict[str, str], rule: str) -> None:
    movies, ledger = cleaned(listing(row(**fields), row("tt2")).parent)
    assert movies["movie_id"].to_list() == ["tt2"]
    assert ledger.counts[f"dropped/{rule}"] == 1


@pytest.mark.parametrize("name", ["None", "Null", "NA", "nan"])
def test_a_movie_may_bear_any_name(row: MakeRow, listing: Listing, cleaned: Cleaned, name: str) -> None:
    movies, _ = cleaned(listing(row(movie_name=name)).parent)
    assert movies["movie_name"].to_list() == [name]


def test_a_genre_that_contains_an_excluded_ones_name_stays(row: MakeRow, listing: Listing, cleaned: Cleaned) -> None:
    movies, ledger = cleaned(listing(row(genre="Newsreel, Drama")).parent)
    assert movies["genres"].to_list() == [["Drama", "Newsreel"]]
    assert ledger.counts["unknown_genre/Newsreel"] == 1


@pytest.mark.parametrize(
    ("genre", "left"),
    [
        ("horror, DRAMA", (["Drama", "Horror"], 1)),
        ("sci - fi ,Film-noir,\u00a0Drama\n", (["Drama", "Film-Noir", "Sci-Fi"], 1)),
        ("Drama,Horror ", (["Drama", "Horror"], 0)),
        ("cartoon , Drama,", (["Drama", "cartoon"], 0)),
        ("Horrors, horror", (["Horror", "Horrors"], 1)),
    ],
)
def test_genres_are_spelled_as_on_the_site(
    row: MakeRow, listing: Listing, cleaned: Cleaned, genre: str, left: tuple[list[str], int]
) -> None:
    folder = listing(row(genre=genre)).parent
    movies, ledger = cleaned(folder)
    assert (movies["genres"][0].to_list(), ledger.counts["changed/genre_spelling"]) == left
    for unmended in ({"profile": "original"}, {"disable": ("genre_spelling",)}):
        movies, _ = cleaned(folder, **unmended)
        assert movies["genres"].to_list() == [sorted({name.strip() for name in genre.split(",")} - {""})]


def test_names_are_tidied_too(row: MakeRow, listing: Listing, cleaned: Cleaned) -> None:
    movies, _ = cleaned(listing(row(movie_name="Tom\n &amp;\u00a0Tim\u200b ")).parent)
    assert movies["movie_name"].to_list() == ["Tom & Tim"]


def test_one_movie_under_two_names_keeps_all_genres(row: MakeRow, listing: Listing, cleaned: Cleaned) -> None:
    listing(row(movie_name="Zwei", genre="War", description="A ship."), name="a")
    folder = listing(row(movie_name="Two", genre="Drama", description="A ship sails."), name="b").parent
    movies, ledger = cleaned(folder)
    assert movies.select("movie_name", "genres", "description").rows() == [("Zwei", ["Drama", "War"], "A ship sails.")]
    assert ledger.counts["merged/same_movie"] == 1


def test_a_plot_wins_over_a_longer_placeholder(row: MakeRow, listing: Listing, cleaned: Cleaned) -> None:
    texts = ("The plot is being kept under wraps at this time.", "A ship sails.", "A ship...        See full summary »")
    movies, _ = cleaned(listing(*(row(description=text) for text in texts)).parent)
    assert movies.select("description", "is_truncated").rows() == [("A ship sails.", False)]


def test_equal_texts_are_found_as_they_read(row: MakeRow, listing: Listing, cleaned: Cleaned) -> None:
    folder = listing(row("tt2", description="A  ship &amp; she."), row("tt1", description="A ship & she.—Ann")).parent
    movies, ledger = cleaned(folder)
    assert movies["movie_id"].to_list() == ["tt1"]
    assert ledger.counts["dropped/same_description"] == 1


def test_a_crawled_placeholder_replaces_nothing(
    row: MakeRow, listing: Listing, cleaned: Cleaned, tmp_path: Path
) -> None:
    crawl = tmp_path / "crawl.csv"
    crawl.write_text(
        "movie_id,description\ntt1,N/A\ntt1,Plot unknown.\ntt2,\ntt2,A ship sails &amp; sinks.\ntt2,More.\ntt9,Other\n",
        encoding="utf-8",
    )
    folder = listing(row("tt1", description="A cook."), row("tt2", description="A ship... See full summary »")).parent
    movies, ledger = cleaned(folder, crawl)
    assert movies.select("description", "description_source", "is_truncated").rows() == [
        ("A cook.", "listing", False),
        ("A ship sails & sinks.", "crawl", False),
    ]
    assert {key: count for key, count in ledger.counts.items() if key.startswith("crawl/")} == {
        "crawl/rows_read": 6, "crawl/empty": 2, "crawl/repeated_id": 1, "crawl/unknown_id": 1,
    }  # fmt: skip
    assert ledger.counts["changed/crawled_text"] == 1


def test_a_short_row_is_dropped_unless_the_rule_is_off(
    row: MakeRow, listing: Listing, cleaned: Cleaned, caplog: pytest.LogCaptureFixture
) -> None:
    path = listing(row("tt1"))
    with path.open("a", encoding="utf-8") as file:
        file.write("tt2,Two,2001,,,War,,A ship sails.\n")
    assert cleaned(path.parent)[0]["movie_id"].to_list() == ["tt1"]
    assert cleaned(path.parent)[1].counts["dropped/short_row"] == 1
    assert "drama.csv: repaired/short_row 1 times, first in line 3" in caplog.text
    assert cleaned(path.parent, disable=("short_row",))[0]["movie_id"].to_list() == ["tt1", "tt2"]
    assert cleaned(path.parent, profile="original")[0]["movie_id"].to_list() == ["tt1", "tt2"]


FRAGMENT = st.sampled_from(
    ["A ship", " ", "\n", "\u00a0", "\u200b", "&amp;", "&lt;", "—", "Ann", ".", "...", "…", "See full summary »",
     "plot", "unknown", "TBA", "None", "é", ",", '"', "Drama", "Short"]
)  # fmt: skip
FIELD = st.lists(FRAGMENT, max_size=4).map("".join)


@settings(max_examples=30)
@given(rows=st.lists(st.tuples(st.sampled_from(["tt1", "tt2", "tt3", ""]), FIELD, FIELD, FIELD), max_size=20))
def test_whatever_comes_in_what_goes_out_is_clean(
    tmp_path_factory: pytest.TempPathFactory,
    csv_bytes: Callable[[list[tuple[str, ...]]], bytes],
    cleaned: Cleaned,
    adds_up: Callable[[dict[str, int]], bool],
    rows: list[tuple[str, ...]],
) -> None:
    folder = tmp_path_factory.mktemp("any")
    header = ("movie_id", "movie_name", "genre", "description")
    (folder / "a.csv").write_bytes(csv_bytes([header, *rows]))
    movies, ledger = cleaned(folder)
    assert movies.schema == schema.MOVIES
    assert ledger.counts["rows_read"] == len(rows)
    assert adds_up(ledger.counts)
    assert movies["movie_id"].to_list() == sorted(set(movies["movie_id"]))
    assert movies["description"].is_unique().all()
    for name, text, genres in movies.select("movie_name", "description", "genres").iter_rows():
        assert name == " ".join(name.split()) != ""
        assert text == " ".join(text.split()) != ""
        assert genres == sorted(set(genres)) != []
        assert "\u200b" not in name + text


def test_real_listings(real_listings: Path, cleaned: Cleaned, adds_up: Callable[[dict[str, int]], bool]) -> None:
    movies, ledger = cleaned(real_listings)
    assert adds_up(ledger.counts)
    assert set(movies["genres"].explode()) == set(schema.GENRES)
    assert movies["description"].str.contains("See full|  ").sum() == 0
    assert movies["is_truncated"].mean() == pytest.approx(0.25, abs=0.1)
    assert movies["directors"].list.len().mean() > 0.5
    assert movies["directors"].explode().str.contains("\n").sum() == 0
