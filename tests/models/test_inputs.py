"""What models read of a movie: texts and side fields, from the clean table and from what users bring."""

import polars as pl

from tasks.models.inputs import read_documents, read_fields
from tasks.models.spec import InputSpec

FIELDS = ("decade", "year", "certificate", "runtime", "director", "star")


def test_fields_of_the_clean_table_are_one_a_line_and_unknown_ones_are_left_out():
    movies = pl.DataFrame(
        {
            "year": [1984, None],
            "certificate": ["PG-13", None],
            "runtime_min": [95, None],
            "directors": [["Ann Other"], []],
            "stars": [["Bo Doe", "Cy Roe"], []],
        },
        schema_overrides={"year": pl.Int32, "runtime_min": pl.Int32, "directors": pl.List(pl.String)},
    )
    known, unknown = read_fields(movies, FIELDS)
    assert known.splitlines() == [
        "decade=1980",
        "year=1984",
        "certificate=PG-13",
        "runtime=below 100",
        "director=Ann Other",
        "star=Bo Doe",
        "star=Cy Roe",
    ]
    assert unknown == ""


def test_texts_as_in_a_listing_or_a_csv_give_the_same_fields():
    listing = {"year": "(I) 1984", "certificate": " PG-13 ", "runtime": "95 min", "director": "Ann Other\n"}
    csv = {"year": "1984", "certificate": "PG-13", "runtime_min": "95", "directors": "Ann Other"}
    of_listing = pl.DataFrame({**listing, "star": "Bo Doe, \nCy Roe"})
    of_csv = pl.DataFrame({**csv, "stars": "Bo Doe, Cy Roe"})
    assert read_fields(of_listing, FIELDS) == read_fields(of_csv, FIELDS)
    assert len(read_fields(of_csv, FIELDS)[0].splitlines()) == 7


def test_a_table_without_fields_has_none():
    assert read_fields(pl.DataFrame({"description": ["a", "b"]}), FIELDS) == ["", ""]


def test_runtimes_count_by_range_with_the_bounds_in_the_upper_one():
    movies = pl.DataFrame({"runtime": ["19 min", "20 min", "1,040 min", "soon"]})
    assert read_fields(movies, ["runtime"]) == ["runtime=below 20", "runtime=below 40", "runtime=170 or more", ""]


def test_case_is_kept_where_asked_for():
    movies = pl.DataFrame({"movie_name": ["Night"], "description": ["The Sheriff rides"]})
    assert read_documents(movies, InputSpec(title=True)) == ["night\nthe sheriff rides"]
    assert read_documents(movies, InputSpec(lowercase=False)) == ["The Sheriff rides"]
