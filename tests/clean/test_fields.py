import polars as pl
import pytest

from tasks import schema, side_fields
from tasks.clean import fields


@pytest.mark.parametrize(
    ("parse", "raw", "value"),
    [
        (side_fields.year, "2023", 2023),
        (side_fields.year, "I", None),
        (side_fields.year, "(II) (1999)", 1999),
        (side_fields.year, "1987-1990", 1987),
        (side_fields.year, "31-12-1987\n(1988)", 1987),
        (side_fields.year, "-2000", None),
        (side_fields.year, " − 2000", None),
        (side_fields.year, "-1987-1990", None),
        (side_fields.year, "20234", None),
        (side_fields.year, "0999", None),
        (side_fields.year, "", None),
        (side_fields.runtime_min, "90 min", 90),
        (side_fields.runtime_min, "1,040 min", 1040),
        (side_fields.runtime_min, "90 mins", 90),
        (side_fields.runtime_min, "1 h 30 min", 90),
        (side_fields.runtime_min, "1h30min", 90),
        (side_fields.runtime_min, "2 h", 120),
        (side_fields.runtime_min, "9999 h 1,040 min", 600_980),
        (side_fields.runtime_min, "9999 h 2147483647 min", None),
        (side_fields.runtime_min, "0 min", None),
        (side_fields.runtime_min, "0 h 0 min", None),
        (side_fields.runtime_min, "-90 min", None),
        (side_fields.runtime_min, " ", None),
        (side_fields.runtime_min, None, None),
        (side_fields.runtime_min, "90", None),
        (side_fields.runtime_min, "99999999999 min", None),
        (side_fields.runtime_min, "", None),
        (fields.rating, "6.8", 6.8),
        (fields.rating, "10", 10.0),
        (fields.rating, "0.0", 0.0),
        (fields.rating, "10.1", None),
        (fields.rating, "nan", None),
        (fields.rating, "-1", None),
        (fields.votes, "222.0", 222),
        (fields.votes, "1,234,567", 1_234_567),
        (fields.votes, "12.5", None),
        (fields.votes, "inf", None),
        (fields.votes, "9" * 30, None),
        (side_fields.certificate, " PG-13 ", "PG-13"),
        (side_fields.certificate, " ", None),
        (side_fields.people, "Ann Other", ["Ann Other"]),
        (side_fields.people, "Ann Other, \nBo Yi,\n Cy", ["Ann Other", "Bo Yi", "Cy"]),
        (side_fields.people, "Ann Other, Jr., \nBo Yi", ["Ann Other, Jr.", "Bo Yi"]),
        (side_fields.people, ", \n, \n", []),
        (side_fields.people, "", []),
        (side_fields.people, None, []),
    ],
)
def test_one_value(parse: object, raw: str | None, value: object) -> None:
    assert callable(parse)
    series = pl.DataFrame({"raw": [raw]}, schema={"raw": pl.String}).select(parse(pl.col("raw"))).to_series()
    assert series.to_list() == [value]


def test_parsed_columns_have_their_types_and_failures_are_counted() -> None:
    raw = {"movie_id": ["1", "2"], "year": ["2001", "I"], "certificate": ["", " "], "runtime": ["", "soon"]}
    rows = pl.DataFrame({**raw, "rating": ["5", "?"], "votes": ["1", ""], "director": ["A", ""], "star": ["", "B"]})
    parsed, unparsed = fields.parse_fields(rows)
    assert unparsed == {"year": 1, "certificate": 0, "runtime_min": 1, "rating": 1, "votes": 0}
    assert parsed.columns == ["movie_id", *fields.SIDE_FIELDS]
    typed = [name for name in fields.SIDE_FIELDS if name not in fields.LIST_FIELDS]
    assert all(parsed.schema[name] == schema.MOVIES[name] for name in typed)
    assert parsed["directors"].to_list() == ["A", None]
