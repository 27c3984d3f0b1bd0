import polars as pl
import pytest

from tasks.clean import movies
from tasks.core import schema


@pytest.mark.parametrize(
    ("parse", "raw", "value"),
    [
        (schema.year, "2023", 2023),
        (schema.year, "I", None),
        (schema.year, "(II) (1999)", 1999),
        (schema.year, "1987-1990", 1987),
        (schema.year, "31-12-1987\n(1988)", 1987),
        (schema.year, "-2000", None),
        (schema.year, " − 2000", None),
        (schema.year, "-1987-1990", None),
        (schema.year, "20234", None),
        (schema.year, "0999", None),
        (schema.year, "", None),
        (schema.runtime_min, "90 min", 90),
        (schema.runtime_min, "1,040 min", 1040),
        (schema.runtime_min, "90 mins", 90),
        (schema.runtime_min, "1 h 30 min", 90),
        (schema.runtime_min, "1h30min", 90),
        (schema.runtime_min, "2 h", 120),
        (schema.runtime_min, "9999 h 1,040 min", 600_980),
        (schema.runtime_min, "9999 h 2147483647 min", None),
        (schema.runtime_min, "0 min", None),
        (schema.runtime_min, "0 h 0 min", None),
        (schema.runtime_min, "-90 min", None),
        (schema.runtime_min, " ", None),
        (schema.runtime_min, None, None),
        (schema.runtime_min, "90", None),
        (schema.runtime_min, "99999999999 min", None),
        (schema.runtime_min, "", None),
        (movies.rating, "6.8", 6.8),
        (movies.rating, "10", 10.0),
        (movies.rating, "0.0", 0.0),
        (movies.rating, "10.1", None),
        (movies.rating, "nan", None),
        (movies.rating, "-1", None),
        (movies.votes, "222.0", 222),
        (movies.votes, "1,234,567", 1_234_567),
        (movies.votes, "12.5", None),
        (movies.votes, "inf", None),
        (movies.votes, "9" * 30, None),
        (schema.certificate, " PG-13 ", "PG-13"),
        (schema.certificate, " ", None),
        (schema.people, "Ann Other", ["Ann Other"]),
        (schema.people, "Ann Other, \nBo Yi,\n Cy", ["Ann Other", "Bo Yi", "Cy"]),
        (schema.people, "Ann Other, Jr., \nBo Yi", ["Ann Other, Jr.", "Bo Yi"]),
        (schema.people, ", \n, \n", []),
        (schema.people, "", []),
        (schema.people, None, []),
    ],
)
def test_one_value(parse: object, raw: str | None, value: object) -> None:
    assert callable(parse)
    series = pl.DataFrame({"raw": [raw]}, schema={"raw": pl.String}).select(parse(pl.col("raw"))).to_series()
    assert series.to_list() == [value]


def test_parsed_columns_have_their_types_and_failures_are_counted() -> None:
    raw = {"movie_id": ["1", "2"], "year": ["2001", "I"], "certificate": ["", " "], "runtime": ["", "soon"]}
    rows = pl.DataFrame({**raw, "rating": ["5", "?"], "votes": ["1", ""], "director": ["A", ""], "star": ["", "B"]})
    parsed, unparsed = movies.parse_fields(rows)
    assert unparsed == {"year": 1, "certificate": 0, "runtime_min": 1, "rating": 1, "votes": 0}
    assert parsed.columns == ["movie_id", *movies.SIDE_FIELDS]
    typed = [name for name in movies.SIDE_FIELDS if name not in movies.LIST_FIELDS]
    assert all(parsed.schema[name] == schema.MOVIES[name] for name in typed)
    assert parsed["directors"].to_list() == ["A", None]
