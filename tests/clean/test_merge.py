from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from tasks.clean import movies
from tasks.clean.rules import Ledger

MakeRow = Callable[..., dict[str, str]]
Listing = Callable[..., Path]
Cleaned = Callable[..., tuple[pl.DataFrame, Ledger]]


def test_side_fields_are_the_first_that_are_there(row: MakeRow, listing: Listing, cleaned: Cleaned) -> None:
    folder = listing(
        row(year="I", runtime="", rating="7.5", director="", star="Bo Yi, \nCy"),
        row(year="2001", runtime="1,040 min", rating="8", votes="12.0", director="Ann Other", star="Di"),
        row(year="2002", certificate="PG"),
    ).parent
    table, ledger = cleaned(folder)
    sides = ("year", "certificate", "runtime_min", "rating", "votes", "directors", "stars")
    assert table.select(sides).rows() == [(2001, "PG", 1040, 7.5, 12, ["Ann Other"], ["Bo Yi", "Cy"])]
    assert ledger.counts["unparsed/year"] == 1


def test_of_equally_long_descriptions_the_first_file_has_it(row: MakeRow, listing: Listing, cleaned: Cleaned) -> None:
    listing(row(description="Ships."), name="war")
    listing(row(description="Boats."), name="action")
    folder = listing(row(description="Add a Plot"), name="aa").parent
    for profile in ("default", "original"):
        assert cleaned(folder, profile=profile)[0]["description"].to_list() == ["Boats."]


def test_the_original_groups_by_name_and_keeps_the_first(row: MakeRow, listing: Listing, cleaned: Cleaned) -> None:
    folder = listing(
        row(movie_name="B", genre="War", description="A ship."), row(movie_name="A", description="A boat.")
    ).parent
    table, ledger = cleaned(folder, profile="original")
    assert table.select("movie_name", "genres").rows() == [("A", ["Drama"])]
    assert ledger.counts["dropped/same_id"] == 1
    assert ledger.counts["merged/same_movie"] == 0


@pytest.mark.parametrize("profile", ["default", "original"])
def test_the_size_of_the_parts_changes_nothing(
    row: MakeRow, listing: Listing, cleaned: Cleaned, monkeypatch: pytest.MonkeyPatch, profile: str
) -> None:
    genres = ("War", "Drama, War", "Action", "News")
    rows = [
        row(f"tt{number % 23}", genre=genres[number % 4], description="A ship" * (number % 5)) for number in range(90)
    ]
    folder = listing(*rows).parent
    whole, whole_ledger = cleaned(folder, profile=profile)
    monkeypatch.setattr(movies, "PART_ROWS", 7)
    monkeypatch.setattr(movies, "SLICE_ROWS", 3)
    parts, ledger = cleaned(folder, profile=profile)
    assert_frame_equal(whole, parts)
    assert ledger.counts == whole_ledger.counts
