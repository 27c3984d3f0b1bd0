import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.explore.tables import (
    ADD_A_PLOT,
    CUT_OFF,
    EMPTY,
    KINDS,
    OTHER_PLACEHOLDER,
    WHOLE,
    count_kinds,
    kind_of_description,
    measure_lengths,
    summarise_lengths,
    without_tail,
)


def kind_of(text: str | None) -> str:
    frame = pl.DataFrame({"description": [text]}, schema={"description": pl.String})
    kind: str = frame.select(kind_of_description()).item()
    return kind


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        (None, EMPTY),
        ("  \n", EMPTY),
        ("Add a Plot", ADD_A_PLOT),
        ("A baker bakes. ...                See full summary\u00a0»", CUT_OFF),
        ("Plot kept under wraps.", OTHER_PLACEHOLDER),
        ("The plot is unknown at this time.", OTHER_PLACEHOLDER),
        ("TBA", OTHER_PLACEHOLDER),
        ("A baker bakes bread.", WHOLE),
    ],
)
def test_each_kind_is_told_from_the_others(text: str | None, kind: str) -> None:
    assert kind_of(text) == kind


@given(st.text())
def test_every_text_is_of_some_kind(text: str) -> None:
    assert kind_of(text) in KINDS


def test_kinds_are_counted_by_file_with_the_poorest_first() -> None:
    rows = pl.DataFrame(
        {"file": ["rich.csv", "poor.csv", "poor.csv"], "kind": [WHOLE, ADD_A_PLOT, CUT_OFF]},
    )
    counts = count_kinds(rows)
    assert counts["file"].to_list() == ["poor.csv", "rich.csv"]
    assert counts.select("rows", WHOLE, CUT_OFF, ADD_A_PLOT, EMPTY).rows() == [(2, 0, 1, 1, 0), (1, 1, 0, 0, 0)]


def test_the_tail_of_a_cut_off_description_is_no_part_of_it() -> None:
    texts = pl.DataFrame({"text": ["A baker bakes ...   See full summary\u00a0»", "See full summary boards."]})
    assert texts.select(without_tail(pl.col("text")))["text"].to_list() == ["A baker bakes", "See full summary boards."]


def test_lengths_leave_out_missing_descriptions() -> None:
    lengths = measure_lengths(pl.DataFrame({"description": ["one two", None, "three"]}))
    assert lengths.rows() == [(7, 2), (5, 1)]
    words = summarise_lengths(lengths).row(1, named=True)
    assert (words["descriptions"], words["shortest"], words["longest"], words["mean"]) == (2, 1, 2, 1.5)
