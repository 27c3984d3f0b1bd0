from pathlib import Path

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.spreadsheet import neutralise_formulas, write_for_people


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", " =1", "\x1f=1", "\u200b=1"])
def test_formulas_are_neutralised(text: str) -> None:
    assert neutralise_formulas(pl.DataFrame({"cell": [text]})).item() == f"'{text}"


@given(st.text())
def test_no_cell_starts_like_a_formula_and_nothing_is_lost(text: str) -> None:
    cell = neutralise_formulas(pl.DataFrame({"cell": [text]})).item()
    assert not cell.lstrip().startswith(("=", "+", "-", "@"))
    assert cell in {text, f"'{text}"}


def test_a_table_for_people_is_read_back_but_for_its_formulas(tmp_path: Path) -> None:
    table = pl.DataFrame({"name": ["=1+1", 'say "no"; then, go'], "share": [0.25, 1.0]})
    write_for_people(table, tmp_path / "table.csv")
    read = pl.read_csv(tmp_path / "table.csv")
    assert read["name"].to_list() == ["'=1+1", 'say "no"; then, go']
    assert read["share"].to_list() == [0.25, 1.0]
